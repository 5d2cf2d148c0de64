// A figure on the page: drawn to the width there is, drawn again when that or a control changes, with its numbers as a table beside it.
import { type Child, freshId, h } from "./dom";
import { saveButtons } from "./save";

export interface FigureOptions {
  title: string;
  note?: Child; // how to read it
  controls?: HTMLElement[];
  // To a width in pixels. What it returns replaces what was there.
  draw: (width: number) => Element;
  below?: Child; // legend, what is outside the axes
  table?: () => HTMLElement; // the same numbers
}

export interface FigureOnPage {
  element: HTMLElement;
  redraw: () => void;
}

const kNarrowest = 280;

export function figure(options: FigureOptions): FigureOnPage {
  const titleId = freshId("figure");
  const plot = h("div", { class: "plot" });
  const below = h("div", { class: "below" }, options.below);
  const numbers = h("details", { class: "numbers" }, h("summary", {}, "The same as a table"));
  numbers.addEventListener("toggle", () => {
    if (numbers.open && options.table && numbers.children.length === 1) numbers.append(options.table());
  });
  let drawnWidth = 0;
  const draw = (width: number) => {
    drawnWidth = Math.max(kNarrowest, Math.floor(width));
    const drawing = options.draw(drawnWidth);
    if (drawing.getAttribute("role") === "img") drawing.setAttribute("aria-labelledby", titleId);
    plot.replaceChildren(drawing);
    if (numbers.children.length > 1) {
      numbers.lastElementChild?.remove();
      if (numbers.open && options.table) numbers.append(options.table());
    }
  };
  const element = h(
    "figure",
    {},
    h(
      "figcaption",
      {},
      h("h3", { id: titleId }, options.title),
      options.controls?.length ? h("div", { class: "controls" }, options.controls) : null,
    ),
    options.note ? h("p", { class: "note" }, options.note) : null,
    plot,
    below,
    h("div", { class: "more" }, options.table ? numbers : null, saveButtons(options.title, plot, below)),
  );
  // The width comes with the notice: to ask the page for it would lay the page out again for every figure.
  new ResizeObserver(([notice]) => {
    const width = notice?.contentRect.width ?? 0;
    if (width > 0 && Math.abs(width - drawnWidth) > 8) draw(width);
  }).observe(plot);
  return { element, redraw: () => draw(plot.clientWidth) };
}
