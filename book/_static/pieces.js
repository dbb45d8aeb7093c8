/* Figures of report/pieces.py: F1 from the counts of frames that the page holds, for the piece, tolerance and stage 1 that a reader sets. */
(() => {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  function f1({ claimed, right, occurring, found }, place) {
    const precision = right[place] / (claimed || 1), recall = found[place] / (occurring || 1);
    return (2 * precision * recall) / (precision + recall || 1);
  }

  function explore(figure) {
    const held = JSON.parse(figure.querySelector("script").textContent);
    const [length, tolerance, stage] = figure.querySelectorAll("[name]");
    const numbers = figure.querySelectorAll(".mb-numbers dd"), lines = figure.querySelectorAll(".mb-ranges dd");
    const show = () => {
      const piece = held.stages[stage.value][length.value], place = +tolerance.value;
      [[length, piece.seconds], [tolerance, held.tolerances[place]]].forEach(([slider, seconds]) => {
        slider.setAttribute("aria-valuetext", `${seconds} s`);
        slider.parentElement.querySelector("output").textContent = `${seconds} s`;
      });
      const by = Object.values(piece.counts).map((counts) => f1(counts, place)), all = mean(by);
      [all.toFixed(3), ...[piece.touched, piece.seen].map((share) => `${(100 * share).toFixed(1)}%`)]
        .forEach((text, k) => { numbers[k].textContent = text; });
      [all, ...by, ...Object.values(held.every).map((beside) => beside[place])].forEach((value, k) => {
        lines[k].lastElementChild.textContent = value.toFixed(3);
        lines[k].querySelector(".mb-dot").style.left = `${100 * value}%`;
      });
    };
    for (const control of [length, tolerance, stage]) {
      control.disabled = false;
      control.addEventListener("input", show);
    }
    show();
  }

  addEventListener("DOMContentLoaded", () => { document.querySelectorAll(".mb-pieces").forEach(explore); });
})();
