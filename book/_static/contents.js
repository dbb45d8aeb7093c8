/* On a small screen the drawer with a page's contents closes over the section that was chosen. */
addEventListener("click", ({ target }) => target.closest("#pst-secondary-sidebar-modal a[href]")?.closest("dialog").close());
