// The model's map: layers across, roles down, a colour for each matrix. What lies outside the blocks stands below.
import * as Plot from "@observablehq/plot";
import { heat, ink, type Scale } from "./colours";
import { type Child, h } from "./dom";
import { number } from "./format";
import { accessible } from "./plot_parts";
import { type Place, placeOf, sortedRoles } from "./tensor_place";

export interface MapCell extends Place {
  name: string;
  colour: string;
  ink?: string; // of words on the colour
  words?: string; // on the cell, where there is room
  detail: string; // under the pointer
  faint?: boolean; // under the noise floor
}

export function mapCell(name: string, rest: Omit<MapCell, "name" | "layer" | "role">): MapCell {
  return { name, ...placeOf(name), ...rest };
}

const kCharacter = 6.4; // pixels, of the small words on cells

export function modelMap(cells: MapCell[], width: number): Element {
  const inBlocks = cells.filter((cell) => cell.layer >= 0);
  const layers = [...new Set(inBlocks.map((cell) => cell.layer))].sort((a, b) => a - b);
  const roles = sortedRoles(inBlocks.map((cell) => cell.role));
  if (layers.length === 0) return h("p", { class: "none" }, "No tensor of the model's blocks is in this result.");
  const marginLeft = Math.min(Math.round(Math.max(...roles.map((role) => role.length)) * 7.2) + 14, Math.round(width * 0.35));
  const cellWidth = (width - marginLeft - 8) / layers.length;
  const cellHeight = roles.length > 14 ? 20 : 30;
  const every = Math.max(1, Math.ceil(26 / cellWidth));
  const worded = inBlocks.filter((cell) => cell.words !== undefined && cell.words.length * kCharacter + 4 <= cellWidth);
  const drawing = Plot.plot({
    width,
    height: roles.length * cellHeight + 46,
    marginLeft,
    marginRight: 8,
    marginTop: 4,
    marginBottom: 42,
    style: { fontFamily: "inherit", fontSize: "12px", overflow: "visible" },
    x: {
      type: "band",
      domain: layers,
      label: "layer",
      labelAnchor: "center",
      labelArrow: "none",
      labelOffset: 34,
      padding: cellWidth > 14 ? 0.05 : 0,
      ticks: layers.filter((_, i) => i % every === 0),
      tickSize: 0,
    },
    y: { type: "band", domain: roles, label: null, padding: 0.06, tickSize: 0 },
    marks: [
      Plot.cell(inBlocks, { x: "layer", y: "role", fill: "colour", rx: cellWidth > 14 ? 2 : 0 }),
      Plot.text(worded, { x: "layer", y: "role", text: "words", fill: (cell: MapCell) => cell.ink ?? "var(--ink)", fontSize: 10.5 }),
      Plot.dot(
        inBlocks.filter((cell) => cell.faint),
        { x: "layer", y: "role", r: 1.8, fill: "var(--muted)" },
      ),
      Plot.tip(inBlocks, Plot.pointer({ x: "layer", y: "role", title: (cell: MapCell) => `${cell.name}\n${cell.detail}`, maxRadius: 30 })),
    ],
    color: { type: "identity" },
  });
  return accessible(drawing);
}

// Those outside the blocks, each with its colour and words.
export function outsideBlocks(cells: MapCell[]): Child {
  const outside = cells.filter((cell) => cell.layer < 0);
  if (outside.length === 0) return null;
  return h(
    "ul",
    { class: "outside", "aria-label": "Outside the blocks" },
    outside.map((cell) =>
      h(
        "li",
        {},
        h("span", { class: "swatch", style: `background:${cell.colour}` }),
        h("span", { class: "name" }, cell.role),
        ` ${cell.detail}`,
      ),
    ),
  );
}

// The bar that says what a colour stands for.
export function scaleLegend(scale: Scale, label: string): HTMLElement {
  const stops = Array.from({ length: 24 }, (_, i) => scale.colour(scale.at(i / 23)));
  return h(
    "div",
    { class: "scale" },
    h("span", {}, label),
    h("span", {}, number(scale.at(0), 2)),
    h("span", { class: "bar", style: `background:linear-gradient(to right, ${stops.join(", ")})` }),
    h("span", {}, number(scale.at(1), 2)),
    h("span", {}, scale.kind === "log" ? "(logarithmic)" : ""),
  );
}

// Types in the order of their bits, the more the deeper; one colour each over the whole page.
export class TypeColours {
  private readonly order: string[];

  constructor(
    used: Iterable<string>,
    private readonly bits: Map<string, number>,
  ) {
    this.order = [...new Set([...used].map((type) => type.toUpperCase()))].sort(
      (a, b) => this.bitsOf(a) - this.bitsOf(b) || a.localeCompare(b),
    );
  }

  bitsOf(type: string): number {
    return this.bits.get(type.toUpperCase()) ?? 99;
  }

  private place(type: string): number {
    return this.order.length < 2 ? 0.5 : this.order.indexOf(type.toUpperCase()) / (this.order.length - 1);
  }

  colour(type: string): string {
    return heat(0.08 + 0.92 * this.place(type));
  }

  ink(type: string): string {
    return ink(0.08 + 0.92 * this.place(type));
  }

  words(type: string): string {
    const bits = this.bits.get(type.toUpperCase());
    return bits === undefined ? type : `${type}, ${number(bits, 4)} bits per weight`;
  }

  legend(types: Map<string, number>): HTMLElement {
    const sorted = [...types].sort((a, b) => this.bitsOf(a[0]) - this.bitsOf(b[0]));
    return h(
      "ul",
      { class: "outside", "aria-label": "Types and the number of tensors of each" },
      sorted.map(([type, count]) =>
        h(
          "li",
          {},
          h("span", { class: "swatch", style: `background:${this.colour(type)}` }),
          h("span", { class: "name" }, type),
          ` ${count} tensor${count === 1 ? "" : "s"}`,
        ),
      ),
    );
  }
}
