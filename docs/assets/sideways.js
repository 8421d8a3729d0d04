// What is wider than the page scrolls sideways in its own box. A line above the box says so, and the keyboard reaches it.
document.addEventListener("DOMContentLoaded", () => {
  const boxes = ".figure, .jp-OutputArea-output, .jp-OutputArea-output pre, .md-typeset__table, .md-typeset .math";
  for (const box of document.querySelectorAll(boxes)) {
    const hint = document.createElement("p");
    hint.className = "sideways";
    hint.textContent = "\u2194 wider than the page: scroll sideways";
    const look = () => {
      const wide = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
      if (wide && !hint.isConnected) box.before(hint);
      if (!wide) hint.remove();
      if (wide) box.tabIndex = 0;
    };
    new ResizeObserver(look).observe(box);
    for (const child of box.children) new ResizeObserver(look).observe(child);
  }
});
