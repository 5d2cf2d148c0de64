// `compare`: scores judged against what was measured, and the plans made from them.

import { choice } from "../dom";
import { figure } from "../figure";
import { change, number, words } from "../format";
import { asNumber, asObject, asObjects, asString, asStrings, type JsonObject, measured } from "../json";
import { badge, sentences, tableOf } from "../parts";
import { dataTable, measuredColumn } from "../table";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import type { ViewOf } from "./view";

const kAgreements = ["overall", "within_type", "within_role", "within_tensor", "given_size"];

// `given_size` is a correlation alone, the others are agreements with one inside.
function correlation(judgement: JsonObject, of: string, interval: string) {
  const agreement = asObject(judgement[of]);
  return measured(of === "given_size" ? agreement : asObject(agreement.spearman), "value", interval);
}

function judged(truths: JsonObject[]): HTMLElement {
  let truth = truths[0] ?? {};
  let of = "overall";
  let interval = "ci95_blocks";
  const rows = (): WhiskerRow[] =>
    asObjects(truth.judgements)
      .map((one) => ({
        name: asString(one.score),
        ...correlation(one, of, interval),
        strong: asString(one.verdict) === "informative",
        detail: asString(one.verdict),
      }))
      .sort((a, b) => (b.value ?? -9) - (a.value ?? -9));
  const page = figure({
    title: "Agreement of each score with what was measured",
    note: "Spearman's rank correlation with its 95 % interval. The coloured points are the scores found informative; 0 is chance.",
    controls: [
      choice(
        "Measured",
        truths.map((one) => [asString(one.truth), asString(one.truth)]),
        asString(truth.truth),
        (name) => {
          truth = truths.find((one) => asString(one.truth) === name) ?? truth;
          page.redraw();
        },
      ),
      choice(
        "Compared",
        kAgreements.map((one) => [one, words(one)]),
        of,
        (name) => {
          of = name;
          page.redraw();
        },
      ),
      choice(
        "Interval over",
        [
          ["ci95_blocks", "blocks"],
          ["ci95_documents", "documents"],
        ],
        interval,
        (name) => {
          interval = name;
          page.redraw();
        },
      ),
    ],
    draw: (width) => whiskerChart(rows(), { label: "rank correlation", reference: 0 }, width),
    table: () => {
      const shown = rows();
      return dataTable<WhiskerRow>({
        caption: `Rank correlation ${words(of)}, ${asString(truth.truth)}`,
        rows: shown,
        columns: [
          { head: "score", value: (row) => row.name },
          measuredColumn("rank correlation", shown, (row) => row, number, 0),
          { head: "verdict", value: (row) => row.detail ?? "" },
        ],
      });
    },
  });
  return page.element;
}

function judgementTable(truth: JsonObject): HTMLElement {
  const rows = asObjects(truth.judgements);
  return dataTable<JsonObject>({
    caption: `Against ${asString(truth.truth)}: ${number(asNumber(truth.items))} items`,
    note: "Rank correlations with 95 % intervals over blocks; p after Holm's correction.",
    rows,
    columns: [
      { head: "score", value: (row) => asString(row.score) },
      { head: "verdict", value: (row) => asString(row.verdict), show: (row) => badge(asString(row.verdict)) },
      measuredColumn("overall", rows, (row) => correlation(row, "overall", "ci95_blocks"), number, 0),
      measuredColumn("given size", rows, (row) => correlation(row, "given_size", "ci95_blocks"), number, 0),
      { head: "within type", numeric: true, value: (row) => correlation(row, "within_type", "ci95_blocks").value },
      { head: "p", numeric: true, value: (row) => asNumber(row.p_holm) },
      { head: "p given size", numeric: true, value: (row) => asNumber(row.p_given_size_holm) },
      { head: "smallest detectable", numeric: true, value: (row) => asNumber(row.smallest_detectable) },
    ],
  });
}

function planned(plans: JsonObject[]): HTMLElement[] {
  const sizes = [...new Set(plans.map((one) => asNumber(one.bpw) ?? 0))].sort((a, b) => a - b);
  let size = sizes[Math.floor(sizes.length / 2)] ?? 0;
  const rows = (): WhiskerRow[] =>
    plans
      .filter((one) => asNumber(one.bpw) === size)
      .map((one) => ({
        name: asString(one.score),
        ...measured(one, "mean_kl"),
        strong: asString(one.score) === "measured",
        detail: `regret ${change(asNumber(one.regret))}`,
      }))
      .sort((a, b) => (a.value ?? 9e9) - (b.value ?? 9e9));
  const page = figure({
    title: "What recipes made from each score cost",
    note: "KL divergence of the recipe solved from the score, with its 95 % interval: lower is better. The coloured point is the recipe from measured damage.",
    controls: [
      choice(
        "Bits per weight",
        sizes.map((one) => [String(one), String(one)]),
        String(size),
        (one) => {
          size = Number(one);
          page.redraw();
        },
      ),
    ],
    draw: (width) => whiskerChart(rows(), { label: "mean KL, nats per token", log: true }, width),
  });
  return [
    page.element,
    dataTable<JsonObject>({
      caption: "Recipes made from the scores",
      rows: plans,
      columns: [
        { head: "score", value: (row) => asString(row.score) },
        { head: "bits per weight", value: (row) => asNumber(row.bpw) },
        { head: "bytes", value: (row) => asNumber(row.bytes) },
        measuredColumn("mean KL", plans, (row) => measured(row, "mean_kl")),
        measuredColumn("regret", plans, (row) => measured(row, "regret"), change, 0),
      ],
    }),
  ];
}

export const compareView: ViewOf = (run) => {
  const truths = asObjects(run.result.truths);
  const plans = asObjects(run.result.plans);
  const scores = asObjects(run.result.scores);
  const best = asObjects(truths[0]?.judgements).filter((one) => asString(one.verdict) === "informative");
  return {
    title: "Which scores to trust on this model",
    ...(truths[0]
      ? {
          lead: `Against ${asString(truths[0].truth)}, ${best.length} of ${asObjects(truths[0].judgements).length} scores are informative beyond size and chance.`,
        }
      : {}),
    parts: [
      sentences(asStrings(run.result.notes), "note") as HTMLElement | null,
      truths.length > 0 ? judged(truths) : null,
      ...truths.map(judgementTable),
      ...(plans.length > 0 ? planned(plans) : []),
      scores.length > 0 ? tableOf("The scores", scores) : null,
    ],
    shown: ["truths", "plans", "scores", "notes"],
  };
};
