/* Any picture of a page opens large by a click, a tap or Enter: at its own size or more, scrolled where the screen has less. */
(() => {
  const STEP = 1.5, MOST = 4; // of a zoom, and of a picture's own size
  const WITHIN = 0.95; // of the screen, what the picture may fill
  const bounded = (value, least, most) => Math.min(Math.max(value, least), most);

  function made() {
    const dialog = document.createElement("dialog");
    dialog.className = "mb-large";
    dialog.innerHTML = `<div class="mb-large-bar"><button type="button" name="smaller">Smaller</button>
      <button type="button" name="larger">Larger</button><button type="button" name="close" autofocus>Close</button></div>
      <div class="mb-large-room" tabindex="0" role="group" aria-label="the picture, which scrolls"><img alt=""></div>`;
    document.body.append(dialog);
    const picture = dialog.querySelector("img");
    let scale = 1, fits = 1;
    const zoom = (wanted) => {
      scale = bounded(wanted, Math.min(fits, 1), Math.max(fits, MOST));
      picture.style.width = `${scale * picture.naturalWidth}px`;
    };
    dialog.addEventListener("click", ({ target }) => {
      const factor = { smaller: 1 / STEP, larger: STEP }[target.name];
      if (factor) zoom(scale * factor);
      else dialog.close();
    });
    return (from) => {
      dialog.setAttribute("aria-label", from.alt ? `enlarged: ${from.alt}` : "enlarged picture");
      picture.src = from.currentSrc;
      picture.alt = from.alt;
      fits = Math.min(WITHIN * innerWidth / from.naturalWidth, WITHIN * innerHeight / from.naturalHeight);
      dialog.showModal();
      picture.decode().then(() => zoom(bounded(fits, 1, 2)), () => {});
    };
  }

  addEventListener("DOMContentLoaded", () => {
    const open = made();
    for (const picture of document.querySelectorAll(".bd-article img:not(.mb-sheet, .mb-still, a img)")) {
      const button = document.createElement("button"), whole = picture.closest("picture") || picture;
      button.type = "button";
      button.className = "mb-enlarge";
      button.setAttribute("aria-haspopup", "dialog");
      whole.replaceWith(button);
      button.append(whole);
      button.addEventListener("click", () => open(picture));
    }
  });
})();
