// `study outliers`: whether a few large weights carry what a model does, and what quantization damages.
import { whiskerTable } from "../chart_tables";
import { figure } from "../figure";
import { number } from "../format";
import { asNumber, asNumbers, asObject, asObjects, asString, type JsonObject, type Run } from "../json";
import { facts } from "../parts";
import { type Column, dataTable } from "../table";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import { furtherParts, furtherTables } from "./study_outliers_further";
import { answerTable, sharesLead, sharesParts, sharesTables } from "./study_outliers_shares";
import {
  behaviourTable,
  candidateMap,
  candidatesFigure,
  isControl,
  nameAt,
  trackingTable,
  weightsOf,
  weightTable,
} from "./study_outliers_weights";
import { countsOf, kCommon, outcomeOf, statisticsOf } from "./study_parts";
import type { ViewOf } from "./view";

function countsAt(rows: JsonObject[], place: number): JsonObject {
  return asObject(rows[place]?.counts);
}

// Labels of candidates beside those of their controls, in percent of each: there are more controls.
function labelsFigure(labels: JsonObject): HTMLElement | null {
  const groups: [string, JsonObject][] = [
    ["candidates", countsAt(asObjects(labels.candidates), 0)],
    ["first controls", countsAt(asObjects(labels.controls), 0)],
  ];
  const rows = groups.flatMap(([group, counts]) => {
    const total = Object.values(counts).reduce((sum: number, one) => sum + (asNumber(one) ?? 0), 0);
    return Object.entries(counts).map(
      ([name, count]): WhiskerRow => ({
        name,
        group,
        value: total === 0 ? null : (100 * (asNumber(count) ?? 0)) / total,
        low: null,
        high: null,
        strong: group === "candidates",
        detail: `${number(asNumber(count))} of ${number(total)}`,
      }),
    );
  });
  if (rows.length === 0) return null;
  const title = "What kind of weight each one is";
  return figure({
    title,
    note: "By the first rule that matches, of the candidates and of the first control of each.",
    draw: (width) => whiskerChart(rows, { label: "% of the weights", stems: true, reference: 0 }, width),
    table: () => whiskerTable(title, rows, "label", "% of the weights"),
  }).element;
}

// Labels across, thresholds down: how much hangs on where the lines were drawn.
function labelsTable(labels: JsonObject): HTMLElement | null {
  const rows = ["candidates", "controls"].flatMap((group) =>
    asObjects(labels[group]).map((one) => ({ group, thresholds: asString(one.thresholds), counts: asObject(one.counts) })),
  );
  if (rows.length === 0) return null;
  type Row = (typeof rows)[number];
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.counts)))];
  return dataTable<Row>({
    caption: "Labels, with each threshold three times as high and a third",
    rows,
    columns: [
      { head: "thresholds", value: (row) => row.thresholds },
      { head: "of", value: (row) => row.group },
      ...names.map((name): Column<Row> => ({ head: name, numeric: true, value: (row) => asNumber(row.counts[name]) })),
    ],
  });
}

function factsOf(run: Run): HTMLElement {
  const { result } = run;
  const weights = weightsOf(run);
  const candidates = weights.filter((one) => !isControl(one));
  const strongest = asNumbers(result.strongest)[0];
  const detail = (tokens: unknown) => `${number(typeof tokens === "number" ? tokens : null)} tokens`;
  return facts([
    { name: "Candidates", value: number(candidates.length), detail: `and ${number(weights.length - candidates.length)} matched controls` },
    ...(strongest === undefined || strongest === null
      ? []
      : [
          {
            name: "The strongest",
            value: nameAt(weights, strongest).replaceAll("\u00a0", " "),
            detail: `KL ${number(asNumber(weights[strongest]?.of.mean_kl))} nats per token when zeroed`,
          },
        ]),
    {
      name: "Detector's grade",
      value: number(asNumber(result.detector_grade)),
      detail: "above 1 it finds a super weight",
    },
    { name: "Prompts", value: number(asNumber(result.prompts)), detail: detail(result.tokens_scored) },
    { name: "Prompts of the shares", value: number(asNumber(result.share_prompts)), detail: detail(result.share_tokens) },
    { name: "Changed models", value: number(asNumber(result.variants)) },
  ]);
}

export const outliersView: ViewOf = (run, colours) => {
  const weights = weightsOf(run);
  const labels = asObject(run.result.labels);
  return {
    title: "Study: do a few outlier weights carry the model?",
    lead: [sharesLead(run), countsOf(run)].filter(Boolean).join(" "),
    parts: [
      answerTable(run),
      factsOf(run),
      ...sharesParts(run),
      outcomeOf(run),
      candidatesFigure(run, weights),
      candidateMap(run, weights, colours),
      labelsFigure(labels),
      labelsTable(labels),
      ...furtherParts(run, weights, colours),
      ...sharesTables(run),
      weightTable(weights),
      behaviourTable(run, weights),
      trackingTable(run, weights),
      ...furtherTables(run, weights),
      statisticsOf(run),
    ],
    shown: [
      ...kCommon,
      "prompts",
      "share_prompts",
      "share_tokens",
      "strata",
      "position_bins",
      "detector_grade",
      "variants",
      "weights",
      "strongest",
      "further",
      "labels",
      "quantization",
    ],
  };
};
