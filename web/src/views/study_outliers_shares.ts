// The shares of `study outliers`: what of the damage of quantization is gone when k weights are put back.
import { curveTable, whiskerTable } from "../chart_tables";
import { asThemselves, chosenFigure } from "../chosen_figure";
import { type CurvePoint, curveChart } from "../curve_chart";
import { figure } from "../figure";
import { number, share } from "../format";
import { asNumber, asObject, asObjects, asString, type JsonObject, type Measured, measured, type Run } from "../json";
import { dataTable, measuredColumn } from "../table";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import { grouped, overDraws, percent, tableIfAny } from "./study_parts";

const kSelections: Record<string, string> = {
  outliers: "outliers",
  controls: "matched controls",
  error: "largest error",
  curvature: "curvature",
  path: "path integral",
};

// What the largest k carries at one type, by outliers, their controls and the best other choice.
interface Answer {
  type: string;
  k: number;
  outliers: Measured;
  controls: Measured;
  beyond: Measured;
  curvature: Measured;
}

const kNone: Measured = { value: null, low: null, high: null };

function answersOf(run: Run): Answer[] {
  const quantization = asObject(run.result.quantization);
  const shares = asObjects(quantization.shares).filter((one) => asNumber(one.share) !== null);
  return [...grouped(shares, (one) => asString(one.type))].map(([type, own]) => {
    const k = Math.max(...own.map((one) => asNumber(one.k) ?? 0));
    const at = (selection: string) =>
      own.filter((one) => asNumber(one.k) === k && asString(one.selection) === selection).map((one) => measured(one, "share"));
    const excess = asObjects(quantization.excesses).find((one) => asString(one.type) === type && asNumber(one.k) === k);
    return {
      type,
      k,
      outliers: at("outliers")[0] ?? kNone,
      controls: overDraws(at("controls")),
      beyond: excess ? measured(excess, "excess") : kNone,
      curvature: at("curvature")[0] ?? kNone,
    };
  });
}

// "0.3 % to 0.8 %", or the one value.
function rangeOf(values: (number | null)[]): string {
  const known = values.filter((v) => v !== null);
  if (known.length === 0) return "";
  const [low, high] = [share(Math.min(...known)), share(Math.max(...known))];
  return low === high ? low : `${low} to ${high}`;
}

export function sharesLead(run: Run): string {
  const answers = answersOf(run);
  const outliers = rangeOf(answers.map((one) => one.outliers.value));
  if (outliers === "") return "";
  const k = number(Math.max(...answers.map((one) => one.k)));
  const controls = rangeOf(answers.map((one) => one.controls.value));
  const curvature = rangeOf(answers.map((one) => one.curvature.value));
  const others = [controls ? `matched controls ${controls}` : "", curvature ? `as many weights chosen by curvature ${curvature}` : ""];
  const more = answers.filter((one) => one.beyond.low !== null && one.beyond.low > 0).map((one) => one.type);
  return [
    `The top ${k} outliers carry ${outliers} of the damage of ${answers.map((one) => one.type).join(", ")}`,
    ...others.filter(Boolean).map((one) => `, ${one}`),
    `. ${more.length > 0 ? `More than matched controls at ${more.join(", ")}.` : "At no type is that certain to be more than matched controls."}`,
  ].join("");
}

export function answerTable(run: Run): HTMLElement | null {
  const answers = answersOf(run);
  if (answers.length === 0) return null;
  const column = (head: string, of: (one: Answer) => Measured) => measuredColumn(head, answers, of, share, 0);
  return dataTable<Answer>({
    caption: "What the most outliers carry",
    note: "Share of the damage that is gone when so many weights are put back, with 95 % intervals; of several draws of controls, the least and the most.",
    rows: answers,
    columns: [
      { head: "type", value: (one) => one.type },
      { head: "weights", value: (one) => one.k },
      column("outliers", (one) => one.outliers),
      column("matched controls", (one) => one.controls),
      column("best by curvature", (one) => one.curvature),
    ],
  });
}

function sharesFigure(shares: JsonObject[]): HTMLElement | null {
  if (shares.length === 0) return null;
  const types = asThemselves(shares.map((one) => asString(one.type)));
  const asked = new Set(["outliers", "controls", "curvature"]);
  const others = shares.some((one) => !asked.has(asString(one.selection)));
  const points = (type: string, measure: string, chosen: string) => {
    const own = shares.filter((one) => asString(one.type) === type && (chosen === "all" || asked.has(asString(one.selection))));
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
      chosen: {
        label: "Chosen by",
        values: [["asked", "outliers, controls, curvature"], ...(others ? [["all", "everything"] as [string, string]] : [])],
      },
    },
    draw: (width, { type, measure, chosen }) =>
      curveChart(points(type, measure, chosen), { x: "weights put back", y: label[measure] ?? measure, logX: true, reference: 0 }, width),
    table: ({ type, measure, chosen }) =>
      curveTable(`Shares at ${type}`, points(type, measure, chosen), "chosen by", "weights", label[measure] ?? measure),
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
