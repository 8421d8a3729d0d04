"""What a live widget does in the page: its style, and a small script for keyboard and pointer.

ipywidgets has no Python for these: names for the handles of sliders, keys that JupyterLab would
take for its cells, and a click on a token. The script comes with a style sheet, whose ``onload``
runs it. A host that forbids such scripts shows the same widgets without these helps.
"""

from __future__ import annotations

from html import escape

STYLE = """
.s1lab-panel{container-type:inline-size;width:100%}
.s1lab-panel .jupyter-widgets{max-width:calc(100% - 4px)}
.s1lab-panel .widget-html-content{min-width:0;line-height:1.5}
.s1lab-panel .s1lab-trace span[title]{cursor:pointer}
.s1lab-panel .s1lab-trace span[title]:hover{outline:2px solid currentColor}
.s1lab-panel .s1lab-dim{opacity:.6}
.s1lab-rows select{font-family:var(--jp-code-font-family,monospace)!important;
font-size:12px!important}
.s1lab-sides{display:grid;grid-auto-flow:column;grid-template:auto auto/repeat(2,minmax(0,1fr));
column-gap:1em}
@container (max-width:40em){.s1lab-sides{grid-auto-flow:row;grid-template:none/minmax(0,1fr)}}
"""

SCRIPT = """
(style => {
  const panel = style.closest('.s1lab-panel');
  if (!panel || panel.dataset.s1lab) return;
  panel.dataset.s1lab = 'ready';
  const all = (what, where = panel) => [...where.querySelectorAll(what)];
  let kept = null;  // where the boxes were scrolled to, and which had the focus, at a click

  const settle = () => {
    for (const slider of all('.widget-hslider')) {  // the handle gets the name of its label
      const name = slider.querySelector('.widget-label')?.textContent;
      for (const handle of all('.noUi-handle', slider))
        if (handle.getAttribute('aria-label') !== name) handle.setAttribute('aria-label', name);
    }
    if (kept) all('.s1lab-trace').forEach((box, i) => {
      if (box.scrollTop !== kept.tops[i]) box.scrollTop = kept.tops[i];
      if (i === kept.focus && document.activeElement === document.body)
        box.focus({preventScroll: true});
    });
  };
  settle();
  new MutationObserver(settle).observe(panel, {childList: true, subtree: true});
  for (const kind of ['wheel', 'pointerdown', 'keydown'])
    panel.addEventListener(kind, () => { kept = null; }, {capture: true, passive: true});

  panel.addEventListener('click', event => {  // a token that is clicked is selected
    const token = event.target.closest('.s1lab-trace span[title]');
    const at = token && /, position (\\d+), [a-z ]+$/.exec(token.title);
    const field = panel.querySelector('.s1lab-clicked input');
    if (!at || !field || field.disabled || !getSelection().isCollapsed) return;
    const boxes = all('.s1lab-trace');
    kept = {tops: boxes.map(box => box.scrollTop), focus: boxes.indexOf(document.activeElement)};
    field.value = at[1];
    field.dispatchEvent(new Event('change', {bubbles: true}));
  });

  // Enter in a field runs. ipywidgets has its own message for some fields: not both.
  const field = event => event.key === 'Enter' && !event.isComposing
    && event.target.closest('.s1lab-asks input:not([type=checkbox])');
  panel.addEventListener('keypress', event => { if (field(event)) event.stopPropagation(); }, true);
  panel.addEventListener('keyup', event => {
    // a moment later, so that the last letters have reached the kernel
    if (field(event)) setTimeout(() => panel.querySelector('.s1lab-run').click(), 100);
  }, true);

  if (window.s1labKeys) return;
  window.s1labKeys = true;
  window.addEventListener('keydown', event => {
    const here = event.target.closest?.('.s1lab-panel');
    if (!here) return;
    // Plain keys belong to the control that has the focus; JupyterLab reads this attribute.
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey && event.key !== 'Escape'
      && !(event.shiftKey && event.key === 'Enter');
    event.target.toggleAttribute('data-lm-suppress-shortcuts', plain);
    const list = event.target.closest('.s1lab-rows select');
    const step = {ArrowUp: [0, '.s1lab-up'], ArrowDown: [list?.length - 1, '.s1lab-down']};
    const [edge, button] = step[event.key] ?? [];
    if (list && plain && list.selectedIndex === edge) {  // on to the page before or after
      event.preventDefault();
      here.querySelector(`.s1lab-rows ${button}`).click();
    }
  }, true);
})(this)
"""


def live_style() -> str:
    """Return the style sheet of a live widget, with the script that it brings."""
    return f'<style onload="{escape(SCRIPT)}">{STYLE}</style>'
