// Curves over a number, each named where it ends.
import * as Plot from "@observablehq/plot";
import { extent } from "./extent";
import { interval, number } from "./format";
import type { Measured } from "./json";
import { accessible, common, kAxis, kCharacter, lineColour, lineDash, logTicks, nothing, type Threshold, usable } from "./plot_parts";

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
  threshold?: Threshold | null;
  strong?: string; // the series drawn in the accent colour; others are quiet and named at their end
  step?: boolean;
  marks?: boolean;
}

const kTop = 28;
const kLine = 14; // pixels between names at the ends of curves
const kBeside = 3; // pixels between series that share their places
const kMostBeside = 8; // series
const kRoom = 0.06; // of the heights, above a threshold
const kWholeTicks = 12; // at most so many whole numbers are all marked

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

// A layer or a number of layers is whole: no tick between.
function wholeTicks(points: CurvePoint[]): number[] | null {
  const values = [...new Set(points.map((p) => p.x))].sort((a, b) => a - b);
  return values.length <= kWholeTicks && values.every(Number.isInteger) ? values : null;
}

export function curveChart(points: CurvePoint[], options: CurveOptions, width: number): Element {
  // What is emphasised is drawn last, upon the others.
  const known = points
    .filter((p) => usable(p.value) && !(options.logY && p.value <= 0) && usable(p.x) && !(options.logX && p.x <= 0))
    .sort((a, b) => Number(a.series === options.strong) - Number(b.series === options.strong));
  if (known.length === 0) return nothing();
  const names = [...new Set(known.map((p) => p.series))];
  const colour = (name: string) =>
    options.strong !== undefined ? (name === options.strong ? "var(--accent)" : "var(--quiet)") : lineColour(names.indexOf(name));
  const dash = (name: string) => (options.strong === undefined ? lineDash(names.indexOf(name)) : undefined);
  const ends = names.map((name) => known.filter((p) => p.series === name).at(-1)).filter((p): p is CurvePoint => p !== undefined);
  const named = names.length > 1;
  const height = Math.max(options.height ?? 340, kTop + kAxis + kLine * names.length);
  const longest = named ? Math.max(...names.map((name) => name.length)) : 0;
  const wanted = Math.round(longest * kCharacter) + 16;
  const marginRight = named ? Math.min(wanted, Math.round(width * 0.36)) : 24;
  const shorten = wanted > marginRight ? { textOverflow: "ellipsis" as const, lineWidth: (marginRight - 20) / 12 } : {};
  const heights = known
    .flatMap((p) => [p.value, p.low, p.high, options.reference, options.threshold?.at])
    .filter((v) => usable(v) && (!options.logY || v > 0)) as number[];
  const [lowest, highest] = extent(heights);
  const ticks = wholeTicks(known);
  // Series that share their places stand beside each other, so that their whiskers can be told apart.
  const beside = (name: string) =>
    names.length <= kMostBeside && known.some((p) => usable(p.low)) ? (names.indexOf(name) - (names.length - 1) / 2) * kBeside : 0;
  const y = {
    type: options.logY ? ("log" as const) : ("linear" as const),
    domain: [lowest, options.threshold?.at === highest ? highest + kRoom * (highest - lowest) : highest],
    nice: true,
  };
  const [left, right] = extent(known.map((p) => p.x));
  const labels = spreadLabels(ends, Plot.scale({ y: { ...y, range: [height - kAxis, kTop] } }), height);
  return accessible(
    Plot.plot({
      ...common(width),
      height,
      marginLeft: 64,
      marginRight,
      marginTop: kTop,
      marginBottom: kAxis,
      x: {
        label: options.x,
        type: options.logX ? "log" : "linear",
        tickFormat: ticks ? (value: number) => number(value) : options.logX ? logTicks(left, right) : undefined,
        ticks: ticks ?? Math.max(3, Math.floor(width / 110)),
      },
      y: { ...y, label: options.y, grid: true, tickFormat: options.logY ? logTicks(lowest, highest) : undefined },
      marks: [
        options.reference === undefined ? null : Plot.ruleY([options.reference], { stroke: "var(--ink)", strokeOpacity: 0.6 }),
        options.threshold
          ? [
              Plot.ruleY([options.threshold.at], { stroke: "var(--ink)", strokeDasharray: "4 3" }),
              Plot.text([options.threshold.label], {
                y: options.threshold.at,
                frameAnchor: "left",
                textAnchor: "start",
                dx: 6,
                dy: -8,
                fill: "var(--muted)",
                stroke: "var(--paper)",
                strokeWidth: 4,
              }),
            ]
          : null,
        names.map((name) => {
          const own = known.filter((p) => p.series === name);
          const dx = beside(name);
          return [
            Plot.ruleX(
              own.filter((p) => usable(p.low) && usable(p.high) && !(options.logY && p.low <= 0)),
              { x: "x", y1: "low", y2: "high", dx, stroke: colour(name), strokeOpacity: 0.55, strokeWidth: 2 },
            ),
            Plot.line(own, {
              x: "x",
              y: "value",
              dx,
              stroke: colour(name),
              strokeWidth: 1.75,
              strokeDasharray: dash(name),
              curve: options.step ? "step-after" : "linear",
            }),
            options.marks === false ? null : Plot.dot(own, { x: "x", y: "value", dx, r: 3, fill: colour(name), stroke: "var(--paper)" }),
          ];
        }),
        named
          ? [
              Plot.link(labels, { x1: "x", x2: right, y1: "value", y2: "labelAt", stroke: "var(--rule)" }),
              Plot.text(labels, {
                x: right,
                y: "labelAt",
                text: "series",
                dx: 8 + Math.max(...names.map(beside)),
                textAnchor: "start",
                ...shorten,
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
