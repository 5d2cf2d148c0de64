// `study awq`: what scaling salient channels does to quantized models, and what the search for the scales saw.
import { curveTable, whiskerTable } from "../chart_tables";
import { asThemselves, chosenFigure } from "../chosen_figure";
import { type CurvePoint, curveChart } from "../curve_chart";
import { figure } from "../figure";
import { change, number, share } from "../format";
import { asNumber, asNumbers, asObjects, asString, type JsonObject, measured, type Run } from "../json";
import { facts, valueMap } from "../parts";
import { dataTable, measuredColumn } from "../table";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import { cellAt, countsOf, kCommon, outcomeOf, percent, statisticsOf } from "./study_parts";
import type { ViewOf } from "./view";

const kClipStep = 0.05; // of the largest weight, between two rungs of the search for clips
const kMostChannels = 240; // drawn of a place; the table has all

const kMeasures: [value: string, text: string][] = [
  ["change", "change of KL"],
  ["kl", "KL"],
  ["ppl", "perplexity"],
];

function isAwq(row: JsonObject): boolean {
  return asString(row.method).startsWith("AWQ");
}

// The best change of each target, in a sentence.
function leadOf(run: Run): string {
  const rows = asObjects(run.result.rows);
  const sentences = [...new Set(rows.map((row) => asString(row.target)))].map((target) => {
    const tried = rows.filter((row) => row.target === target && isAwq(row) && asNumber(row.change) !== null);
    const best = tried.sort((a, b) => (asNumber(a.kl) ?? 0) - (asNumber(b.kl) ?? 0))[0];
    if (!best) return "";
    const m = measured(best, "change");
    const ends = m.low === null || m.high === null ? "" : ` (95\u00a0%: ${change(m.low)} to ${change(m.high)})`;
    return `At ${target} the best is ${asString(best.method)}: KL ${change(m.value)}${ends} against ${asString(best.against)}.`;
  });
  return [...sentences.filter(Boolean), countsOf(run)].join(" ");
}

function methodsFigure(run: Run): HTMLElement | null {
  const rows = asObjects(run.result.rows);
  if (rows.length === 0) return null;
  const targets = [...new Set(rows.map((row) => asString(row.target)))];
  const shown = (target: string, measure: string) =>
    rows
      .filter((row) => (target === "" || asString(row.target) === target) && (measure !== "change" || asNumber(row.change) !== null))
      .map(
        (row): WhiskerRow => ({
          name: `${target === "" ? `${asString(row.target)}: ` : ""}${asString(row.method)}${measure === "change" ? ` against ${asString(row.against)}` : ""}`,
          ...(measure === "change" ? percent(measured(row, "change")) : measured(row, measure)),
          strong: isAwq(row),
        }),
      );
  const label: Record<string, string> = { change: "change of mean KL, %", kl: "mean KL, nats per token", ppl: "perplexity" };
  const base = asNumber(run.result.base_ppl);
  return chosenFigure({
    title: "What each method does to the model",
    note: "With 95 % intervals, paired by window for changes: left of 0 is better. Coloured: AWQ.",
    choices: {
      target: {
        label: "Target",
        values: [...(targets.length > 1 ? [["", "all"] as [string, string]] : []), ...asThemselves(targets)],
      },
      measure: { label: "Measure", values: kMeasures },
    },
    draw: (width, { target, measure }) =>
      whiskerChart(
        shown(target, measure),
        {
          label: label[measure] ?? measure,
          ...(measure === "change" ? { reference: 0 } : {}),
          threshold: measure === "ppl" && base !== null ? { at: base, label: "unquantized" } : null,
        },
        width,
      ),
    table: ({ target, measure }) => whiskerTable("Methods", shown(target, measure), "method", label[measure] ?? measure),
  });
}

function searchFigure(curves: JsonObject[]): HTMLElement | null {
  if (curves.length === 0) return null;
  const points = (target: string) =>
    curves
      .filter((curve) => asString(curve.target) === target)
      .flatMap((curve) => {
        const losses = asNumbers(curve.losses);
        return losses.map(
          (value, i): CurvePoint => ({
            x: i / Math.max(1, losses.length - 1),
            series: asString(curve.place),
            value,
            low: null,
            high: null,
          }),
        );
      });
  const y = "error over that at alpha 0";
  return chosenFigure({
    title: "Error of outputs under the scale, mean over the blocks",
    note: "Scales are the channel's activity to the power alpha: 0 is plain rounding.",
    choices: { target: { label: "Target", values: asThemselves(curves.map((curve) => asString(curve.target))) } },
    draw: (width, { target }) => curveChart(points(target), { x: "alpha", y, reference: 1 }, width),
    table: ({ target }) => curveTable(`Search at ${target}`, points(target), "place", "alpha", y),
  });
}

function channelsFigure(places: JsonObject[]): HTMLElement | null {
  if (places.length === 0) return null;
  const all = (of: string) =>
    places.flatMap((one) => {
      const values = asNumbers(one[of]);
      const known = values.filter((v) => v !== null);
      const mean = known.reduce((sum, v) => sum + v, 0) / Math.max(1, known.length);
      return values.map((value, i): CurvePoint & { rank: number } => ({
        x: (100 * (i + 1)) / values.length,
        rank: i,
        series: asString(one.place),
        value: value === null || of === "scale" ? value : value / mean,
        low: null,
        high: null,
      }));
    });
  // The first ones all, then thinner.
  const drawn = (of: string) => {
    const points = all(of);
    const every = Math.max(1, Math.ceil(points.length / places.length / kMostChannels));
    return points.filter((p) => p.rank < kMostChannels / 4 || p.rank % every === 0);
  };
  const label = (of: string) => (of === "scale" ? "scale" : "mean |x| over its mean");
  return chosenFigure({
    title: "Salient channels of the middle block",
    note: "Channels in the order of their activity, the most active first.",
    choices: {
      of: {
        label: "Shown",
        values: [
          ["mean", "activity"],
          ["scale", "scale found"],
        ],
      },
    },
    draw: (width, { of }) =>
      curveChart(drawn(of), { x: "channels, %", y: label(of), logX: true, logY: true, marks: false, reference: 1 }, width),
    table: ({ of }) => curveTable("Channels", all(of), "place", "channels, %", label(of)),
  });
}

function clipsFigure(shares: (number | null)[]): HTMLElement | null {
  if (shares.length === 0) return null;
  const rows = shares.map(
    (value, i): WhiskerRow => ({
      name: (1 - kClipStep * i).toFixed(2),
      ...percent({ value, low: null, high: null }),
      strong: true,
    }),
  );
  const title = "What the clip search keeps of a group's largest weight";
  return figure({
    title,
    note: "Share of the groups that keep so much of it.",
    draw: (width) => whiskerChart(rows, { label: "groups, %", stems: true, reference: 0 }, width),
    table: () => whiskerTable(title, rows, "kept", "groups, %"),
  }).element;
}

function rowTable(rows: JsonObject[]): HTMLElement | null {
  if (rows.length === 0) return null;
  return dataTable<JsonObject>({
    caption: "Every method at every target",
    rows,
    columns: [
      { head: "target", value: (row) => asString(row.target) },
      { head: "method", value: (row) => asString(row.method) },
      measuredColumn("KL, nats per token", rows, (row) => measured(row, "kl")),
      { head: "perplexity", value: (row) => asNumber(row.ppl), numeric: true },
      measuredColumn("change of KL", rows, (row) => measured(row, "change"), change, 0),
      { head: "against", value: (row) => asString(row.against) || null },
    ],
  });
}

export const awqView: ViewOf = (run, colours) => {
  const curves = asObjects(run.result.curves);
  const alphas = curves.flatMap((curve) =>
    asNumbers(curve.alphas).map((value, layer) => cellAt(layer, asString(curve.place), value, asString(curve.target))),
  );
  const shares = asNumbers(run.result.clip_shares);
  const clipped = shares.length > 0 && shares[0] !== null && shares[0] !== undefined ? 1 - shares[0] : null;
  return {
    title: "Study: scaling salient channels (AWQ)",
    lead: leadOf(run),
    parts: [
      facts([
        { name: "Perplexity, unquantized", value: number(asNumber(run.result.base_ppl)) },
        { name: "Calibration", value: number(asNumber(run.result.calibration_tokens)), detail: "tokens that scales were chosen on" },
        ...(clipped === null ? [] : [{ name: "Groups clipped", value: share(clipped), detail: "by the search for clips" }]),
      ]),
      methodsFigure(run),
      outcomeOf(run),
      rowTable(asObjects(run.result.rows)),
      searchFigure(curves),
      alphas.length > 0
        ? valueMap("Map of the model: alpha chosen", [{ name: "alpha", unit: "", cells: alphas }], colours, {
            note: "The stronger the colour, the more a block's scales follow its activity.",
            row: "place",
            type: "Target",
            scale: "linear",
          })
        : null,
      channelsFigure(asObjects(run.result.channels)),
      clipsFigure(shares),
      statisticsOf(run),
    ],
    shown: [...kCommon, "base_ppl", "calibration_tokens", "rows", "curves", "channels", "clip_shares"],
  };
};
