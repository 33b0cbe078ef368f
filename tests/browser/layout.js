/* What is wrong with how the page stands on the screen now, in words; [] if nothing. `isOverlaid`: something lies over
   the page on purpose, and covers its words. */
(isOverlaid) => {
  const faults = [];
  const width = document.documentElement.clientWidth;
  const height = document.documentElement.clientHeight;
  const style = (element) => getComputedStyle(element);
  const named = (element) => {
    const said = element.getAttribute("aria-label") || element.textContent.trim() || element.value || "";
    return `<${element.localName} ${element.id || element.className}> "${said.replace(/\s+/g, " ").slice(0, 40)}"`;
  };
  const ancestors = (element) => {
    const found = [];
    for (let up = element.parentElement; up; up = up.parentElement) found.push(up);
    return found;
  };
  const scrollsSideways = (element) => ["auto", "scroll"].includes(style(element).overflowX);
  const isForScreenReaders = (element) => element.closest(".unseen") !== null;

  /* The part of an element that its scrolling ancestors leave to be seen; null for none. */
  const inSight = (element) => {
    let { left, top, right, bottom } = element.getBoundingClientRect();
    const within = (box) => {
      left = Math.max(left, box.left); top = Math.max(top, box.top);
      right = Math.min(right, box.right); bottom = Math.min(bottom, box.bottom);
    };
    within({ left: 0, top: 0, right: width, bottom: height });
    for (const up of ancestors(element)) {
      if (style(up).overflowX !== "visible" || style(up).overflowY !== "visible") within(up.getBoundingClientRect());
      if (style(up).position === "fixed" || up.matches(":modal")) break;
    }
    return right - left > 0 && bottom - top > 0 ? { left, top, right, bottom } : null;
  };
  const top = [...document.querySelectorAll("dialog:modal")].at(-1) ?? document.body;
  const reachable = [...top.querySelectorAll("*")].filter((element) =>
    element.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true })
    && !element.closest("[inert]") && !isForScreenReaders(element) && inSight(element));

  for (const element of [document.documentElement, document.body, ...reachable]) {
    const { overflowX, overflowY } = style(element);
    const isBox = element.clientWidth > 0 && style(element).display !== "inline";
    if (isBox && element.scrollWidth > element.clientWidth + 1 && !scrollsSideways(element)
        && (overflowX !== "visible" || element.matches("html, body, article, dialog"))) {
      faults.push(`${named(element)} is ${element.scrollWidth - element.clientWidth} px wider than there is room`);
    }
    if (isBox && ["hidden", "clip"].includes(overflowY) && element.scrollHeight > element.clientHeight + 1) {
      faults.push(`${named(element)} is cut at its foot by ${element.scrollHeight - element.clientHeight} px`);
    }
  }

  const coverAt = (element, x, y) => {
    const hit = document.elementFromPoint(x, y);
    return hit && (element.contains(hit) || hit.closest("label")?.control === element) ? null : hit ?? document.body;
  };

  /* Words that something lies upon, or beyond the edge of the screen, where nothing scrolls to them. */
  for (const element of reachable) {
    const words = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const isScrolled = [element, ...ancestors(element)].some((up) => scrollsSideways(up) && up.scrollWidth > up.clientWidth);
    const range = document.createRange();
    for (const node of words) {
      range.selectNodeContents(node);
      const said = `"${node.data.trim().slice(0, 40)}"`;
      for (const { left, right, top: above, bottom: below } of range.getClientRects()) {
        if (!isScrolled && (left < -1 || right > width + 1)) faults.push(`${said} is cut at the edge of the screen`);
        const [x, y, seen] = [(left + right) / 2, (above + below) / 2, inSight(element)];
        if (isOverlaid || x < seen.left || x > seen.right || y < seen.top || y > seen.bottom) continue;
        const cover = coverAt(element, x, y);
        if (cover && !cover.contains(element)) faults.push(`${said} is covered by ${named(cover)}`);
      }
    }
  }

  /* A control that a foot or a bar covers must come free when it gets the focus. */
  const CONTROLS = "a[href], button, input, select, textarea, summary, [role=option]";
  const coveredBy = (element) => {
    const { left, right, top, bottom } = element.getClientRects()[0];
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    const seen = inSight(element);
    if (!seen || x < seen.left || x > seen.right || y < seen.top || y > seen.bottom) return null;
    return coverAt(element, x, y);
  };
  for (const element of reachable.filter((one) => one.matches(CONTROLS) && !one.disabled)) {
    if (!coveredBy(element)) continue;
    element.scrollIntoView({ block: "nearest" });
    const cover = coveredBy(element);
    if (cover) faults.push(`${named(element)} is covered by ${named(cover)}`);
  }
  return [...new Set(faults)];
}
