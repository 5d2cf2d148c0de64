// The two charts that most results need: values with whiskers, one a line; and curves. Drawn with Observable Plot in the page's colours.
import * as Plot from "@observablehq/plot";
import { extent } from "./extent";
import { interval, number } from "./format";
import type { Measured } from "./json";

export interface WhiskerRow extends Measured {
  name: string;
  strong?: boolean; // what the run is about, apart from what it is compared with
  detail?: string; // under the pointer
}

export interface WhiskerOptions {
  label: string; // of the axis
  log?: boolean;
  reference?: number; // a line: no effect, a threshold
  format?: (value: number | null) => string;
}

const kCharacter = 7.2; // pixels, of a name's letters in the widest face
const kAxis = 42; // pixels below a plot: ticks and the axis's label
const kTop = 28;
const kLine = 14; // pixels between names at the ends of curves

// Both charts' look: the page's own face and size.
function common(width: number): Plot.PlotOptions {
  return { width, style: { fontFamily: "inherit", fontSize: "12px", overflow: "visible" } };
}

// One image with a name (figure.ts): what is inside it is not announced piece by piece.
export function accessible(drawing: Element): Element {
  drawing.setAttribute("role", "img");
  for (const part of drawing.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");
  return drawing;
}

export function whiskerChart(rows: WhiskerRow[], options: WhiskerOptions, width: number): Element {
  const longest = Math.max(...rows.map((row) => row.name.length), 4);
  const wanted = Math.round(longest * kCharacter) + 16;
  const marginLeft = Math.min(wanted, Math.round(width * 0.42));
  const shorten = wanted > marginLeft ? { textOverflow: "ellipsis-middle" as const, lineWidth: (marginLeft - 16) / 12 } : {};
  const known = rows.filter((row) => row.value !== null && !(options.log && row.value <= 0));
  const format = options.format ?? number;
  const lowest = Math.min(...known.flatMap((row) => [row.value ?? 0, row.low ?? row.value ?? 0]).filter((v) => !options.log || v > 0));
  const end = (value: number | null) => (value !== null && options.log && value <= 0 ? lowest : value);
  const stroke = (row: WhiskerRow) => (row.strong ? "var(--accent)" : "var(--quiet)");
  return accessible(
    Plot.plot({
      ...common(width),
      marginLeft,
      marginRight: 24,
      marginTop: 8,
      marginBottom: kAxis,
      height: 8 + kAxis + rows.length * (rows.length > 14 ? 19 : 24),
      x: {
        label: options.label,
        labelOffset: kAxis - 6,
        type: options.log ? "log" : "linear",
        grid: true,
        nice: true,
        tickFormat: options.log ? "~g" : undefined,
        ticks: Math.max(3, Math.floor(width / 130)),
      },
      y: { label: null, domain: rows.map((row) => row.name), padding: 0.4 },
      marks: [
        Plot.axisY({ tickSize: 0, label: null, ...shorten }),
        options.reference === undefined ? null : Plot.ruleX([options.reference], { stroke: "var(--ink)", strokeOpacity: 0.6 }),
        Plot.link(
          known.filter((row) => row.low !== null && row.high !== null),
          { x1: (row) => end(row.low), x2: (row) => end(row.high), y1: "name", y2: "name", stroke, strokeWidth: 2, strokeLinecap: "round" },
        ),
        Plot.dot(known, { x: "value", y: "name", r: 4.5, fill: stroke, stroke: "var(--paper)", strokeWidth: 1.5 }),
        Plot.tip(
          known,
          Plot.pointerY({
            x: "value",
            y: "name",
            title: (row: WhiskerRow) =>
              [row.name, format(row.value), row.low === null ? null : `95 %: ${interval(row.low, row.high)}`, row.detail]
                .filter(Boolean)
                .join("\n"),
          }),
        ),
      ],
    }),
  );
}

export interface CurvePoint extends Measured {
  x: number;
  series: string;
  detail?: string;
}

export interface CurveOptions {
  x: string;
  y: string;
  logX?: boolean;
  logY?: boolean;
  height?: number;
  reference?: number;
  strong?: string; // the series drawn in the accent colour; others are quiet and named at their end
  step?: boolean;
  marks?: boolean;
}

// Kept apart by dashes and, where there are few, by colour; every series is named where it ends.
const kLines = ["var(--accent)", "var(--second)", "var(--ink)", "var(--quiet)"];

function usable(value: number | null | undefined): value is number {
  return value !== null && value !== undefined && Number.isFinite(value);
}

// Heights of the names of curves, no two nearer than a line.
function spreadLabels(ends: CurvePoint[], scale: Plot.Scale, height: number): (CurvePoint & { labelAt: number })[] {
  const placed = ends.map((end) => ({ end, pixel: Number(scale.apply(end.value)) })).sort((a, b) => a.pixel - b.pixel);
  for (let i = 1; i < placed.length; i++) {
    const [above, here] = [placed[i - 1], placed[i]];
    if (above && here) here.pixel = Math.max(here.pixel, above.pixel + kLine);
  }
  let lowest = height - kAxis;
  for (const one of placed.reverse()) {
    one.pixel = Math.min(one.pixel, lowest);
    lowest = one.pixel - kLine;
  }
  return placed.map(({ end, pixel }) => ({ ...end, labelAt: Number(scale.invert?.(pixel)) }));
}

export function curveChart(points: CurvePoint[], options: CurveOptions, width: number): Element {
  // What is emphasised is drawn last, upon the others.
  const known = points
    .filter((p) => p.value !== null && !(options.logY && p.value <= 0) && !(options.logX && p.x <= 0))
    .sort((a, b) => Number(a.series === options.strong) - Number(b.series === options.strong));
  const names = [...new Set(known.map((p) => p.series))];
  const colour = (name: string) =>
    options.strong !== undefined
      ? name === options.strong
        ? "var(--accent)"
        : "var(--quiet)"
      : (kLines[names.indexOf(name) % kLines.length] ?? "var(--ink)");
  const ends = names.map((name) => known.filter((p) => p.series === name).at(-1)).filter((p): p is CurvePoint => p !== undefined);
  const named = names.length > 1;
  const height = options.height ?? 340;
  const longest = named ? Math.max(...names.map((name) => name.length)) : 0;
  const heights = known
    .flatMap((p) => [p.value, p.low, p.high, options.reference])
    .filter((v) => usable(v) && (!options.logY || v > 0)) as number[];
  const y = {
    type: options.logY ? ("log" as const) : ("linear" as const),
    domain: extent(heights),
    nice: true,
  };
  const right = extent(known.map((p) => p.x))[1];
  const labels = spreadLabels(ends, Plot.scale({ y: { ...y, range: [height - kAxis, kTop] } }), height);
  return accessible(
    Plot.plot({
      ...common(width),
      height,
      marginLeft: 64,
      marginRight: named ? Math.min(Math.round(longest * kCharacter) + 16, Math.round(width * 0.3)) : 24,
      marginTop: kTop,
      marginBottom: kAxis,
      x: {
        label: options.x,
        type: options.logX ? "log" : "linear",
        tickFormat: options.logX ? "~g" : undefined,
        ticks: Math.max(3, Math.floor(width / 110)),
      },
      y: { ...y, label: options.y, grid: true, tickFormat: options.logY ? "~g" : undefined },
      marks: [
        options.reference === undefined ? null : Plot.ruleY([options.reference], { stroke: "var(--ink)", strokeOpacity: 0.6 }),
        Plot.ruleX(
          known.filter((p) => p.low !== null && p.high !== null && !(options.logY && p.low <= 0)),
          { x: "x", y1: "low", y2: "high", stroke: (p: CurvePoint) => colour(p.series), strokeOpacity: 0.55, strokeWidth: 2 },
        ),
        Plot.line(known, {
          x: "x",
          y: "value",
          z: "series",
          stroke: (p: CurvePoint) => colour(p.series),
          strokeWidth: 1.75,
          curve: options.step ? "step-after" : "linear",
        }),
        options.marks === false
          ? null
          : Plot.dot(known, { x: "x", y: "value", r: 3, fill: (p: CurvePoint) => colour(p.series), stroke: "var(--paper)" }),
        named
          ? [
              Plot.link(labels, { x1: "x", x2: right, y1: "value", y2: "labelAt", stroke: "var(--rule)" }),
              Plot.text(labels, {
                x: right,
                y: "labelAt",
                text: "series",
                dx: 8,
                textAnchor: "start",
                fill: (p: CurvePoint) => colour(p.series),
              }),
            ]
          : null,
        Plot.tip(
          known,
          Plot.pointer({
            x: "x",
            y: "value",
            title: (p: CurvePoint) =>
              [
                named ? p.series : null,
                `${options.x}: ${number(p.x, 4)}`,
                `${options.y}: ${number(p.value)}`,
                p.low === null ? null : `95 %: ${interval(p.low, p.high)}`,
                p.detail,
              ]
                .filter(Boolean)
                .join("\n"),
          }),
        ),
      ],
    }),
  );
}
