// `study qpsa` and `study pqi`, and any later study: verdicts first, then what they rest on.
import { type CurvePoint, curveChart, type WhiskerRow, whiskerChart } from "../charts";
import { choice, h } from "../dom";
import { figure } from "../figure";
import { number, words } from "../format";
import { asNumber, asNumbers, asObject, asObjects, asString, asStrings, type JsonObject, measured, type Run } from "../json";
import { badge, everything, sentences, tableOf, valueMap, verdictList } from "../parts";
import { dataTable, measuredColumn } from "../table";
import type { ViewOf } from "./view";

function statisticsFigure(statistics: JsonObject[], title: string, reference?: number): HTMLElement | null {
  const rows = statistics.map(
    (one): WhiskerRow => ({
      name: asString(one.name ?? one.of),
      ...measured(one, one.rho === undefined ? "value" : "rho", "ci95"),
      strong: one.apart_from_zero !== false,
    }),
  );
  if (rows.length === 0) return null;
  return figure({
    title,
    note: "With 95 % intervals.",
    draw: (width) =>
      whiskerChart(
        rows,
        { label: reference === undefined ? "value" : "rank correlation", ...(reference === undefined ? {} : { reference }) },
        width,
      ),
  }).element;
}

function pruningFigure(rows: JsonObject[]): HTMLElement | null {
  if (rows.length === 0) return null;
  const points = rows
    .filter((one) => asNumber(one.k) !== null)
    .map((one): CurvePoint => {
      const own = measured(one, "ppl_ratio");
      const quartiles = asNumbers(one.quartiles);
      return {
        x: asNumber(one.k) ?? 0,
        series: asString(one.method),
        value: own.value,
        low: own.low ?? quartiles[0] ?? null,
        high: own.high ?? quartiles[1] ?? null,
      };
    });
  const names = [...new Set(points.map((p) => p.series))];
  let strong = names.find((name) => name.startsWith("qpsa")) ?? names[0] ?? "";
  const page = figure({
    title: "Perplexity without the k least important layers",
    note: "Over that of the whole model: lower is better. Random draws: median and quartiles.",
    controls: [
      choice(
        "Emphasised",
        names.map((name) => [name, name]),
        strong,
        (name) => {
          strong = name;
          page.redraw();
        },
      ),
    ],
    draw: (width) => curveChart(points, { x: "layers left out", y: "perplexity ratio", logY: true, strong, height: 380 }, width),
    table: () => tableOf("Pruning", rows),
  });
  return page.element;
}

// One row of cells per method, over layers: scores as shares of their sum, so that methods of other units stand beside one another.
function methodMap(run: Run): JsonObject[] {
  return asObjects(run.result.methods).flatMap((one) => {
    const scores = asNumbers(one.scores);
    const sum = scores.reduce<number>((total, v) => total + Math.abs(v ?? 0), 0) || 1;
    return scores.map(
      (value, layer): JsonObject => ({ name: `blk.${layer}.${asString(one.name)}`, value: value === null ? null : value / sum }),
    );
  });
}

// Layers down, methods across, with the quadrant each layer falls into.
function layerTable(run: Run): HTMLElement {
  const methods = asObjects(run.result.methods);
  const quadrants = asStrings(run.result.quadrants);
  const layers = methods.length === 0 ? [] : asNumbers(methods[0]?.scores).map((_, layer) => layer);
  return dataTable<number>({
    caption: "Scores of the layers",
    rows: layers,
    columns: [
      { head: "layer", value: (layer) => layer },
      ...(quadrants.length === 0 ? [] : [{ head: "quadrant", value: (layer: number) => quadrants[layer] ?? null }]),
      ...methods.map((one) => ({
        head: words(asString(one.name)),
        value: (layer: number) => asNumbers(one.scores)[layer] ?? null,
        numeric: true,
      })),
    ],
  });
}

function methodTable(run: Run): HTMLElement {
  const methods = asObjects(run.result.methods);
  return dataTable<JsonObject>({
    caption: "Methods",
    note: "Layers in order of importance; rank correlation of the even with the odd samples.",
    rows: methods,
    columns: [
      { head: "method", value: (one) => asString(one.name) },
      { head: "layers, most important first", value: (one) => asNumbers(one.ranking).join(", ") },
      measuredColumn("split half", methods, (one) => measured(one, "split_half")),
      { head: "cost, forward passes", value: (one) => asNumber(one.forward_equivalents) },
    ],
  });
}

function outcomeOf(run: Run): HTMLElement | null {
  const verdicts = asObjects(run.result.verdicts);
  if (verdicts.length === 0) return null;
  return h(
    "section",
    { class: "inner" },
    h("h3", { class: "verdict-head" }, "Verdict ", badge(asString(run.result.outcome))),
    h(
      "p",
      { class: "note" },
      run.result.post_hoc === true
        ? "The criteria were changed after measurements began. "
        : "The criteria were written down before the first measurement. ",
      "SHA-256 of the criteria: ",
      h("code", {}, asString(run.result.criteria_sha256).slice(0, 16) || "\u2013"),
    ),
    verdictList(verdicts),
  );
}

const kCommon = ["verdicts", "outcome", "criteria_sha256", "post_hoc", "notes", "statistics"];

function sentenceOf(run: Run): string {
  const verdicts = asObjects(run.result.verdicts);
  const count = (outcome: string) => verdicts.filter((one) => one.outcome === outcome).length;
  return verdicts.length === 0
    ? ""
    : `${verdicts.length} criteria: ${count("passed")} passed, ${count("failed")} failed, ${count("inconclusive")} inconclusive.`;
}

const qpsaView: ViewOf = (run, colours) => {
  const cells = methodMap(run).map((one) => ({
    name: asString(one.name),
    type: "",
    value: asNumber(one.value),
    error: null,
    belowFloor: false,
  }));
  return {
    title: "Study: which layers matter (QPSA)",
    lead: sentenceOf(run),
    parts: [
      outcomeOf(run),
      valueMap("Layers by every method: share of the method's total", [{ name: "share of score", unit: "", cells }], colours),
      layerTable(run),
      methodTable(run),
      pruningFigure(asObjects(run.result.pruning)),
      statisticsFigure(asObjects(run.result.correlations), "Rank correlations between methods", 0),
      tableOf("Correlations over layers", asObjects(run.result.correlations)),
      tableOf("Statistics that criteria can be about", asObjects(run.result.statistics)),
      asObjects(run.result.regions).length > 0 ? tableOf("Score by part of a block", asObjects(run.result.regions)) : null,
      asObjects(run.result.loops).length > 0 ? tableOf("Loops", asObjects(run.result.loops)) : null,
    ],
    shown: [...kCommon, "methods", "quadrants", "correlations", "pruning", "regions", "loops"],
  };
};

function pqiFigures(types: JsonObject[]): HTMLElement[] {
  const all = types.map((type): WhiskerRow => ({ name: asString(type.type), ...measured(asObject(type.all), "share"), strong: true }));
  let chosen = types[0] ?? {};
  const typeChoice = (redraw: () => void) =>
    choice(
      "Type",
      types.map((type) => [asString(type.type), asString(type.type)]),
      asString(chosen.type),
      (name) => {
        chosen = types.find((type) => asString(type.type) === name) ?? chosen;
        redraw();
      },
    );
  const layerRows = (): WhiskerRow[] =>
    asObjects(chosen.layers).map((one) => ({
      name: asString(one.name),
      ...measured(one, "share"),
      strong: true,
      detail: `change ${number(asNumber(one.change))}`,
    }));
  const layers = figure({
    title: "Share that first and second order explain, each layer alone",
    note: "Of the change of loss, with 95 % intervals: 1 is all of it.",
    controls: [typeChoice(() => layers.redraw())],
    draw: (width) => whiskerChart(layerRows(), { label: "share of the change", reference: 1 }, width),
    table: () => tableOf(`Layers at ${asString(chosen.type)}`, asObjects(chosen.layers)),
  });
  const closure = figure({
    title: "Error of the integral, by rule and number of intervals",
    note: "Predicted less measured change of loss, with 95 % intervals.",
    controls: [typeChoice(() => closure.redraw())],
    draw: (width) =>
      curveChart(
        asObjects(chosen.closure).map((one) => ({ x: asNumber(one.points) ?? 0, series: asString(one.rule), ...measured(one, "error") })),
        { x: "gradients", y: "error, nats per token", logX: true, reference: 0 },
        width,
      ),
    table: () => tableOf(`Integral at ${asString(chosen.type)}`, asObjects(chosen.closure)),
  });
  return [
    figure({
      title: "Share that first and second order explain",
      note: "Everything quantized, with 95 % intervals: 1 is all of the change.",
      draw: (width) => whiskerChart(all, { label: "share of the change", reference: 1 }, width),
    }).element,
    layers.element,
    closure.element,
  ];
}

const pqiView: ViewOf = (run, colours) => {
  const types = asObjects(run.result.types);
  const cells = types.flatMap((type) =>
    asObjects(type.matrices).map((one) => ({
      name: asString(one.name),
      type: asString(type.type),
      value: asNumber(one.contribution),
      error: null,
      belowFloor: false,
    })),
  );
  return {
    title: "Study: what quantization costs along its path (PQI)",
    lead: sentenceOf(run),
    parts: [
      outcomeOf(run),
      ...(types.length > 0 ? pqiFigures(types) : []),
      cells.length > 0
        ? valueMap(
            "Map of the model: contribution to the change of loss",
            [{ name: "contribution", unit: "nats per token", cells }],
            colours,
          )
        : null,
      ...types.flatMap((type) => [
        h("h3", { class: "group" }, `At ${asString(type.type)}`),
        tableOf("Matrices", asObjects(type.matrices)),
        tableOf("Steps along the path", asObjects(type.steps)),
        tableOf("Coverage by the largest weights", asObjects(type.coverage)),
        tableOf("Agreement of measures", asObjects(type.agreements)),
      ]),
      tableOf("Statistics that criteria can be about", asObjects(run.result.statistics)),
    ],
    shown: [...kCommon, "types"],
  };
};

// A study that the page has no figures for yet: verdicts, statistics, and the rest as tables.
const otherView: ViewOf = (run) => ({
  title: `Study: ${words(asString(run.result.study) || "results")}`,
  lead: sentenceOf(run),
  parts: [
    outcomeOf(run),
    statisticsFigure(asObjects(run.result.statistics), "Statistics"),
    asObjects(run.result.statistics).length > 0 ? tableOf("Statistics", asObjects(run.result.statistics)) : null,
    ...everything(run.result, [...kCommon, "tokens_scored", "windows", "documents", "interval"]),
  ],
  shown: Object.keys(run.result),
});

export const studyView: ViewOf = (run, colours) => {
  const view =
    run.result.study === "pqi" ? pqiView : run.result.methods !== undefined && run.result.pruning !== undefined ? qpsaView : otherView;
  const made = view(run, colours);
  return { ...made, parts: [sentences(asStrings(run.result.notes), "note") as HTMLElement | null, ...made.parts] };
};
