// The shares of `study outliers`: what of the damage of quantization is gone when k weights are put back.
import { curveTable, whiskerTable } from "../chart_tables";
import { asThemselves, chosenFigure } from "../chosen_figure";
import { type CurvePoint, curveChart } from "../curve_chart";
import { figure } from "../figure";
import { number, share } from "../format";
import { asNumber, asObject, asObjects, asString, type JsonObject, measured, type Run } from "../json";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import { grouped, overDraws, percent, tableIfAny } from "./study_parts";

const kSelections: Record<string, string> = {
  outliers: "outliers",
  controls: "matched controls",
  error: "largest error",
  curvature: "curvature",
  path: "path integral",
};

// The largest k of a type, outliers against controls and the best other selection, in a sentence.
function sentenceOf(type: string, shares: JsonObject[], excesses: JsonObject[]): string {
  const own = shares.filter((one) => asString(one.type) === type && asNumber(one.share) !== null);
  const k = Math.max(...own.map((one) => asNumber(one.k) ?? 0));
  const at = (selection: string) => own.filter((one) => asNumber(one.k) === k && asString(one.selection) === selection);
  const outliers = at("outliers")[0];
  if (!outliers) return "";
  const m = measured(outliers, "share");
  const ends = m.low === null || m.high === null ? "" : ` (95 %: ${share(m.low)} to ${share(m.high)})`;
  const controls = overDraws(at("controls").map((one) => measured(one, "share"))).value;
  const excess = excesses.find((one) => asString(one.type) === type && asNumber(one.k) === k);
  const beyond = excess ? measured(excess, "excess") : null;
  const curvature = at("curvature")[0];
  const weights = k === 1 ? "The largest outlier carries" : `The top ${number(k)} outliers carry`;
  return [
    `${weights} ${share(m.value)} of the damage at ${type}${ends}`,
    controls === null ? "" : `, matched controls ${share(controls)}`,
    curvature ? `, as many weights chosen by curvature ${share(asNumber(curvature.share))}` : "",
    beyond?.low != null && beyond.high != null
      ? `; beyond controls ${share(beyond.value)} (${share(beyond.low)} to ${share(beyond.high)})`
      : "",
    ".",
  ].join("");
}

export function sharesSentences(run: Run): string[] {
  const quantization = asObject(run.result.quantization);
  const shares = asObjects(quantization.shares);
  const types = [...new Set(shares.map((one) => asString(one.type)))];
  return types.map((type) => sentenceOf(type, shares, asObjects(quantization.excesses))).filter(Boolean);
}

function sharesFigure(shares: JsonObject[]): HTMLElement | null {
  if (shares.length === 0) return null;
  const types = asThemselves(shares.map((one) => asString(one.type)));
  const points = (type: string, measure: string) => {
    const own = shares.filter((one) => asString(one.type) === type);
    return [...grouped(own, (one) => `${asString(one.selection)} ${asNumber(one.k)}`).values()].map((draws): CurvePoint => {
      const first = draws[0] ?? {};
      return {
        x: asNumber(first.k) ?? 0,
        series: kSelections[asString(first.selection)] ?? asString(first.selection),
        ...percent(overDraws(draws.map((one) => measured(one, measure)))),
        ...(draws.length > 1 ? { detail: `mean, least and most of ${draws.length} draws` } : {}),
      };
    });
  };
  const label: Record<string, string> = { share: "share of the KL, %", nll_share: "share of the change of loss, %" };
  return chosenFigure({
    title: "Share of the damage that k weights carry",
    note: "Gone when the k weights of each kind are put back to their own values. Whiskers: 95 % intervals; of several draws of controls, the least and the most.",
    choices: {
      type: { label: "Type", values: types },
      measure: {
        label: "Measure",
        values: [
          ["share", "KL"],
          ["nll_share", "loss"],
        ],
      },
    },
    draw: (width, { type, measure }) =>
      curveChart(points(type, measure), { x: "weights put back", y: label[measure] ?? measure, logX: true, reference: 0 }, width),
    table: ({ type, measure }) => curveTable(`Shares at ${type}`, points(type, measure), "chosen by", "weights", label[measure] ?? measure),
  });
}

function excessFigure(excesses: JsonObject[]): HTMLElement | null {
  if (excesses.length === 0) return null;
  const rows = excesses.map((one): WhiskerRow => {
    const m = percent(measured(one, "excess"));
    return {
      name: `${asString(one.type)}, top ${number(asNumber(one.k))}`,
      ...m,
      strong: m.low !== null && m.high !== null && (m.low > 0 || m.high < 0),
    };
  });
  const label = "share of the damage beyond matched controls, points";
  const title = "Do outliers carry more than matched controls?";
  return figure({
    title,
    note: "With 95 % intervals; coloured where 0 is excluded: right of 0 the outliers carry more.",
    draw: (width) => whiskerChart(rows, { label, reference: 0 }, width),
    table: () => whiskerTable(title, rows, "outliers", label),
  }).element;
}

export function sharesParts(run: Run): (HTMLElement | null)[] {
  const quantization = asObject(run.result.quantization);
  const shares = asObjects(quantization.shares);
  return [sharesFigure(shares), excessFigure(asObjects(quantization.excesses))];
}

export function sharesTables(run: Run): (HTMLElement | null)[] {
  const quantization = asObject(run.result.quantization);
  return [
    tableIfAny("Damage of quantization", asObjects(quantization.damages)),
    tableIfAny("Shares", asObjects(quantization.shares)),
    tableIfAny("Shares beyond matched controls", asObjects(quantization.excesses)),
  ];
}
