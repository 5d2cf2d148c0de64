// What the charts share: the page's face, the lines' colours, the key above a plot, and what stands where there is nothing to draw.
import * as Plot from "@observablehq/plot";
import { h } from "./dom";
import { number } from "./format";

export const kCharacter = 7.2; // pixels, of a name's letters in the widest face
export const kAxis = 42; // pixels below a plot: ticks and the axis's label
const kKey = 26; // pixels above a plot, of its key
const kKeyLine = 18; // of each further line

// Series are kept apart by colour, beyond the fourth by dashes or the shape of their points too.
export const kLines = ["var(--accent)", "var(--second)", "var(--ink)", "var(--quiet)"];
const kDashes = [null, "5 3", "1.5 3"];
const kShapes = ["circle", "square", "triangle", "diamond2", "star", "wye"] as const;

export function lineColour(place: number): string {
  return kLines[place % kLines.length] ?? "var(--ink)";
}

export function lineDash(place: number): string | undefined {
  return kDashes[Math.floor(place / kLines.length) % kDashes.length] ?? undefined;
}

export function lineShape(place: number): (typeof kShapes)[number] {
  return kShapes[place % kShapes.length] ?? "circle";
}

// Words of a logarithmic axis: powers of ten, and between them where there are few. `number` writes what is tiny with an exponent.
export function logTicks(low: number, high: number): (value: number) => string {
  const decades = Math.log10(high / low);
  const wanted = decades > 2.5 ? [1] : decades > 1 ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 8];
  return (value) => {
    const leading = Math.round(value / 10 ** Math.floor(Math.log10(value) + 1e-9));
    return wanted.includes(leading) ? number(value, 1) : "";
  };
}

// Powers of ten times `unit` on both sides of 0: where a few values are far from the rest.
export function farTicks(least: number, most: number, unit = 1): number[] {
  const side = (end: number) =>
    end >= unit ? Array.from({ length: Math.floor(Math.log10(end / unit) + 1) }, (_, i) => unit * 10 ** i) : [];
  return [...side(-least).map((v) => -v), 0, ...side(most)];
}

// A line across a chart: a threshold, with a word of what it is.
export interface Threshold {
  at: number;
  label: string;
}

export function common(width: number): Plot.PlotOptions {
  return { width, style: { fontFamily: "inherit", fontSize: "12px", overflow: "visible" } };
}

// One image with a name (figure.ts): what is inside it is not announced piece by piece.
export function accessible(drawing: Element): Element {
  drawing.setAttribute("role", "img");
  for (const part of drawing.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");
  return drawing;
}

export function nothing(): HTMLElement {
  return h("p", { class: "none" }, "None of this was measured.");
}

export function usable(value: number | null | undefined): value is number {
  return value !== null && value !== undefined && Number.isFinite(value);
}

export interface KeyEntry {
  name: string;
  colour: string;
  hollow?: boolean;
  shape?: (typeof kShapes)[number];
}

const kKeyCharacter = 6.4; // pixels
const kKeyMark = 30; // pixels of a mark with the room around it

// Where each entry stands: as many in a line as there is room for.
function keyPlaces(entries: KeyEntry[], width: number): { entry: KeyEntry; x: number; line: number }[] {
  let x = 8;
  let line = 0;
  return entries.map((entry) => {
    const needed = kKeyMark + entry.name.length * kKeyCharacter;
    if (x > 8 && x + needed > width) {
      x = 8;
      line += 1;
    }
    const place = { entry, x, line };
    x += needed;
    return place;
  });
}

// Pixels above a plot that its key takes.
export function keyHeight(entries: KeyEntry[], width: number): number {
  const last = keyPlaces(entries, width).at(-1);
  return last ? kKey + last.line * kKeyLine : 0;
}

// The key of a chart, above its plot, so that it is part of the picture when that is saved.
export function keyMarks(entries: KeyEntry[], width: number, marginLeft: number): Plot.Markish[] {
  const height = keyHeight(entries, width);
  return keyPlaces(entries, width).flatMap(({ entry, x, line }) => {
    const place = { frameAnchor: "top-left" as const, dy: -height + 8 + line * kKeyLine };
    return [
      Plot.dot([entry.name], {
        ...place,
        dx: x - marginLeft,
        r: 4.5,
        symbol: entry.shape ?? "circle",
        fill: entry.hollow ? "var(--paper)" : entry.colour,
        stroke: entry.colour,
      }),
      Plot.text([entry.name], { ...place, dx: x - marginLeft + 11, lineAnchor: "middle", textAnchor: "start", fill: "var(--ink)" }),
    ];
  });
}
