// `optimize`: the file made, what it is compared with, the recipe, the stages.

import { figure } from "../figure";
import { bytes, change, interval, number, seconds } from "../format";
import { asNumber, asObject, asObjects, asString, asStrings, isObject, type JsonObject, measured, type Run } from "../json";
import { facts, recipeMap, recipeOf, sentences, tableOf } from "../parts";
import { dataTable, measuredColumn } from "../table";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import type { ViewOf } from "./view";

interface File {
  name: string;
  of: JsonObject;
  ours: boolean;
}

export function filesOf(run: Run): File[] {
  const files: File[] = [{ name: "assay", of: run.result, ours: true }];
  for (const key of ["preset", "preset_codes", "larger_preset"]) {
    const one = run.result[key];
    if (isObject(one)) files.push({ name: asString(one.name), of: one, ours: false });
  }
  return files;
}

function changeWords(result: JsonObject): string {
  const m = measured(result, "change");
  const preset = asString(asObject(result.preset).name);
  if (m.value === null || preset === "") return `KL ${number(asNumber(result.measured_kl))} nats per token from the unquantized model.`;
  return `${change(m.value)} KL divergence against ${preset} at ${asNumber(result.bytes) === asNumber(asObject(result.preset).bytes) ? "the same size" : "no larger a size"} (95 %: ${change(m.low)} to ${change(m.high)}).`;
}

export const optimizeView: ViewOf = (run, colours) => {
  const result = run.result;
  const files = filesOf(run);
  const codes = measured(result, "preset_codes_change");
  const rows = files.map(
    (file): WhiskerRow => ({
      name: file.name,
      ...measured(file.of, "measured_kl"),
      strong: file.ours,
      detail: `${bytes(asNumber(file.of.bytes))}, ${number(asNumber(file.of.bpw))} bits per weight`,
    }),
  );
  const stages = asObjects(asObject(run.envelope.run).stages);
  const guards = asObjects(result.guards);
  return {
    title: result.accepted === false ? "The stock preset was kept" : "A better file at the size",
    lead: changeWords(result),
    parts: [
      sentences(asStrings(result.warnings), "warning") as HTMLElement | null,
      facts([
        {
          name: "KL divergence",
          value: number(asNumber(result.measured_kl)),
          detail: `nats per token, 95 %: ${interval(measured(result, "measured_kl").low, measured(result, "measured_kl").high)}`,
        },
        {
          name: "size",
          value: bytes(asNumber(result.bytes)),
          detail: `${number(asNumber(result.bpw))} bits per weight; budget ${bytes(asNumber(result.budget_bytes))}`,
        },
        { name: "perplexity", value: number(asNumber(result.ppl), 5), detail: `unquantized ${number(asNumber(result.base_ppl), 5)}` },
        {
          name: "predicted KL",
          value: number(asNumber(result.predicted_kl)),
          detail: `no recipe of this size is predicted below ${number(asNumber(result.bound))}`,
        },
        ...(codes.value === null
          ? []
          : [{ name: "from codes alone", value: change(codes.value), detail: `95 %: ${change(codes.low)} to ${change(codes.high)}` }]),
      ]),
      figure({
        title: "KL divergence of each file",
        note: "From the unquantized model, on the evaluation text, with 95 % intervals: lower is better.",
        draw: (width) =>
          whiskerChart(
            rows,
            {
              label: "KL, nats per token",
              log: Math.max(...rows.map((r) => r.value ?? 0)) > 20 * Math.min(...rows.map((r) => r.value ?? 1)),
            },
            width,
          ),
      }).element,
      dataTable<File>({
        caption: "Files",
        rows: files,
        columns: [
          { head: "file", value: (row) => row.name },
          { head: "size", numeric: true, value: (row) => asNumber(row.of.bytes), show: (row) => bytes(asNumber(row.of.bytes)) },
          { head: "bits per weight", value: (row) => asNumber(row.of.bpw) },
          measuredColumn("KL, nats per token", files, (row) => measured(row.of, "measured_kl")),
          { head: "perplexity", numeric: true, value: (row) => asNumber(row.of.ppl), show: (row) => number(asNumber(row.of.ppl), 5) },
        ],
      }),
      recipeMap("Map of the model: the recipe", recipeOf(result.recipe), colours),
      guards.length > 0 ? tableOf("Guards: texts of other domains", guards) : null,
      stages.length > 0
        ? dataTable<JsonObject>({
            caption: "Stages",
            rows: stages,
            columns: [
              { head: "stage", value: (row) => asString(row.name) },
              { head: "time", numeric: true, value: (row) => asNumber(row.seconds), show: (row) => seconds(asNumber(row.seconds)) },
              {
                head: "peak memory",
                numeric: true,
                value: (row) => asNumber(row.peak_memory_bytes),
                show: (row) => bytes(asNumber(row.peak_memory_bytes)),
              },
            ],
          })
        : null,
    ],
    shown: [
      "recipe",
      "preset",
      "preset_codes",
      "larger_preset",
      "guards",
      "warnings",
      "bytes",
      "bpw",
      "measured_kl",
      "ppl",
      "base_ppl",
      "predicted_kl",
      "bound",
      "budget_bytes",
      "change",
      "preset_codes_change",
    ],
  };
};
