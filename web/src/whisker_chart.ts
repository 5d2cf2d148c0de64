// Values with whiskers, one a line; several groups of values may share the lines.
import * as Plot from "@observablehq/plot";
import { extent } from "./extent";
import { interval, number } from "./format";
import type { Measured } from "./json";
import {
  accessible,
  common,
  farTicks,
  kAxis,
  kCharacter,
  keyHeight,
  keyMarks,
  logTicks,
  nothing,
  type Threshold,
  usable,
} from "./plot_parts";

export interface WhiskerRow extends Measured {
  name: string;
  strong?: boolean; // what the run is about, apart from what it is compared with
  group?: string; // lines are shared by rows of the same name: the candidate and its controls
  detail?: string; // under the pointer
}

export interface WhiskerOptions {
  label: string; // of the axis
  log?: boolean;
  reference?: number; // a line: no effect
  threshold?: Threshold | null;
  far?: boolean; // a few values may be far from the rest: then powers of ten on both sides of 0
  stems?: boolean; // from 0 to the value: counts and shares
  format?: (value: number | null) => string;
}

const kFar = 20; // beyond it values are far
const kApart = 6; // pixels between groups on a line

export function whiskerChart(rows: WhiskerRow[], options: WhiskerOptions, width: number): Element {
  const known = rows.filter((row) => usable(row.value) && !(options.log && row.value <= 0));
  if (known.length === 0) return nothing();
  const names = [...new Set(rows.map((row) => row.name))];
  const groups = [...new Set(rows.map((row) => row.group ?? ""))];
  const several = groups.length > 1;
  const longest = Math.max(...names.map((name) => name.length), 4);
  const wanted = Math.round(longest * kCharacter) + 16;
  const marginLeft = Math.min(wanted, Math.round(width * 0.42));
  const shorten = wanted > marginLeft ? { textOverflow: "ellipsis-middle" as const, lineWidth: (marginLeft - 16) / 12 } : {};
  const format = options.format ?? number;
  const [lowest] = extent(known.flatMap((row) => [row.value ?? 0, row.low ?? row.value ?? 0]).filter((v) => !options.log || v > 0));
  const end = (value: number | null) => (value !== null && options.log && value <= 0 ? lowest : value);
  const hollow = (place: number) => several && place > 0;
  const stroke = (row: WhiskerRow) => (row.strong ? "var(--accent)" : "var(--quiet)");
  const ends = known.flatMap((row) => [row.value, row.low, row.high, options.reference, options.threshold?.at]).filter(usable);
  const [least, most] = extent(options.log ? ends.filter((v) => v > 0) : ends);
  // Where a few values are far from the rest, both can be seen.
  const far = options.far === true && Math.max(-least, most) > kFar;
  const key = several
    ? groups.map((name, place) => ({
        name,
        colour: known.some((row) => row.group === name && row.strong) ? "var(--accent)" : "var(--quiet)",
        hollow: hollow(place),
      }))
    : [];
  const marginTop = 8 + keyHeight(key, width) + (options.threshold ? 14 : 0);
  const line = (names.length > 14 ? 19 : 24) + (several ? kApart : 0);
  return accessible(
    Plot.plot({
      ...common(width),
      marginLeft,
      marginRight: 24,
      marginTop,
      marginBottom: kAxis,
      height: marginTop + kAxis + names.length * line,
      x: {
        label: options.label,
        labelOffset: kAxis - 6,
        type: options.log ? "log" : far ? "symlog" : "linear",
        grid: true,
        nice: !far,
        tickFormat: options.log ? logTicks(least, most) : far ? (value: number) => number(value) : undefined,
        ticks: far ? farTicks(least, most) : Math.max(2, Math.floor((width - marginLeft) / 110)),
      },
      y: { label: null, domain: names, padding: 0.4 },
      marks: [
        Plot.axisY({ tickSize: 0, label: null, ...shorten }),
        options.reference === undefined ? null : Plot.ruleX([options.reference], { stroke: "var(--ink)", strokeOpacity: 0.6 }),
        options.threshold ? thresholdX(options.threshold, options.threshold.at > (least + most) / 2) : null,
        groups.map((group, place) => {
          const own = known.filter((row) => (row.group ?? "") === group);
          const dy = several ? (place - (groups.length - 1) / 2) * 2 * kApart * 0.75 : 0;
          return [
            options.stems ? Plot.ruleY(own, { x1: 0, x2: "value", y: "name", dy, stroke, strokeWidth: 2 }) : null,
            Plot.link(
              own.filter((row) => usable(row.low) && usable(row.high)),
              {
                x1: (row) => end(row.low),
                x2: (row) => end(row.high),
                y1: "name",
                y2: "name",
                dy,
                stroke,
                strokeWidth: 2,
                strokeLinecap: "round",
              },
            ),
            Plot.dot(own, {
              x: "value",
              y: "name",
              dy,
              r: hollow(place) ? 3.5 : 4.5,
              fill: hollow(place) ? "var(--paper)" : stroke,
              stroke: hollow(place) ? stroke : "var(--paper)",
              strokeWidth: 1.5,
            }),
          ];
        }),
        keyMarks(key, width, marginLeft),
        Plot.tip(
          known,
          Plot.pointerY({
            x: "value",
            y: "name",
            title: (row: WhiskerRow) =>
              [
                row.name,
                row.group,
                format(row.value),
                row.low === null
                  ? null
                  : `95 %: ${options.format ? `${format(row.low)} to ${format(row.high)}` : interval(row.low, row.high)}`,
                row.detail,
              ]
                .filter(Boolean)
                .join("\n"),
          }),
        ),
      ],
    }),
  );
}

// Its word stands within the plot: on the side that has room.
function thresholdX(threshold: Threshold, atRight: boolean): Plot.Markish[] {
  return [
    Plot.ruleX([threshold.at], { stroke: "var(--ink)", strokeDasharray: "4 3" }),
    Plot.text([threshold.label], {
      x: threshold.at,
      frameAnchor: "top",
      textAnchor: atRight ? "end" : "start",
      dx: atRight ? 4 : -4,
      dy: -12,
      fill: "var(--muted)",
    }),
  ];
}
