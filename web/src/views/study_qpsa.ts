// `study qpsa`: which layers matter, by the bytes of a file and by other measures.
import { asThemselves, chosenFigure } from "../chosen_figure";
import { type CurvePoint, curveChart } from "../curve_chart";
import { words } from "../format";
import { asNumber, asNumbers, asObjects, asString, asStrings, type JsonObject, measured, type Run } from "../json";
import { tableOf, valueMap } from "../parts";
import { dataTable, measuredColumn } from "../table";
import { countsOf, kCommon, outcomeOf, statisticsFigure, statisticsOf, tableIfAny } from "./study_parts";
import type { ViewOf } from "./view";

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
  return chosenFigure({
    title: "Perplexity without the k least important layers",
    note: "Over that of the whole model: lower is better. Random draws: median and quartiles.",
    choices: {
      strong: { label: "Emphasised", values: asThemselves(names), first: names.find((name) => name.startsWith("qpsa")) ?? names[0] ?? "" },
    },
    draw: (width, { strong }) =>
      curveChart(points, { x: "layers left out", y: "perplexity ratio", logY: true, strong, height: 380 }, width),
    table: () => tableOf("Pruning", rows),
  });
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

// A line for each method and layer, with what is known of the score's error.
function scoreTable(run: Run): HTMLElement | null {
  const rows = asObjects(run.result.methods).flatMap((of) =>
    asNumbers(of.scores).map((score, layer) => {
      const ranks = Array.isArray(of.rank_ci95) ? asNumbers(of.rank_ci95[layer]) : [];
      return {
        method: asString(of.name),
        layer,
        score,
        error: asNumbers(of.standard_errors)[layer] ?? null,
        first: ranks[0] ?? null,
        last: ranks[1] ?? null,
      };
    }),
  );
  if (!rows.some((row) => row.error !== null || row.first !== null)) return null;
  type Row = (typeof rows)[number];
  return dataTable<Row>({
    caption: "Scores with their errors",
    note: "Ranks when samples are drawn again, 95 %.",
    rows,
    columns: [
      { head: "method", value: (row) => row.method },
      { head: "layer", value: (row) => row.layer },
      { head: "score", numeric: true, value: (row) => row.score },
      { head: "standard error", numeric: true, value: (row) => row.error },
      { head: "rank from", numeric: true, value: (row) => row.first },
      { head: "to", numeric: true, value: (row) => row.last },
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

export const qpsaView: ViewOf = (run, colours) => {
  const cells = methodMap(run).map((one) => ({
    name: asString(one.name),
    type: "",
    value: asNumber(one.value),
    error: null,
    belowFloor: false,
  }));
  return {
    title: "Study: which layers matter (QPSA)",
    lead: countsOf(run),
    parts: [
      outcomeOf(run),
      valueMap("Layers by every method: share of the method's total", [{ name: "share of score", unit: "", cells }], colours),
      layerTable(run),
      scoreTable(run),
      methodTable(run),
      pruningFigure(asObjects(run.result.pruning)),
      statisticsFigure(asObjects(run.result.correlations), "Rank correlations between methods", 0),
      tableIfAny("Correlations over layers", asObjects(run.result.correlations)),
      statisticsOf(run),
      tableIfAny("Score by part of a block", asObjects(run.result.regions)),
      tableIfAny("Loops", asObjects(run.result.loops)),
    ],
    shown: [...kCommon, "methods", "quadrants", "correlations", "pruning", "regions", "loops"],
  };
};
