// The rules of `study attention`: their names, how many layers each may replace, and what it would save.
import { chosenFigure } from "../chosen_figure";
import { bytes, number, share } from "../format";
import { asNumber, asObject, asObjects, asString, type JsonObject, type Run } from "../json";
import { type Column, dataTable } from "../table";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import { grouped, percent } from "./study_parts";

export function ruleOf(row: JsonObject): string {
  const rule = asString(row.rule);
  return rule === "top-k" ? `top-${number(asNumber(row.k))}` : rule;
}

const kCosts: [key: string, name: string][] = [
  ["bytes_read", "bytes read"],
  ["flops", "FLOPs"],
  ["cache_bytes", "KV cache"],
];

function costOf(row: JsonObject, side: "full" | "replaced", key: string): number | null {
  return asNumber(asObject(row[side])[key]);
}

function leftOf(row: JsonObject, key: string): number | null {
  const [full, replaced] = [costOf(row, "full", key), costOf(row, "replaced", key)];
  return full === null || replaced === null || full === 0 ? null : replaced / full;
}

function savingName(row: JsonObject): string {
  const k = asNumber(row.k);
  return asString(row.rule) === "low-rank" ? `rank ${number(k)}` : ruleOf(row);
}

export function savingsFigure(run: Run): HTMLElement | null {
  const savings = asObjects(run.result.savings);
  if (savings.length === 0) return null;
  const rows = (key: string) =>
    savings.map(
      (row): WhiskerRow => ({ name: savingName(row), ...percent({ value: leftOf(row, key), low: null, high: null }), strong: true }),
    );
  const label = (key: string) => `${kCosts.find(([one]) => one === key)?.[1] ?? key}, % of full attention`;
  return chosenFigure({
    title: "What decoding would still cost",
    note: `Per token at a context of ${number(asNumber(run.result.decoder_context))} tokens, over the chosen layers, from counts.`,
    choices: { cost: { label: "Cost", values: kCosts } },
    draw: (width, { cost }) =>
      whiskerChart(rows(cost), { label: label(cost), stems: true, threshold: { at: 100, label: "full attention" } }, width),
    table: () =>
      dataTable<JsonObject>({
        caption: "Costs per token",
        rows: savings,
        columns: [
          { head: "rule", value: savingName },
          ...kCosts.flatMap(([key, name]): Column<JsonObject>[] => {
            const show = key === "flops" ? number : bytes;
            return [
              {
                head: `${name}, full`,
                numeric: true,
                value: (row) => costOf(row, "full", key),
                show: (row) => show(costOf(row, "full", key)),
              },
              {
                head: `${name}, replaced`,
                numeric: true,
                value: (row) => costOf(row, "replaced", key),
                show: (row) => show(costOf(row, "replaced", key)),
              },
              { head: "left", numeric: true, value: (row) => leftOf(row, key), show: (row) => share(leftOf(row, key)) },
            ];
          }),
        ],
      }),
  });
}

// Rules down, budgets across.
export function budgetTable(budgets: JsonObject[]): HTMLElement | null {
  if (budgets.length === 0) return null;
  const limits = [...new Set(budgets.map((one) => asNumber(one.ppl_change)))].sort((a, b) => (a ?? 0) - (b ?? 0));
  const rows = [...grouped(budgets, ruleOf)];
  return dataTable<[string, JsonObject[]]>({
    caption: "Most last layers within a budget of perplexity",
    note: "Heads: how much perplexity may rise.",
    rows,
    columns: [
      { head: "rule", value: (row) => row[0] },
      ...limits.map(
        (limit): Column<[string, JsonObject[]]> => ({
          head: `+${number(limit)}`,
          numeric: true,
          value: (row) => asNumber(row[1].find((one) => asNumber(one.ppl_change) === limit)?.layers),
        }),
      ),
    ],
  });
}
