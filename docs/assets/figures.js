// Each figure of a notebook is a picture with its data beside it: where plotly is there, it takes the picture's place. It is as wide
// as the page. On a phone it keeps a width at which its panels can be read, and scrolls sideways.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.Plotly) return;
  for (const figure of document.querySelectorAll("div.figure")) {
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
    const axes = Object.keys(layout).filter((name) => name.startsWith("xaxis"));
    const columns = new Set(axes.map((name) => (layout[name].domain || [0])[0].toFixed(3))).size;
    const drawn = document.createElement("div");
    drawn.style.minWidth = `${Math.max(340, 260 * columns)}px`;
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", figure.dataset.alt);
    figure.replaceChildren(drawn);
    delete layout.width;
    Plotly.newPlot(drawn, data, layout, { displaylogo: false, responsive: true });
    new ResizeObserver(() => Plotly.Plots.resize(drawn)).observe(figure);
  }
});
