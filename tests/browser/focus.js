/* What is wrong with how the focus is shown; "" if nothing. */
() => {
  const at = document.activeElement;
  if (!at || at === document.body) return "nothing has the focus";
  const name = `<${at.localName}> "${(at.getAttribute("aria-label") || at.textContent).trim().slice(0, 40)}"`;
  const box = at.getBoundingClientRect();
  const x = Math.min(Math.max(0, (box.left + box.right) / 2), innerWidth - 1);
  const y = Math.min(Math.max(box.top, 0) + 4, (box.top + box.bottom) / 2);
  if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth) return `${name} is out of sight`;
  const hit = document.elementFromPoint(x, y);
  if (!hit || !(at.contains(hit) || hit.closest("label")?.control === at)) return `${name} is covered`;
  const outlined = [at, at.parentElement].some((element) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    return outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
  });
  return outlined ? "" : `${name} does not show that it has the focus`;
}
