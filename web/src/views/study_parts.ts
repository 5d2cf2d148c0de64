// What the views of studies share: the verdict, the statistics that criteria are about, and small readers.
import { whiskerTable } from "../chart_tables";
import { h } from "../dom";
import { figure } from "../figure";
import { asObjects, asString, type JsonObject, type Measured, measured, type Run } from "../json";
import { badge, type TableCell, tableOf, verdictList } from "../parts";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";

// Fields that outcomeOf(), statisticsOf() and the notes above a view show.
export const kCommon = ["study", "verdicts", "outcome", "criteria_sha256", "post_hoc", "notes", "statistics"];

export function outcomeOf(run: Run): HTMLElement | null {
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

// How many criteria came out how.
export function countsOf(run: Run): string {
  const verdicts = asObjects(run.result.verdicts);
  const count = (outcome: string) => verdicts.filter((one) => one.outcome === outcome).length;
  if (verdicts.length === 1) return `The one criterion: ${asString(verdicts[0]?.outcome)}.`;
  return verdicts.length === 0
    ? ""
    : `${verdicts.length} criteria: ${count("passed")} passed, ${count("failed")} failed, ${count("inconclusive")} inconclusive.`;
}

export function statisticsFigure(statistics: JsonObject[], title: string, reference?: number): HTMLElement | null {
  const rows = statistics.map(
    (one): WhiskerRow => ({
      name: asString(one.name ?? one.of),
      ...measured(one, one.rho === undefined ? "value" : "rho", "ci95"),
      strong: one.apart_from_zero !== false,
    }),
  );
  if (rows.length === 0) return null;
  const label = reference === undefined ? "value" : "rank correlation";
  return figure({
    title,
    note: "With 95 % intervals.",
    draw: (width) => whiskerChart(rows, { label, ...(reference === undefined ? {} : { reference }) }, width),
    table: () => whiskerTable(title, rows, "of", label),
  }).element;
}

export function statisticsOf(run: Run): HTMLElement | null {
  return tableIfAny("Statistics that criteria can be about", asObjects(run.result.statistics));
}

export function tableIfAny(caption: string, rows: JsonObject[], note?: string): HTMLElement | null {
  return rows.length === 0 ? null : tableOf(caption, rows, note);
}

// In percent.
export function percent(m: Measured): Measured {
  const times = (value: number | null) => (value === null ? null : 100 * value);
  return { value: times(m.value), low: times(m.low), high: times(m.high) };
}

// The mean of several draws of one thing, from the lowest to the highest; of one draw, its own interval.
export function overDraws(draws: Measured[]): Measured {
  const values = draws.map((one) => one.value).filter((v) => v !== null);
  if (draws.length === 1 && draws[0]) return draws[0];
  if (values.length === 0) return { value: null, low: null, high: null };
  return { value: values.reduce((sum, v) => sum + v, 0) / values.length, low: Math.min(...values), high: Math.max(...values) };
}

// Rows of one key together, in the order in which the keys come first.
export function grouped<Row>(rows: Row[], key: (row: Row) => string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), row]);
  return groups;
}

// A cell of a map, at a layer and with a name of its own there.
export function cellAt(layer: number | null, role: string, value: number | null, type = ""): TableCell {
  return { name: `blk.${layer ?? -1}.${role}`, type, value, error: null, belowFloor: false };
}
