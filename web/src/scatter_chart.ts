// Points of two measures, with the interval of the second; a line may join some of them.
import * as Plot from "@observablehq/plot";
import { extent } from "./extent";
import { interval, number } from "./format";
import { accessible, common, farTicks, kAxis, keyHeight, keyMarks, lineColour, lineShape, logTicks, nothing, usable } from "./plot_parts";

export interface ScatterPoint {
  name: string;
  series: string;
  x: number | null;
  y: number | null;
  low: number | null; // of y
  high: number | null;
  ring?: boolean; // marked: what was chosen
  detail?: string;
}

export interface ScatterOptions {
  x: string;
  y: string;
  logX?: boolean; // points at or below 0 are left out
  reference?: number; // of y
  far?: boolean; // a few heights may be far from the rest: then powers of ten on both sides of 0
  line?: ScatterPoint[];
  ringed?: string; // what a ring means
  series?: string[]; // in the order of their colours and shapes; default: as they come
}

const kFar = 20; // times the median

// Points that the chart can show.
export function onScale(points: ScatterPoint[], logX: boolean | undefined): ScatterPoint[] {
  return points.filter((p) => usable(p.x) && usable(p.y) && !(logX && p.x <= 0));
}

export function scatterChart(points: ScatterPoint[], options: ScatterOptions, width: number): Element {
  const known = onScale(points, options.logX);
  if (known.length === 0) return nothing();
  const present = new Set(points.map((p) => p.series));
  const names = options.series ?? [...present];
  const [left, right] = extent(known.map((p) => p.x ?? 0));
  const ys = known.map((p) => Math.abs(p.y ?? 0)).sort((a, b) => a - b);
  const median = ys[Math.floor(ys.length / 2)] ?? 0;
  const [lowest, highest] = extent(known.flatMap((p) => [p.y, p.low, p.high]).filter(usable));
  const unit = options.far && median > 0 && (ys.at(-1) ?? 0) > kFar * median ? 10 ** Math.floor(Math.log10(median)) : null;
  const rings = known.filter((p) => p.ring);
  const line = onScale(options.line ?? [], options.logX);
  const marginLeft = 64;
  const series = names.map((name, place) => ({ name, colour: lineColour(place), shape: lineShape(place) }));
  const key = [
    ...(present.size > 1 ? series.filter((entry) => present.has(entry.name)) : []),
    ...(rings.length > 0 && options.ringed ? [{ name: options.ringed, colour: "var(--bad)", hollow: true }] : []),
  ];
  const marginTop = 24 + keyHeight(key, width);
  return accessible(
    Plot.plot({
      ...common(width),
      height: 376 + marginTop,
      marginLeft,
      marginRight: 24,
      marginTop,
      marginBottom: kAxis,
      x: {
        label: options.x,
        type: options.logX ? "log" : "linear",
        tickFormat: options.logX ? logTicks(left, right) : undefined,
        grid: true,
        ticks: Math.max(3, Math.floor(width / 110)),
        nice: !options.logX,
        inset: 8,
      },
      y: {
        label: options.y,
        grid: true,
        inset: 8,
        ...(unit === null
          ? { nice: true }
          : { type: "symlog", constant: unit, ticks: farTicks(lowest, highest, unit), tickFormat: (value: number) => number(value, 1) }),
      },
      marks: [
        options.reference === undefined ? null : Plot.ruleY([options.reference], { stroke: "var(--ink)", strokeOpacity: 0.6 }),
        Plot.ruleX(
          known.filter((p) => usable(p.low) && usable(p.high)),
          { x: "x", y1: "low", y2: "high", stroke: "var(--quiet)", strokeOpacity: 0.6 },
        ),
        line.length > 1 ? Plot.line(line, { x: "x", y: "y", stroke: "var(--ink)", strokeWidth: 1.25 }) : null,
        names.map((name, place) =>
          Plot.dot(
            known.filter((p) => p.series === name),
            { x: "x", y: "y", r: 4, symbol: lineShape(place), fill: lineColour(place), stroke: "var(--paper)", strokeWidth: 0.75 },
          ),
        ),
        Plot.dot(rings, { x: "x", y: "y", r: 8, stroke: "var(--bad)", strokeWidth: 1.5 }),
        keyMarks(key, width, marginLeft),
        Plot.tip(
          known,
          Plot.pointer({
            x: "x",
            y: "y",
            title: (p: ScatterPoint) =>
              [
                p.name,
                `${options.x}: ${number(p.x)}`,
                `${options.y}: ${number(p.y)}${p.low === null ? "" : ` (95 %: ${interval(p.low, p.high)})`}`,
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
