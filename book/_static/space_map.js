/* Figures of report/space_map.py: a clip's middle frame beside its point, for whoever points at it, taps it, or moves the slider. */
(() => {
  const REACH = 28; // screen pixels from a point at which it is meant

  function explore(figure) {
    const held = JSON.parse(figure.querySelector("script").textContent);
    const [space, by, clip] = figure.querySelectorAll("[name]");
    const plane = figure.querySelector(".mb-plane"), svg = plane.querySelector("svg");
    const points = [...svg.querySelectorAll("circle:not(.mb-ring)")], ring = svg.querySelector(".mb-ring");
    const thumb = figure.querySelector(".mb-thumb"), facts = figure.querySelectorAll("dd");
    const key = figure.querySelector(".mb-key"), sheet = figure.querySelector(".mb-sheet");
    const here = () => held.spaces[space.value];
    const verdict = (k) => (here().named[k] === held.clips[k].class ? "right" : "wrong");
    const value = (k) => (by.value === "verdict" ? verdict(k) : held.clips[k][by.value]);

    function draw() {
      const colours = held.colours[by.value], [x, y] = here().at, present = new Set();
      points.forEach((point, k) => {
        present.add(value(k));
        point.setAttribute("cx", x[k]);
        point.setAttribute("cy", y[k]);
        point.setAttribute("fill", colours[value(k)]);
      });
      key.replaceChildren(...Object.keys(colours).filter((name) => present.has(name)).map((name) => {
        const line = document.createElement("span"), mark = document.createElement("i");
        mark.style.background = colours[name];
        line.append(mark, name);
        return line;
      }));
      if (!thumb.hidden) show(+clip.value);
    }

    function show(k) {
      const [x, y] = here().at.map((all) => all[k]), { width, height } = svg.viewBox.baseVal, one = held.clips[k];
      clip.value = k;
      const told = [one.class, `${here().named[k]}, ${verdict(k)}`, one.recording, `${one.from}, ${one.split}`];
      told.forEach((text, place) => { facts[place].textContent = text; });
      clip.setAttribute("aria-valuetext", told.join(", "));
      ring.setAttribute("cx", x);
      ring.setAttribute("cy", y);
      thumb.hidden = false;
      thumb.style.backgroundImage = `url(${sheet.src})`;
      thumb.style.backgroundSize = `${held.columns * 100}% auto`;
      const last = Math.ceil(held.clips.length / held.columns) - 1;
      thumb.style.backgroundPosition =
        `${(100 * (k % held.columns)) / (held.columns - 1)}% ${last ? (100 * Math.floor(k / held.columns)) / last : 0}%`;
      thumb.style.left = `${(100 * x) / width}%`;
      thumb.style.top = `${(100 * y) / height}%`;
      thumb.style.translate = `${x > width / 2 ? "calc(-100% - 12px)" : "12px"} ${y > height / 2 ? "-100%" : "0"}`;
    }

    function nearest({ clientX, clientY }) {
      const box = svg.getBoundingClientRect(), { width, height } = svg.viewBox.baseVal, [x, y] = here().at;
      let best = -1, least = REACH;
      held.clips.forEach((_, k) => {
        const away = Math.hypot((x[k] * box.width) / width + box.left - clientX, (y[k] * box.height) / height + box.top - clientY);
        if (away < least) [best, least] = [k, away];
      });
      return best;
    }

    const pointed = (event) => {
      const k = nearest(event);
      if (k >= 0) show(k);
    };
    for (const control of [space, by, clip]) control.disabled = false;
    for (const choice of [space, by]) choice.addEventListener("input", draw);
    for (const kind of ["input", "focus"]) clip.addEventListener(kind, () => show(+clip.value));
    for (const kind of ["pointermove", "pointerdown"]) svg.addEventListener(kind, pointed);
  }

  addEventListener("DOMContentLoaded", () => { document.querySelectorAll(".mb-map").forEach(explore); });
})();
