// Each figure of a notebook is a picture with its data beside it: where plotly is there, it takes the picture's place. It is as wide
// as the page. Where that is too narrow for its panels, it is drawn wider and scaled down; on a phone it scrolls sideways.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.Plotly) return;
  for (const figure of document.querySelectorAll("div.figure")) {
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
    const axes = Object.keys(layout).filter((name) => name.startsWith("xaxis"));
    const columns = new Set(axes.map((name) => (layout[name].domain || [0])[0].toFixed(3))).size;
    const bars = data.some((trace) => trace.orientation === "h"); // with names at their left
    const readable = Math.max(bars ? 560 : 340, Math.min(900, 300 * columns)); // its labels have room from this width on
    const drawn = document.createElement("div");
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", figure.dataset.alt);
    figure.replaceChildren(drawn);
    delete layout.width;
    const fit = () => {
      const room = figure.clientWidth;
      const width = Math.max(room, readable);
      const scale = Math.max(room / width, 0.7); // smaller text can't be read
      drawn.style.width = `${width}px`;
      drawn.style.transform = `scale(${scale})`;
      figure.style.height = `${layout.height * scale + (width * scale > room + 1 ? 16 : 0)}px`; // 16: the scroll bar
      if (drawn.data) Plotly.relayout(drawn, { width });
    };
    fit();
    Plotly.newPlot(drawn, data, { ...layout, width: Math.max(figure.clientWidth, readable) }, { displaylogo: false });
    new ResizeObserver(fit).observe(figure);
  }
});
