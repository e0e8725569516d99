"use strict";
/* Point at a chart to read it: the nearest values of its lines. The page is whole without this. */
for (const figure of document.querySelectorAll("figure[data-readings]")) {
  const lines = JSON.parse(figure.dataset.readings);
  const box = figure.querySelector(".reading");
  for (const svg of figure.querySelectorAll("svg[data-plot]")) {
    const [left, top, right, bottom, first, last, log] = JSON.parse(svg.dataset.plot);
    const rule = document.createElementNS("http://www.w3.org/2000/svg", "line");
    for (const [name, value] of [["y1", top], ["y2", bottom], ["stroke", "currentColor"], ["stroke-opacity", 0.35], ["visibility", "hidden"]])
      rule.setAttribute(name, value);
    svg.append(rule);
    const hide = () => { box.hidden = true; rule.setAttribute("visibility", "hidden"); };
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("pointermove", (event) => {
      const shown = svg.getBoundingClientRect(), scale = shown.width / svg.viewBox.baseVal.width;
      const along = Math.min(1, Math.max(0, ((event.clientX - shown.left) / scale - left) / (right - left)));
      const at = log ? first * (last / first) ** along : first + along * (last - first);
      const nearest = lines.map((line) => {
        let best = 0;
        line.x.forEach((x, index) => { if (Math.abs(x - at) < Math.abs(line.x[best] - at)) best = index; });
        return { line, best };
      });
      if (!nearest.length) return;
      box.replaceChildren();
      for (const { line, best } of nearest) {
        const row = document.createElement("div"), chip = document.createElement("i");
        chip.className = `chip run-${line.colour}`;
        const where = Math.round(line.x[best]).toLocaleString("en");
        row.append(chip, `${line.label ? line.label + " " : ""}${line.y[best]} at ${where} ${figure.dataset.unit}`);
        box.append(row);
      }
      box.hidden = false;
      const middle = left + along * (right - left);
      rule.setAttribute("x1", middle);
      rule.setAttribute("x2", middle);
      rule.setAttribute("visibility", "visible");
      const frame = figure.getBoundingClientRect();
      const beside = event.clientX - frame.left + 14;
      box.style.left = `${beside + box.offsetWidth > frame.width - 4 ? Math.max(4, beside - box.offsetWidth - 28) : beside}px`;
      box.style.top = `${shown.top - frame.top + top * scale}px`;
    });
  }
}
