// Each figure of a notebook is a picture with its data beside it: where plotly is there, it takes the picture's place, at the size
// it was made for, scaled down to the page.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.Plotly) return;
  for (const figure of document.querySelectorAll("div.figure")) {
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
    const drawn = document.createElement("div");
    figure.replaceChildren(drawn);
    Plotly.newPlot(drawn, data, layout, { displaylogo: false });
    const fit = () => {
      const scale = Math.min(1, figure.clientWidth / layout.width);
      drawn.style.transform = `scale(${scale})`;
      figure.style.height = `${layout.height * scale}px`;
    };
    fit();
    new ResizeObserver(fit).observe(figure);
  }
});
