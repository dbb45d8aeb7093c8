/* Of every page, as jupyter-book loads what lies here. Figures of report/ethograms.py: what a reader sets is scored anew from the labels that the page holds.
   Scores are those of metrics/frames.py (no tolerance) and metrics/agreement.py; a track is l, v, l, v… (lengths, values). */
(() => {
  const OTHER = "other";
  const ROUNDING = 1e-9; // of frames turned into seconds
  const APART = 60, ROOM = 0.97; // px between ticks of a time axis, and the share of it where one may begin
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  function eachRun(track, visit) {
    let at = 0;
    for (let k = 0; k < track.length; k += 2) {
      visit(at, at + track[k], track[k + 1]);
      at += track[k];
    }
    return at;
  }

  // How many frames of `one` have a class, and how many of them lie within `reach` frames of one that has it in `other`.
  function near(one, other, wanted, reach) {
    const mask = new Uint8Array(eachRun(other, () => {}));
    eachRun(other, (start, stop, value) => value === wanted && mask.fill(1, Math.max(0, start - reach), stop + reach));
    let all = 0, close = 0;
    eachRun(one, (start, stop, value) => {
      if (value !== wanted) return;
      all += stop - start;
      for (let frame = start; frame < stop; frame++) close += mask[frame];
    });
    return [all, close];
  }

  function behaviourF1(held, seed, stop, tolerance, value) {
    let claimed = 0, right = 0, occurring = 0, found = 0;
    for (const { fps, true: truth, labels } of held.recordings) {
      const reach = Math.floor((tolerance + ROUNDING) * fps), said = labels[seed][stop];
      const [all, close] = near(said, truth, value, reach), [allTrue, closeTrue] = near(truth, said, value, reach);
      claimed += all; right += close; occurring += allTrue; found += closeTrue;
    }
    if (tolerance && !claimed && !occurring) return null; // in neither: no tolerant F1, while the plain one is 0
    const precision = right / (claimed || 1), recall = found / (occurring || 1);
    return (2 * precision * recall) / (precision + recall || 1);
  }

  function f1(held, stop, tolerance) {
    const of = held.classes.flatMap((name, value) => (name === OTHER ? [] : [value]));
    const scores = held.clips.map((_, seed) =>
      mean(of.map((value) => behaviourF1(held, seed, stop, tolerance, value)).filter((score) => score !== null)));
    return mean(scores);
  }

  function share(held, stop) {
    return mean(held.clips.map((_, seed) => {
      let shown = 0, all = 0;
      for (const { first } of held.recordings)
        all += eachRun(first[seed], (start, end, since) => { shown += since <= stop ? end - start : 0; });
      return shown / all;
    }));
  }

  function draw(svg, track, colour) {
    const paths = {};
    const frames = eachRun(track, (start, stop, value) => {
      const fill = colour(value);
      if (fill) paths[fill] = `${paths[fill] || ""}M${start} 0h${stop - start}v1h${start - stop}z`;
    });
    svg.setAttribute("viewBox", `0 0 ${frames} 1`);
    svg.replaceChildren(...Object.entries(paths).map(([fill, d]) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("fill", fill);
      path.setAttribute("d", d);
      return path;
    }));
  }

  // A time axis with a tick every 1, 2, 5, 10, 20… s, so far from each other that words fit between.
  function mark(axis) {
    const seconds = +axis.dataset.seconds, least = APART * seconds / axis.clientWidth;
    if (!Number.isFinite(least)) return;
    const ten = 10 ** Math.floor(Math.log10(least)), step = [1, 2, 5, 10].find((times) => times * ten >= least) * ten;
    const ticks = Array.from({ length: Math.floor(seconds * ROOM / step) + 1 }, (_, k) => {
      const tick = document.createElement("span");
      tick.style.left = `${100 * k * step / seconds}%`;
      tick.textContent = `${+(k * step).toPrecision(6)} s`;
      return tick;
    });
    axis.replaceChildren(...ticks);
  }

  function explore(figure) {
    const held = JSON.parse(figure.querySelector("script").textContent);
    const [budget, tolerance, recording] = figure.querySelectorAll("[name]");
    const axis = figure.querySelector(".mb-time"), numbers = figure.querySelectorAll("dd"), lines = figure.querySelectorAll(".mb-lines svg");
    const show = () => {
      const stop = +budget.value, seconds = held.tolerances[tolerance.value];
      const told = [`${Math.round(100 * held.stops[stop])}%`, `${seconds} s`];
      [budget, tolerance].forEach((slider, k) => {
        slider.setAttribute("aria-valuetext", told[k]);
        slider.parentElement.querySelector("output").textContent = told[k];
      });
      const spent = mean(held.clips.map((at) => at[stop])) * held.tflop / held.seconds * 3600;
      [f1(held, stop, seconds).toFixed(3), f1(held, 0, seconds).toFixed(3), `${(100 * share(held, stop)).toFixed(1)}%`,
        spent.toFixed(3)].forEach((text, k) => { numbers[k].textContent = text; });
      const { fps, true: truth, labels, first } = held.recordings[recording.selectedIndex];
      axis.dataset.seconds = eachRun(truth, () => {}) / fps;
      mark(axis);
      [truth, labels[0][0], labels[0][stop]].forEach((track, k) => draw(lines[k], track, (v) => held.colours[v]));
      draw(lines[3], first[0], (since) => since <= stop && held.shown);
    };
    for (const control of [budget, tolerance, recording]) {
      control.disabled = false;
      control.addEventListener("input", show);
    }
    show();
  }

  function widen(figure) {
    const zoom = figure.querySelector("[name=zoom]");
    zoom.disabled = false;
    const axes = figure.querySelectorAll(".mb-time"), markAll = () => axes.forEach(mark);
    zoom.addEventListener("input", () => {
      figure.querySelector(".mb-lines").style.width = `${100 * zoom.value}%`;
      markAll();
    });
    for (const kind of ["resize", "beforeprint"]) addEventListener(kind, markAll);
    markAll();
  }

  addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".mb-explore").forEach(explore);
    document.querySelectorAll(".mb-stack").forEach(widen);
  });
})();
