// The weights of `study outliers`: candidates, each with its matched controls, and what zeroing each one does.
import { whiskerTable } from "../chart_tables";
import { asThemselves, chosenFigure } from "../chosen_figure";
import { number } from "../format";
import { asNumber, asNumbers, asObject, asObjects, asString, asStrings, type JsonObject, type Measured, measured, type Run } from "../json";
import type { TypeColours } from "../model_map";
import { type MapChoice, valueMap } from "../parts";
import { type Column, dataTable, measuredColumn } from "../table";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import { percent } from "./study_parts";

const kMostDrawn = 30; // candidates in the figure; the table has all
const kAll = "all prompts";

export interface Weight {
  of: JsonObject;
  place: number; // in the result's list
  name: string;
  kind: string;
  layer: number | null;
  target: number | null; // of a control: its candidate
}

export function weightsOf(run: Run): Weight[] {
  return asObjects(run.result.weights).map((of, place) => ({
    of,
    place,
    name: `${asString(of.tensor).replace(/\.weight$/, "")}\u00a0[${number(asNumber(of.row))},\u00a0${number(asNumber(of.column))}]`,
    kind: asString(of.kind),
    layer: asNumber(of.layer),
    target: asNumber(of.target),
  }));
}

export function isControl(weight: Weight): boolean {
  return weight.kind === "control";
}

export function nameAt(weights: Weight[], place: number | null): string {
  return weights[place ?? -1]?.name ?? `weight ${number(place)}`;
}

interface BehaviourMeasure {
  key: string;
  name: string;
  label: string; // of the axis
  percent?: boolean;
  log?: boolean; // positive, over decades
}

const kBehaviours: BehaviourMeasure[] = [
  { key: "mean_kl", name: "KL", label: "mean KL, nats per token", log: true },
  { key: "tail_kl", name: "tail KL", label: "KL of the worst positions, nats per token", log: true },
  { key: "flip_rate", name: "top token changes", label: "top token changes, %", percent: true },
  { key: "margin_change", name: "change of the margin", label: "change of the logit margin" },
  { key: "relative_ppl_change", name: "change of perplexity", label: "change of perplexity, %", percent: true },
];

// Over all prompts the mean KL has an interval; strata and the other measures have none.
function readOf(weight: Weight, stratum: string, measure: BehaviourMeasure): Measured {
  if (stratum === kAll && measure.key === "mean_kl") return measured(weight.of, "mean_kl");
  const behaviour = asObject(stratum === kAll ? weight.of.all : asObject(weight.of.strata)[stratum]);
  const m: Measured = { value: asNumber(behaviour[measure.key]), low: null, high: null };
  return measure.percent ? percent(m) : m;
}

function strataOf(run: Run): string[] {
  return [kAll, ...asStrings(run.result.strata)];
}

export function candidatesFigure(run: Run, weights: Weight[]): HTMLElement | null {
  const candidates = weights.filter((one) => !isControl(one));
  if (candidates.length === 0) return null;
  const kinds = [...new Set(candidates.map((one) => one.kind))];
  const rows = (chosen: Record<"stratum" | "measure" | "kind", string>) => {
    const measure = kBehaviours.find((one) => one.key === chosen.measure) ?? (kBehaviours[0] as BehaviourMeasure);
    const strength = (one: Weight) => Math.abs(readOf(one, chosen.stratum, measure).value ?? 0);
    const strongest = candidates
      .filter((one) => chosen.kind === "" || one.kind === chosen.kind)
      .sort((a, b) => strength(b) - strength(a))
      .slice(0, kMostDrawn);
    return strongest.flatMap((candidate): WhiskerRow[] => [
      {
        name: candidate.name,
        group: "candidate",
        strong: true,
        ...readOf(candidate, chosen.stratum, measure),
        detail: [asString(candidate.of.label), candidate.of.below_floor === true ? "under the noise floor" : ""].filter(Boolean).join(", "),
      },
      ...weights
        .filter((one) => one.target === candidate.place)
        .map((control) => ({
          name: candidate.name,
          group: "matched controls",
          ...readOf(control, chosen.stratum, measure),
          detail: `control ${control.name}`,
        })),
    ]);
  };
  const measureOf = (key: string) => kBehaviours.find((one) => one.key === key) ?? (kBehaviours[0] as BehaviourMeasure);
  return chosenFigure({
    title: "Zeroing one weight: candidates against their matched controls",
    note: `The ${candidates.length > kMostDrawn ? `${kMostDrawn} candidates of ${number(candidates.length)}` : "candidates"} that change most. KL over all prompts with its 95 % interval; a value of 0 is not drawn on a logarithmic scale.`,
    choices: {
      stratum: { label: "Prompts", values: asThemselves(strataOf(run)) },
      measure: { label: "Measure", values: kBehaviours.map((one) => [one.key, one.name]) },
      kind: { label: "Kind", values: kinds.length > 1 ? [["", "all"], ...asThemselves(kinds)] : [["", "all"]] },
    },
    draw: (width, chosen) => {
      const measure = measureOf(chosen.measure);
      return whiskerChart(rows(chosen), { label: measure.label, ...(measure.log ? { log: true } : { reference: 0 }) }, width);
    },
    table: (chosen) =>
      whiskerTable(`Candidates and controls: ${chosen.stratum}`, rows(chosen), "candidate", measureOf(chosen.measure).label),
  });
}

// The strongest candidate of every matrix.
export function candidateMap(run: Run, weights: Weight[], colours: TypeColours): HTMLElement | null {
  const measure = kBehaviours[0] as BehaviourMeasure;
  const maps = strataOf(run).map((stratum): MapChoice => {
    const strongest = new Map<string, number>();
    for (const weight of weights.filter((one) => !isControl(one))) {
      const { value } = readOf(weight, stratum, measure);
      const tensor = asString(weight.of.tensor);
      if (value !== null && value >= (strongest.get(tensor) ?? 0)) strongest.set(tensor, value);
    }
    const cells = [...strongest].map(([name, value]) => ({ name, type: "", value, error: null, belowFloor: false }));
    return { name: stratum, unit: "mean KL, nats per token", cells };
  });
  const measuredMaps = maps.filter((one) => one.cells.length > 0);
  if (measuredMaps.length === 0) return null;
  return valueMap("Map of the model: the strongest candidate of each matrix", measuredMaps, colours, {
    note: "KL when it alone is zeroed. Matrices without a candidate are left out.",
    choice: "Prompts",
  });
}

export function weightTable(weights: Weight[]): HTMLElement | null {
  if (weights.length === 0) return null;
  const field = (key: string): Column<Weight> => ({ head: key.replaceAll("_", " "), numeric: true, value: (one) => asNumber(one.of[key]) });
  const flag = (key: string): Column<Weight> => ({ head: key, value: (one) => (one.of[key] === true ? key : null) });
  return dataTable<Weight>({
    caption: "Weights",
    rows: weights,
    columns: [
      { head: "weight", value: (one) => one.name },
      { head: "kind", value: (one) => one.kind },
      { head: "source", value: (one) => asString(one.of.source) || null },
      { head: "label", value: (one) => asString(one.of.label) },
      measuredColumn("mean KL", weights, (one) => measured(one.of, "mean_kl")),
      { head: "under the floor", value: (one) => (one.of.below_floor === true ? "under" : null) },
      flag("under"),
      flag("listed"),
      { head: "layer", numeric: true, value: (one) => one.layer },
      { head: "role", value: (one) => asString(one.of.role) },
      { ...field("weight"), head: "value" },
      ...["robust_score", "row_norm", "column_norm", "activation"].map(field),
      { head: "control of", value: (one) => (one.target === null ? null : nameAt(weights, one.target)) },
      field("match_distance"),
      { head: "partner", value: (one) => (asNumber(one.of.partner) === null ? null : nameAt(weights, asNumber(one.of.partner))) },
      measuredColumn("interaction", weights, (one) => measured(one.of, "interaction"), number, 0),
      { ...field("max_stability"), head: "greatest stability" },
      { ...field("max_stability_uncentred"), head: "uncentred" },
    ],
  });
}

// One row for each weight and stratum.
export function behaviourTable(run: Run, weights: Weight[]): HTMLElement | null {
  const rows = weights.flatMap((weight) =>
    strataOf(run)
      .map((stratum) => ({ weight, stratum, of: asObject(stratum === kAll ? weight.of.all : asObject(weight.of.strata)[stratum]) }))
      .filter((row) => Object.keys(row.of).length > 0),
  );
  if (rows.length === 0) return null;
  const fields = [...new Set(rows.flatMap((row) => Object.keys(row.of)))];
  return dataTable<(typeof rows)[number]>({
    caption: "Behaviour by stratum, each weight zeroed alone",
    rows,
    columns: [
      { head: "weight", value: (row) => row.weight.name },
      { head: "kind", value: (row) => row.weight.kind },
      { head: "prompts", value: (row) => row.stratum },
      ...fields.map((key) => ({
        head: key.replaceAll("_", " ").replace("kl", "KL"),
        numeric: true,
        value: (row: (typeof rows)[number]) => asNumber(row.of[key]),
      })),
    ],
  });
}

// One row for each weight and block, positions across.
export function trackingTable(run: Run, weights: Weight[]): HTMLElement | null {
  const bins = asStrings(run.result.position_bins);
  const rows = weights.flatMap((weight) => asObjects(weight.of.perturbation).map((of) => ({ weight, of })));
  if (rows.length === 0) return null;
  type Row = (typeof rows)[number];
  return dataTable<Row>({
    caption: "Perturbation of the residual, by block and position",
    rows,
    columns: [
      { head: "weight", value: (row) => row.weight.name },
      { head: "kind", value: (row) => row.weight.kind },
      ...["layer", "norm", "token_norm", "stability", "stability_uncentred"].map((key) => ({
        head: key.replaceAll("_", " "),
        numeric: true,
        value: (row: Row) => asNumber(row.of[key]),
      })),
      ...bins.map((bin, place) => ({
        head: `positions ${bin}`,
        numeric: true,
        value: (row: Row) => asNumbers(row.of.by_position)[place] ?? null,
      })),
    ],
  });
}
