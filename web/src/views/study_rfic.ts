// `study rfic`: weights that might be zeroed before quantization: what that gains in their group, what it harms, what the full model says.
import { scatterTable, whiskerTable } from "../chart_tables";
import { chosenFigure } from "../chosen_figure";
import { h } from "../dom";
import { figure } from "../figure";
import { interval, number } from "../format";
import { asNumber, asNumbers, asObject, asObjects, asString, asStrings, type JsonObject, measured, type Run } from "../json";
import { badge, facts, type MapChoice, valueMap } from "../parts";
import { onScale, type ScatterPoint, scatterChart } from "../scatter_chart";
import { dataTable, measuredColumn } from "../table";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import { grouped, kCommon, outcomeOf, statisticsOf } from "./study_parts";
import type { ViewOf } from "./view";

const kMostDrawn = 4000; // candidates in the scatter
const kMilli = 1000;

interface Candidate {
  of: JsonObject;
  place: number; // in the result's list
  name: string;
  rule: string;
  benefit: number | null;
  harm: number | null;
  front: boolean;
  zeroed: boolean;
  gains: boolean; // with benefit, and harm below the median of its matrix and rule
}

function candidatesOf(run: Run): Candidate[] {
  const front = new Set(asNumbers(run.result.front));
  const zeroed = new Set(asNumbers(run.result.zeroed));
  const key = (of: JsonObject) => `${asString(of.tensor)} ${asString(of.rule)}`;
  const medians = new Map(asObjects(run.result.summary).map((row) => [key(row), asNumber(row.median_harm)]));
  return asObjects(run.result.candidates).map((of, place) => {
    const benefit = asNumber(of.benefit);
    const harm = asNumber(of.harm);
    const median = medians.get(key(of)) ?? null;
    return {
      of,
      place,
      name: `${asString(of.tensor).replace(/\.weight$/, "")}\u00a0[${number(asNumber(of.row))},\u00a0${number(asNumber(of.column))}]`,
      rule: asString(of.rule),
      benefit,
      harm,
      front: front.has(place),
      zeroed: zeroed.has(place),
      gains: benefit !== null && harm !== null && median !== null && benefit > 0 && harm < median,
    };
  });
}

function paretoFigure(candidates: Candidate[]): HTMLElement | null {
  if (candidates.length === 0) return null;
  const point = (one: Candidate): ScatterPoint => ({
    name: one.name,
    series: `rule ${one.rule}`,
    x: one.harm,
    y: one.benefit,
    low: null,
    high: null,
    ring: one.zeroed,
    detail: [`score ${number(asNumber(one.of.score))}`, one.front ? "on the front" : "", one.zeroed ? "zeroed in the full model" : ""]
      .filter(Boolean)
      .join(", "),
  });
  const of = (shown: string) => candidates.filter((one) => shown === "all" || one.gains);
  const best = (a: Candidate, b: Candidate) =>
    Number(b.front || b.zeroed) - Number(a.front || a.zeroed) || (asNumber(b.of.score) ?? 0) - (asNumber(a.of.score) ?? 0);
  const drawn = (shown: string) => [...of(shown)].sort(best).slice(0, kMostDrawn).map(point);
  // In the order of harm; on the front benefit rises with it.
  const front = (shown: string) =>
    of(shown)
      .filter((one) => one.front)
      .sort((a, b) => (a.harm ?? 0) - (b.harm ?? 0))
      .map(point);
  const series = [...new Set(candidates.map((one) => `rule ${one.rule}`))];
  const gaining = of("gains").length;
  const axes = { x: "harm, relative error of the group's output", y: "benefit, relative error" };
  // Harms span decades, but some may be 0.
  const logX = (points: ScatterPoint[]) => onScale(points, true).length === points.length;
  const most = candidates.length > kMostDrawn ? ` At most ${number(kMostDrawn)} are drawn, the front and the best scores first.` : "";
  return chosenFigure({
    title: "Benefit against harm of zeroing one weight",
    note: `Up and to the left is better; the line is the Pareto front. ${number(gaining)} of ${number(candidates.length)} candidates gain something and harm less than the median of their matrix and rule.${most}`,
    choices: {
      shown: {
        label: "Candidates",
        values: [...(gaining > 0 ? [["gains", "gain, harm below the median"] as [string, string]] : []), ["all", "all"]],
      },
    },
    draw: (width, { shown }) => {
      const points = drawn(shown);
      return scatterChart(
        points,
        { ...axes, logX: logX(points), reference: 0, line: front(shown), series, ringed: "zeroed in the full model" },
        width,
      );
    },
    table: ({ shown }) => scatterTable("Candidates drawn", drawn(shown), { name: "weight", series: "rule", x: "harm", y: "benefit" }),
  });
}

// The last thing first: does zeroing change the loss of the full model?
function changesFigure(checks: JsonObject[]): HTMLElement | null {
  const first = checks[0];
  if (!first) return null;
  const thousandths = (of: JsonObject, key: string) => {
    const m = measured(of, key);
    const times = (v: number | null) => (v === null ? null : kMilli * v);
    return { value: times(m.value), low: times(m.low), high: times(m.high) };
  };
  const rows: WhiskerRow[] = [
    { name: "unquantized", ...thousandths(first, "plain_change") },
    ...checks.map((one) => ({ name: asString(one.method), ...thousandths(one, "zero_change"), strong: true })),
  ];
  const label = "change, 0.001 nats per token";
  return figure({
    title: "What zeroing does to the loss of the full model",
    note: "With 95 % intervals, paired by window: left of 0 the loss falls.",
    draw: (width) => whiskerChart(rows, { label, reference: 0 }, width),
    table: () => whiskerTable("Changes of the loss", rows, "quantized by", label),
  }).element;
}

const kModels: [key: string, name: string][] = [
  ["plain", "model"],
  ["zero_only", "model, zeroed"],
  ["quantized", "quantized"],
  ["zero_quantized", "zeroed, then quantized"],
];

function levelsFigure(checks: JsonObject[]): HTMLElement | null {
  if (checks.length === 0) return null;
  const rows = (measure: string) =>
    checks.flatMap((check) =>
      kModels.flatMap(([key, model]): WhiskerRow[] => {
        const name = `${asString(check.method)}: ${model}`;
        const strong = key.startsWith("zero");
        if (measure === "kl") return `${key}_kl` in check ? [{ name, strong, ...measured(check, `${key}_kl`) }] : [];
        const value = asNumber(asObject(check[key]).ppl);
        const error = asNumber(asObject(check[key]).error);
        const known = value !== null && error !== null;
        return [{ name, strong, value, low: known ? value - error : null, high: known ? value + error : null }];
      }),
    );
  const label = (measure: string) => (measure === "kl" ? "mean KL, nats per token" : "perplexity");
  return chosenFigure({
    title: "The full model, before and after",
    note: "Perplexity with the error as the source forms it, which does not pair windows; KL with its 95 % interval. Coloured: with weights zeroed.",
    choices: {
      measure: {
        label: "Measure",
        values: [
          ["ppl", "perplexity"],
          ["kl", "KL"],
        ],
      },
    },
    draw: (width, { measure }) => whiskerChart(rows(measure), { label: label(measure) }, width),
    table: ({ measure }) => whiskerTable("Levels", rows(measure), "model", label(measure)),
  });
}

const kSigns: Record<string, string> = { improvement: "passed", safe: "passed", failure: "failed", unclear: "inconclusive" };

function verdictsOf(checks: JsonObject[]): HTMLElement | null {
  if (checks.length === 0) return null;
  return h(
    "section",
    { class: "inner" },
    h("h3", {}, "Verdict of the full model"),
    h("p", { class: "note" }, "By an interval paired by window; the source's rule compares unpaired errors."),
    h(
      "ol",
      { class: "verdicts" },
      checks.map((check) => {
        const m = measured(check, "zero_change");
        const verdict = asString(check.verdict);
        return h(
          "li",
          {},
          badge(verdict, kSigns[verdict]),
          h(
            "div",
            {},
            h("strong", {}, asString(check.method)),
            h(
              "p",
              {},
              "Loss changes by ",
              h("b", {}, number(m.value)),
              m.low === null ? "" : ` (95 %: ${interval(m.low, m.high)})`,
              ` nats per token. By the source's rule: ${asString(check.source_verdict) || "\u2013"}.`,
            ),
          ),
        );
      }),
    ),
  );
}

function gateFigure(gate: JsonObject[], candidates: Candidate[]): HTMLElement | null {
  if (gate.length === 0) return null;
  const name = (row: JsonObject) => {
    const one = candidates[asNumber(row.candidate) ?? -1];
    return one ? `${one.name}, rule ${one.rule}` : `candidate ${number(asNumber(row.candidate))}`;
  };
  const rows = gate.map(
    (row): WhiskerRow => ({
      name: name(row),
      ...measured(row, "kl_improvement"),
      strong: true,
      detail: `costs the unquantized model ${number(asNumber(row.zero_kl))}`,
    }),
  );
  const label = "KL taken off, nats per token";
  return figure({
    title: "What zeroing one weight first takes off the KL",
    note: "Of the candidates gated, with 95 % intervals: right of 0 is better. An interval without width rests on a single window.",
    draw: (width) => whiskerChart(rows, { label, reference: 0 }, width),
    table: () =>
      dataTable<JsonObject>({
        caption: "Gated candidates",
        rows: gate,
        columns: [
          { head: "weight", value: name },
          measuredColumn(label, gate, (row) => measured(row, "kl_improvement"), number, 0),
          { head: "perplexity taken off", value: (row) => asNumber(row.ppl_improvement), numeric: true },
          { head: "KL of zeroing alone", value: (row) => asNumber(row.zero_kl), numeric: true },
        ],
      }),
  }).element;
}

function sumOf(values: number[]): number {
  return values.reduce((sum, v) => sum + v, 0);
}

// `over`: of all rules together.
const kSummaries: { key: string; name: string; over?: (values: number[]) => number }[] = [
  { key: "gated", name: "candidates that gain and harm little", over: sumOf },
  { key: "positive", name: "candidates that gain", over: sumOf },
  { key: "best_benefit", name: "best benefit", over: (values) => Math.max(...values) },
  { key: "best_score", name: "best score", over: (values) => Math.max(...values) },
  { key: "median_harm", name: "median harm" },
];

function summaryMaps(summary: JsonObject[]): MapChoice[] {
  const matrices = [...grouped(summary, (row) => asString(row.tensor))];
  const cell = (name: string, type: string, value: number | null) => ({ name, type, value, error: null, belowFloor: false });
  return kSummaries.map(({ key, name, over }) => ({
    name,
    unit: "",
    cells: [
      ...(over
        ? matrices.map(([tensor, rows]) => {
            const values = rows.map((row) => asNumber(row[key])).filter((v) => v !== null);
            return cell(tensor, "all rules", values.length === 0 ? null : over(values));
          })
        : []),
      ...summary.map((row) => cell(asString(row.tensor), `rule ${asString(row.rule)}`, asNumber(row[key]))),
    ],
  }));
}

function checkTable(checks: JsonObject[]): HTMLElement {
  const model = (key: string, name: string) => ({
    head: `perplexity, ${name}`,
    numeric: true,
    value: (row: JsonObject) => asNumber(asObject(row[key]).ppl),
    show: (row: JsonObject) => `${number(asNumber(asObject(row[key]).ppl), 5)} \u00b1 ${number(asNumber(asObject(row[key]).error))}`,
  });
  return dataTable<JsonObject>({
    caption: "The full model",
    rows: checks,
    columns: [
      { head: "quantized by", value: (row) => asString(row.method) },
      ...kModels.map(([key, name]) => model(key, name)),
      measuredColumn("KL, quantized", checks, (row) => measured(row, "quantized_kl")),
      measuredColumn("KL, zeroed, then quantized", checks, (row) => measured(row, "zero_quantized_kl")),
      measuredColumn("change of loss", checks, (row) => measured(row, "zero_change"), number, 0),
      measuredColumn("change, unquantized", checks, (row) => measured(row, "plain_change"), number, 0),
      { head: "by the source's rule", value: (row) => asString(row.source_verdict) },
      { head: "by ours", value: (row) => asString(row.verdict) },
    ],
  });
}

function candidateTable(candidates: Candidate[]): HTMLElement {
  const field = (key: string, head = key) => ({ head, numeric: true, value: (one: Candidate) => asNumber(one.of[key]) });
  return dataTable<Candidate>({
    caption: "Candidates",
    note: "empty: the group's relative error when rounded as it is; score: benefit over harm.",
    rows: candidates,
    columns: [
      { head: "weight", value: (one) => one.name },
      { head: "rule", value: (one) => one.rule },
      ...["layer", "group", "row", "column", "weight", "empty", "benefit", "harm", "score"].map((key) =>
        field(key, key === "weight" ? "value" : key),
      ),
      { head: "front", value: (one) => (one.front ? "front" : null) },
      { head: "zeroed", value: (one) => (one.zeroed ? "zeroed" : null) },
    ],
  });
}

function leadOf(checks: JsonObject[], zeroed: number): string {
  if (checks.length === 0) return "";
  const verdicts = checks.map((one) => {
    const source = asString(one.source_verdict);
    return `${asString(one.verdict)} with ${asString(one.method)}${source === asString(one.verdict) ? "" : ` (by the source's rule ${source})`}`;
  });
  return `Zeroing ${number(zeroed)} ${zeroed === 1 ? "weight" : "weights"} before quantization: ${verdicts.join(", ")}.`;
}

export const rficView: ViewOf = (run, colours) => {
  const { result } = run;
  const candidates = candidatesOf(run);
  const checks = asObjects(result.checks);
  const summary = asObjects(result.summary);
  const config = asString(result.config);
  const named = new Set(summary.map((row) => asString(row.tensor)));
  const unnamed = asStrings(result.tensors).filter((tensor) => !named.has(tensor)); // screened, without a summary
  const sum = (key: string) => sumOf(summary.map((row) => asNumber(row[key]) ?? 0));
  return {
    title: "Study: zeroing weights before quantization (RFIC)",
    lead: leadOf(checks, asNumbers(result.zeroed).length),
    parts: [
      facts([
        {
          name: "Candidates",
          value: number(candidates.length),
          detail: `in ${number(asStrings(result.tensors).length)} matrices, on ${number(asNumber(result.screen_tokens))} tokens`,
        },
        { name: "Gain something", value: number(sum("positive")), detail: `${number(sum("gated"))} of them harm less than the median` },
        ...(config === "" ? [] : [{ name: "Configuration", value: config }]),
        ...(unnamed.length === 0 ? [] : [{ name: "Without a candidate", value: unnamed.join(", ") }]),
        { name: "On the front", value: number(asNumbers(result.front).length) },
        { name: "Zeroed in the full model", value: number(asNumbers(result.zeroed).length) },
        { name: "KL with the matrices rounded", value: number(asNumber(result.gate_baseline_kl)), detail: "nats per token" },
      ]),
      outcomeOf(run),
      verdictsOf(checks),
      changesFigure(checks),
      levelsFigure(checks),
      checks.length > 0 ? checkTable(checks) : null,
      paretoFigure(candidates),
      gateFigure(asObjects(result.gate), candidates),
      summary.length > 0
        ? valueMap("Map of the model: candidates", summaryMaps(summary), colours, { choice: "Shown", type: "Rule", scale: "linear" })
        : null,
      summary.length > 0 ? summaryTable(summary) : null,
      candidates.length > 0 ? candidateTable(candidates) : null,
      statisticsOf(run),
    ],
    shown: [
      ...kCommon,
      "config",
      "tensors",
      "screen_tokens",
      "candidates",
      "front",
      "zeroed",
      "summary",
      "gate_baseline_kl",
      "gate",
      "checks",
    ],
  };
};

function summaryTable(summary: JsonObject[]): HTMLElement {
  return dataTable<JsonObject>({
    caption: "By matrix and rule",
    rows: summary,
    columns: [
      { head: "tensor", value: (row) => asString(row.tensor) },
      { head: "rule", value: (row) => asString(row.rule) },
      ...["layer", "candidates", "positive", "gated", "median_harm", "best_benefit", "best_score"].map((key) => ({
        head: key.replace("_", " "),
        numeric: true,
        value: (row: JsonObject) => asNumber(row[key]),
      })),
    ],
  });
}
