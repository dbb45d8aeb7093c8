/* On paper a page is light, whatever theme it is read in: a dark one's words would be pale. */
(() => {
  const { dataset } = document.documentElement;
  let kept;
  matchMedia("print").addEventListener("change", ({ matches }) => {
    if (matches) kept = dataset.theme;
    dataset.theme = matches ? "light" : kept;
  });
})();
