// `study attention`: what is lost when layers attend to their strongest keys alone, and how many dimensions of the rest bring it back.
import { curveTable, whiskerTable } from "../chart_tables";
import { asThemselves, type Choice, chosenFigure } from "../chosen_figure";
import { type CurvePoint, curveChart } from "../curve_chart";
import { number } from "../format";
import { asNumber, asNumbers, asObject, asObjects, asString, type JsonObject, type Measured, measured, type Run } from "../json";
import { facts, type MapChoice, tableOf, valueMap } from "../parts";
import { type Column, dataTable, measuredColumn } from "../table";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import { budgetTable, ruleOf, savingsFigure } from "./study_attention_rules";
import { cellAt, countsOf, grouped, kCommon, outcomeOf, overDraws, percent, statisticsFigure, statisticsOf } from "./study_parts";
import type { ViewOf } from "./view";

const kEnough = 90; // percent recovered, or of the energy kept: what the verdict asks for

interface MeasureOfRows {
  key: string;
  name: string;
  label: string; // of the axis
  percent?: boolean; // a share, shown in percent
}

const kLoss: MeasureOfRows[] = [
  { key: "ppl_change", name: "change of perplexity", label: "change of perplexity" },
  { key: "nll_difference", name: "change of loss", label: "change of loss, nats per token" },
  { key: "kl", name: "KL", label: "mean KL, nats per token" },
  { key: "flip_rate", name: "top token changes", label: "top token changes, %", percent: true },
];

const kRecovery: MeasureOfRows[] = [
  { key: "recovery_percent", name: "recovered", label: "recovered of what top-1 loses, %" },
  { key: "residual_lead", name: "lead of the residual's basis", label: "lead of the residual's basis, points" },
  ...kLoss,
  { key: "energy_kept", name: "energy kept", label: "energy of the residual kept, %", percent: true },
  { key: "energy_kept_fitted", name: "energy kept, fitted", label: "energy kept on the basis's own windows, %", percent: true },
];

function choiceOf(label: string, measures: MeasureOfRows[]): Choice {
  return { label, values: measures.map((one) => [one.key, one.name]) };
}

function measureOf(measures: MeasureOfRows[], key: string): MeasureOfRows {
  return measures.find((one) => one.key === key) ?? (measures[0] as MeasureOfRows);
}

function readOf(row: JsonObject, measure: MeasureOfRows): Measured {
  const m = measured(row, measure.key);
  return measure.percent ? percent(m) : m;
}

function layersOf(row: JsonObject): string {
  return asNumbers(row.layers).map(String).join(", ");
}

function measuredIn(rows: JsonObject[], measures: MeasureOfRows[]): MeasureOfRows[] {
  return measures.filter((measure) => rows.some((row) => asNumber(row[measure.key]) !== null));
}

// ---- the answer: recovery over rank

function recoveryFigure(rows: JsonObject[]): HTMLElement | null {
  const lowRank = rows.filter((row) => row.rule === "low-rank");
  if (lowRank.length === 0) return null;
  const setOf = (row: JsonObject) => (row.set === "together" ? "together" : `layer ${layersOf(row)} alone`);
  const measures = measuredIn(lowRank, kRecovery);
  if (measures.length === 0) return null;
  const points = (set: string, measure: MeasureOfRows) => {
    const cells = grouped(
      lowRank.filter((row) => setOf(row) === set && asNumber(row[measure.key]) !== null),
      (row) => `${asString(row.basis)} ${asNumber(row.k)}`,
    );
    return [...cells.values()].map((draws): CurvePoint => {
      const first = draws[0] ?? {};
      // The lead over random bases is over the mean of all draws already.
      const read = measure.key === "residual_lead" ? draws.slice(0, 1) : draws;
      return {
        x: asNumber(first.k) ?? 0,
        series: asString(first.basis),
        ...overDraws(read.map((row) => readOf(row, measure))),
        ...(read.length > 1 ? { detail: `mean, least and most of ${read.length} draws` } : {}),
      };
    });
  };
  return chosenFigure({
    title: "What a basis of each rank recovers",
    note: `Of the layers' residual: what is left beside the strongest key. Whiskers are 95 % intervals; of several random draws, the least and the most. The line is ${kEnough} %.`,
    choices: {
      set: { label: "Layers", values: asThemselves(lowRank.map(setOf)) },
      measure: choiceOf("Measure", measures),
    },
    draw: (width, { set, measure }) => {
      const of = measureOf(measures, measure);
      const enough = of.key === "recovery_percent" || of.key.startsWith("energy");
      return curveChart(
        points(set, of),
        {
          x: "rank",
          y: of.label,
          logX: true,
          height: 400,
          ...(enough ? { threshold: { at: kEnough, label: `${kEnough} %` } } : { reference: 0 }),
        },
        width,
      );
    },
    table: ({ set, measure }) => {
      const of = measureOf(measures, measure);
      return curveTable(`Bases, ${set}`, points(set, of), "basis", "rank", of.label);
    },
  });
}

// ---- what is lost, by layers

function suffixFigure(rows: JsonObject[]): HTMLElement | null {
  const suffixes = rows.filter((row) => row.set === "suffixes");
  if (suffixes.length === 0) return null;
  const measures = measuredIn(suffixes, kLoss);
  if (measures.length === 0) return null;
  const points = (measure: MeasureOfRows) =>
    suffixes
      .map((row): CurvePoint => ({ x: asNumbers(row.layers).length, series: ruleOf(row), ...readOf(row, measure) }))
      .sort((a, b) => a.x - b.x);
  return chosenFigure({
    title: "Loss when the last layers are replaced together",
    note: "With 95 % intervals.",
    choices: { measure: choiceOf("Measure", measures) },
    draw: (width, { measure }) => {
      const of = measureOf(measures, measure);
      return curveChart(points(of), { x: "last layers replaced", y: of.label, reference: 0 }, width);
    },
    table: ({ measure }) => {
      const of = measureOf(measures, measure);
      return curveTable("Last layers replaced", points(of), "rule", "layers", of.label);
    },
  });
}

const kSets: [value: string, text: string][] = [
  ["alone", "one layer"],
  ["subsets", "subsets of the chosen layers"],
  ["heads", "one head"],
  ["together", "the chosen layers, every rule"],
];

function lossFigure(run: Run, rows: JsonObject[]): HTMLElement | null {
  const crystallised = new Set(
    asObjects(asObject(run.result.crystallisation).layers)
      .filter((one) => one.crystallised === true)
      .map((one) => asNumber(one.layer)),
  );
  const of = (set: string) => rows.filter((row) => row.set === set && row.rule !== "full" && row.rule !== "low-rank");
  const sets = kSets.filter(([set]) => of(set).length > 0);
  if (sets.length === 0) return null;
  const measures = measuredIn(
    rows.filter((row) => row.rule !== "low-rank"),
    kLoss,
  );
  if (measures.length === 0) return null;
  const shown = (set: string, measure: MeasureOfRows) =>
    of(set).map((row): WhiskerRow => {
      const head = asNumber(row.head);
      const place = `${asNumbers(row.layers).length === 1 ? "layer" : "layers"} ${layersOf(row)}${head === null ? "" : `, head ${head}`}`;
      const known = set === "alone" && crystallised.has(asNumbers(row.layers)[0] ?? null);
      return {
        name: set === "together" || ruleOf(row) !== "top-1" ? `${ruleOf(row)}, ${place}` : place,
        ...readOf(row, measure),
        strong: set !== "alone" || known || crystallised.size === 0,
        ...(known ? { detail: "crystallised" } : {}),
      };
    });
  return chosenFigure({
    title: "Loss when keys but the strongest are left out",
    note:
      crystallised.size === 0
        ? "With 95 % intervals."
        : "With 95 % intervals. Of single layers, those that are crystallised are coloured: they attend almost to one key.",
    choices: { set: { label: "Replaced", values: sets }, measure: choiceOf("Measure", measures) },
    draw: (width, { set, measure }) => {
      const by = measureOf(measures, measure);
      return whiskerChart(shown(set, by), { label: by.label, reference: 0 }, width);
    },
    table: ({ set, measure }) => {
      const by = measureOf(measures, measure);
      return whiskerTable("Replaced", shown(set, by), "replaced", by.label);
    },
  });
}

// ---- crystallisation

function crystalMaps(run: Run, rows: JsonObject[]): MapChoice[] {
  const heads = asObjects(asObject(run.result.crystallisation).heads);
  const map = (name: string, key: string, unit: string): MapChoice => ({
    name,
    unit,
    cells: heads.map((one) => cellAt(asNumber(one.layer), `head ${number(asNumber(one.head))}`, asNumber(one[key]))),
  });
  const alone = rows.filter((row) => row.set === "heads");
  const maps = [
    map("p2/p1", "ratio", "second weight over the first"),
    map("margin", "margin", "first weight less the second"),
    map("stability", "stability", "share of positions"),
    {
      name: "loss of top-1",
      unit: "nats per token",
      cells: alone.map((row) =>
        cellAt(asNumbers(row.layers)[0] ?? null, `head ${number(asNumber(row.head))}`, asNumber(row.nll_difference)),
      ),
    },
  ];
  return maps.filter((one) => one.cells.length > 0);
}

function crystalTable(layers: JsonObject[]): HTMLElement | null {
  if (layers.length === 0) return null;
  return dataTable<JsonObject>({
    caption: "Crystallisation of the layers",
    rows: layers,
    columns: [
      { head: "layer", value: (row) => asNumber(row.layer) },
      { head: "p2/p1", numeric: true, value: (row) => asNumber(row.ratio) },
      { head: "margin", numeric: true, value: (row) => asNumber(row.margin) },
      { head: "stability", numeric: true, value: (row) => asNumber(row.stability) },
      { head: "crystallised", value: (row) => (row.crystallised === true ? "crystallised" : null) },
      measuredColumn("loss of top-1", layers, (row) => measured(row, "top1_loss"), number, 0),
    ],
  });
}

function predictionsOf(predictions: JsonObject[]): JsonObject[] {
  return predictions.map((one) => ({
    of: `${asString(one.predictor)}, over ${number(asNumber(one.n))} ${asString(one.over)}`,
    rho: one.rho ?? null,
    ci95: one.rho_ci95 ?? null,
    smallest_detectable: one.smallest_detectable ?? null,
    apart_from_zero: (asNumbers(one.rho_ci95)[0] ?? -1) > 0 || (asNumbers(one.rho_ci95)[1] ?? 1) < 0,
  }));
}

// ---- spectra

function spectraFigure(spectra: JsonObject[]): HTMLElement | null {
  if (spectra.length === 0) return null;
  const layers = [...new Set(spectra.map((one) => String(asNumber(one.layer))))];
  const points = (layer: string) =>
    spectra
      .filter((one) => String(asNumber(one.layer)) === layer)
      .flatMap((one) =>
        asNumbers(one.cumulative).map(
          (value, i): CurvePoint => ({
            x: i + 1,
            series: `head ${number(asNumber(one.head))}`,
            ...percent({ value, low: null, high: null }),
          }),
        ),
      );
  const y = "energy of the residual, %";
  return chosenFigure({
    title: "Spectrum of the residual",
    note: `What the first dimensions hold of a head's energy, on the basis windows. The line is ${kEnough} %.`,
    choices: { layer: { label: "Layer", values: asThemselves(layers) } },
    draw: (width, { layer }) =>
      curveChart(points(layer), { x: "dimensions", y, marks: false, threshold: { at: kEnough, label: `${kEnough} %` } }, width),
    table: ({ layer }) => curveTable(`Spectra of layer ${layer}`, points(layer), "head", "dimensions", y),
  });
}

function rankTable(spectra: JsonObject[]): HTMLElement | null {
  if (spectra.length === 0) return null;
  return dataTable<JsonObject>({
    caption: "Effective rank of the residual",
    rows: spectra,
    columns: [
      { head: "head", value: (one) => `layer ${number(asNumber(one.layer))}, head ${number(asNumber(one.head))}` },
      { head: "dimensions for 90 %", numeric: true, value: (one) => asNumber(one.r90) },
      { head: "participation ratio", numeric: true, value: (one) => asNumber(one.participation_ratio) },
      { head: "of", numeric: true, value: (one) => asNumbers(one.cumulative).length || null },
    ],
  });
}

function rowTable(rows: JsonObject[]): HTMLElement | null {
  if (rows.length === 0) return null;
  const field = (key: string, head: string): Column<JsonObject> => ({ head, numeric: true, value: (row) => asNumber(row[key]) });
  const interval = (key: string, head: string) => measuredColumn(head, rows, (row: JsonObject) => measured(row, key), number, 0);
  return dataTable<JsonObject>({
    caption: "Every replacement",
    rows,
    columns: [
      { head: "rule", value: (row) => asString(row.rule) },
      field("k", "keys or rank"),
      { head: "basis", value: (row) => asString(row.basis) || null },
      field("draw", "draw"),
      { head: "set", value: (row) => asString(row.set) },
      { head: "layers", value: layersOf },
      field("head", "head"),
      field("ppl", "perplexity"),
      interval("ppl_change", "change of perplexity"),
      interval("nll_difference", "change of loss"),
      interval("kl", "KL"),
      field("flip_rate", "top token changes"),
      interval("recovery_percent", "recovered, %"),
      interval("residual_lead", "lead of the residual's basis"),
      field("energy_kept", "energy kept"),
      field("energy_kept_fitted", "energy kept, fitted"),
    ],
  });
}

function answerOf(run: Run): HTMLElement | null {
  const verdict = asObject(run.result.verdict);
  if (Object.keys(verdict).length === 0) return null;
  const yesNo = (value: unknown) => (value === true ? "yes" : value === false ? "no" : "\u2013");
  const published = asNumber(verdict.published_recovery_percent);
  return facts([
    {
      name: "By the published rule",
      value: asString(verdict.published) || "\u2013",
      detail: `rank ${number(asNumber(verdict.published_rank))} recovers ${number(published)} %`,
    },
    {
      name: "By ours",
      value: asString(verdict.ours) || "\u2013",
      detail:
        asNumber(verdict.rank) === null
          ? `no rank reaches ${kEnough}\u00a0% by its whole interval`
          : `rank ${number(asNumber(verdict.rank))} reaches ${kEnough}\u00a0% by its whole interval`,
    },
    {
      name: "Better than a random basis",
      value: yesNo(verdict.beats_random),
      detail: `at rank ${number(asNumber(verdict.compared_rank))}`,
    },
    {
      name: "Better than the values' basis",
      value: yesNo(verdict.beats_values),
      detail: `at rank ${number(asNumber(verdict.compared_rank))}`,
    },
  ]);
}

export const attentionView: ViewOf = (run, colours) => {
  const { result } = run;
  const rows = asObjects(result.rows);
  const crystals = asObject(result.crystallisation);
  const maps = crystalMaps(run, rows);
  const spectra = asObjects(result.spectra);
  const predictions = asObjects(crystals.predictions);
  return {
    title: "Study: attention to the strongest keys alone",
    lead: asString(asObject(result.verdict).sentence) || countsOf(run),
    parts: [
      answerOf(run),
      recoveryFigure(rows),
      outcomeOf(run),
      lossFigure(run, rows),
      suffixFigure(rows),
      budgetTable(asObjects(result.budgets)),
      maps.length > 0
        ? valueMap("Crystallisation: layers and heads", maps, colours, {
            note: "Means over positions: how much the second key gets of the first, the first less the second, how often the first stays it under noise.",
            row: "head",
            choice: "Shown",
            scale: "linear",
          })
        : null,
      crystalTable(asObjects(crystals.layers)),
      statisticsFigure(predictionsOf(predictions), "Does crystallisation predict the loss of top-1?", 0),
      predictions.length > 0 ? tableOf("Predictions of the loss of top-1", predictions) : null,
      spectraFigure(spectra),
      rankTable(spectra),
      savingsFigure(run),
      rowTable(rows),
      statisticsOf(run),
    ],
    shown: [...kCommon, "rows", "spectra", "crystallisation", "budgets", "decoder_context", "savings", "verdict"],
  };
};
