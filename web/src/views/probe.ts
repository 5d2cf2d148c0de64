// `probe`: what each variant does. `eval`: what one file does.

import { choice } from "../dom";
import { figure } from "../figure";
import { interval, number, share } from "../format";
import { asNumber, asObject, asObjects, asString, asStrings, type JsonObject, measured } from "../json";
import { type Fact, facts, sentences, tableOf } from "../parts";
import { dataTable, measuredColumn } from "../table";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import type { ViewOf } from "./view";

const kShown = 30;

export const probeView: ViewOf = (run) => {
  const variants = asObjects(run.result.variants);
  const measures: [key: string, text: string][] = [
    ["mean_kl", "mean KL, nats per token"],
    ["ln_ppl_ratio", "change of log perplexity"],
    ["flip_rate", "flip rate"],
  ];
  let key = "mean_kl";
  const rows = (): WhiskerRow[] =>
    variants
      .map((one) => ({
        name: asString(one.name),
        ...measured(one, key),
        strong: one.below_floor !== true,
        ...(one.below_floor === true ? { detail: "under the noise floor" } : {}),
      }))
      .sort((a, b) => Math.abs(b.value ?? 0) - Math.abs(a.value ?? 0))
      .slice(0, kShown);
  const page = figure({
    title: variants.length > kShown ? `The ${kShown} strongest of ${variants.length} variants` : "Variants, strongest first",
    note: "With 95 % intervals.",
    controls: [
      choice("Measure", measures, key, (one) => {
        key = one;
        page.redraw();
      }),
    ],
    draw: (width) => {
      const shown = rows();
      const values = shown.map((row) => Math.abs(row.value ?? 0)).filter((v) => v > 0);
      const log = key !== "ln_ppl_ratio" && shown.every((row) => (row.value ?? 0) > 0) && Math.max(...values) / Math.min(...values) > 20;
      const label = measures.find(([one]) => one === key)?.[1] ?? "";
      return whiskerChart(shown, log ? { label, log } : { label, reference: 0 }, width);
    },
  });
  return {
    title: variants.length === 1 ? "What one change does" : `What ${variants.length} changes do`,
    parts: [
      sentences(asStrings(run.result.notes), "note") as HTMLElement | null,
      variants.length > 0 ? page.element : null,
      variants.length > 0
        ? dataTable<JsonObject>({
            caption: "Variants",
            rows: variants,
            columns: [
              { head: "variant", value: (row) => asString(row.name) },
              { head: "place", value: (row) => asNumber(row.place) },
              measuredColumn("mean KL", variants, (row) => measured(row, "mean_kl")),
              measuredColumn("ln PPL ratio", variants, (row) => measured(row, "ln_ppl_ratio"), number, 0),
              measuredColumn("flip rate", variants, (row) => measured(row, "flip_rate"), share),
              { head: "windows", value: (row) => asNumber(row.windows) },
              { head: "under the floor", value: (row) => (row.below_floor === true ? "yes" : "no") },
            ],
          })
        : null,
      asObjects(run.result.groups).length > 0 ? tableOf("Groups", asObjects(run.result.groups)) : null,
    ],
    shown: ["variants", "groups", "notes"],
  };
};

export const evalView: ViewOf = (run) => {
  const result = run.result;
  const list: Fact[] = [];
  const add = (name: string, key: string, format: (v: number | null) => string = number) => {
    const m = measured(result, key);
    if (m.value === null) return;
    list.push({
      name,
      value: format(m.value),
      ...(m.low === null
        ? {}
        : { detail: `95 %: ${format === number ? interval(m.low, m.high) : `${format(m.low)} to ${format(m.high)}`}` }),
    });
  };
  add("perplexity", "ppl", (v) => number(v, 5));
  add("perplexity of the base", "base_ppl", (v) => number(v, 5));
  add("ln PPL ratio", "ln_ppl_ratio");
  add("mean KL", "mean_kl");
  add("mean of the worst 5 %", "tail_kl");
  add("flip rate", "flip_rate", share);
  add("mean change of margin", "mean_margin_change");
  const percentiles = Object.entries(asObject(result.percentiles)).flatMap(([of, values]) =>
    Object.entries(asObject(values)).map(([p, value]) => ({ of, percentile: Number(p), value })),
  );
  return {
    title: result.base_ppl === undefined ? "Perplexity" : "Against the base model",
    parts: [facts(list), percentiles.length > 0 ? tableOf("Percentiles over positions", percentiles as JsonObject[]) : null],
    shown: ["ppl", "base_ppl", "ln_ppl_ratio", "mean_kl", "tail_kl", "flip_rate", "mean_margin_change", "percentiles"],
  };
};
