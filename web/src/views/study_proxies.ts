// `study proxies`: whether cheap measures of a changed model predict what it does on tasks.
import { scatterTable, whiskerTable } from "../chart_tables";
import { asThemselves, chosenFigure } from "../chosen_figure";
import { h } from "../dom";
import { interval, number } from "../format";
import { asNumber, asNumbers, asObject, asObjects, asString, asStrings, type JsonObject, type Measured, measured, type Run } from "../json";
import { badge, facts } from "../parts";
import { onScale, type ScatterPoint, scatterChart } from "../scatter_chart";
import { type Column, dataTable, measuredColumn } from "../table";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import { kCommon, outcomeOf, statisticsOf } from "./study_parts";
import type { ViewOf } from "./view";

const kOfTask = "margin drop: ";
const kDecades = 30; // largest over smallest, beyond which a proxy is drawn on a logarithmic scale
const kPreferred = "margin drop"; // the outcome that the verdict is about

// Supported: the proxies fail, which is what was claimed.
const kSigns: Record<string, string> = { supported: "passed", refuted: "failed", underpowered: "inconclusive" };

const kGroups: Record<string, string> = {
  all: "all changed models",
  recipes: "ways to store the model",
  interventions: "interventions",
  mild: "mild: KL at most the median",
};

function first(values: string[], preferred: string): string {
  return values.includes(preferred) ? preferred : (values[0] ?? "");
}

function verdictOf(run: Run): HTMLElement | null {
  const verdict = asString(run.result.verdict);
  if (verdict === "") return null;
  const predicts = number(asNumber(run.result.predicts));
  return h(
    "section",
    { class: "inner" },
    h(
      "h3",
      { class: "verdict-head" },
      `\u201c${asString(run.result.claim) || "proxies do not predict tasks"}\u201d: `,
      badge(verdict, kSigns[verdict]),
    ),
    h(
      "p",
      { class: "note" },
      `Refuted: some proxy's rank correlation with the margin drop is at least ${predicts} by its whole interval, wide enough for all proxies at once. `,
      "Supported: every proxy's interval ends below that, and the outcome is reliable enough to be predicted. Else underpowered. ",
      run.result.post_hoc === true
        ? "The criterion was changed after the first measurement."
        : "The criterion was written down before the first measurement.",
    ),
  );
}

function correlationOf(row: JsonObject, measure: string, over: string): Measured {
  const estimate = asObject(row[measure]);
  const m = measured(estimate, "value", over);
  if (over !== "together") return m;
  const ends = asNumbers(row.together);
  return { value: m.value, low: ends[0] ?? null, high: ends[1] ?? null };
}

function correlationsFigure(run: Run): HTMLElement | null {
  const all = asObjects(run.result.correlations);
  if (all.length === 0) return null;
  const outcomes = [...new Set(all.map((row) => asString(row.outcome)))];
  const groups = [...new Set(all.map((row) => asString(row.group)))];
  const predicts = asNumber(run.result.predicts);
  // `together` is of Spearman's alone.
  const intervalOf = (measure: string, over: string) => (measure === "kendall" && over === "together" ? "ci95_variants" : over);
  const rows = (chosen: Record<"outcome" | "group" | "measure" | "over", string>) =>
    all
      .filter((row) => asString(row.outcome) === chosen.outcome && asString(row.group) === chosen.group)
      .map((row): WhiskerRow => {
        const m = correlationOf(row, chosen.measure, intervalOf(chosen.measure, chosen.over));
        return {
          name: asString(row.proxy),
          ...m,
          strong: m.low !== null && m.high !== null && (m.low > 0 || m.high < 0),
          ...(m.value === null ? { detail: "one side all equal" } : {}),
        };
      })
      .sort((a, b) => (b.value ?? -9) - (a.value ?? -9));
  const label = (measure: string) => (measure === "kendall" ? "Kendall's rank correlation" : "Spearman's rank correlation");
  return chosenFigure({
    title: "Agreement of each proxy with what happens on tasks",
    note: "More damage by the proxy, more on tasks: 1 is perfect, 0 chance. Coloured: the interval excludes 0.",
    choices: {
      outcome: { label: "Outcome", values: asThemselves(outcomes), first: first(outcomes, kPreferred) },
      group: { label: "Models", values: groups.map((group) => [group, kGroups[group] ?? group]), first: first(groups, "all") },
      measure: {
        label: "Correlation",
        values: [
          ["spearman", "Spearman"],
          ["kendall", "Kendall"],
        ],
      },
      over: {
        label: "Interval over",
        values: [
          ["together", "both, for all proxies at once"],
          ["ci95_items", "items"],
          ["ci95_variants", "changed models"],
        ],
      },
    },
    draw: (width, chosen) =>
      whiskerChart(
        rows(chosen),
        {
          label: label(chosen.measure),
          reference: 0,
          threshold: predicts !== null && chosen.measure === "spearman" ? { at: predicts, label: "predicting" } : null,
        },
        width,
      ),
    table: (chosen) =>
      whiskerTable(
        `Agreement with ${chosen.outcome}, ${kGroups[chosen.group] ?? chosen.group}`,
        rows(chosen),
        "proxy",
        label(chosen.measure),
      ),
  });
}

// From 1; equal values share the mean of their ranks.
function ranks(values: number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  return values.map((value) => (sorted.indexOf(value) + sorted.lastIndexOf(value)) / 2 + 1);
}

function scatterFigure(run: Run): HTMLElement | null {
  const variants = asObjects(run.result.variants);
  const proxies = [...new Set(variants.flatMap((one) => Object.keys(asObject(one.proxies))))];
  const outcomes = [...new Set(variants.flatMap((one) => Object.keys(asObject(one.outcomes))))];
  if (proxies.length === 0 || outcomes.length === 0) return null;
  const tasks = asObjects(run.result.tasks).map((task) => asString(task.name));
  const outcomeOfVariant = (one: JsonObject, outcome: string): Measured =>
    outcome.startsWith(kOfTask)
      ? { value: asNumbers(one.margin_drop_by_task)[tasks.indexOf(outcome.slice(kOfTask.length))] ?? null, low: null, high: null }
      : measured(asObject(asObject(one.outcomes)[outcome]), "value", "ci95");
  const kls = variants.map((one) => asNumber(asObject(one.proxies).KL)).filter((v) => v !== null);
  const medianKl = kls.sort((a, b) => a - b)[Math.floor((kls.length - 1) / 2)] ?? 0;
  const isIn: Record<string, (one: JsonObject) => boolean> = {
    all: () => true,
    recipes: (one) => one.recipe === true,
    interventions: (one) => one.recipe !== true,
    mild: (one) => (asNumber(asObject(one.proxies).KL) ?? Number.POSITIVE_INFINITY) <= medianKl,
  };
  const groups = Object.keys(isIn).filter((group) => variants.some(isIn[group] as (one: JsonObject) => boolean));
  const series = [...new Set(variants.map((one) => asString(one.kind) || "changed model"))];
  const points = (proxy: string, outcome: string, group: string) =>
    variants.filter(isIn[group] ?? (() => true)).map((one): ScatterPoint => {
      const m = outcomeOfVariant(one, outcome);
      return {
        name: asString(one.name),
        series: asString(one.kind) || "changed model",
        x: asNumber(asObject(one.proxies)[proxy]),
        y: m.value,
        low: m.low,
        high: m.high,
      };
    });
  const ranked = (shown: ScatterPoint[]) => {
    const known = shown.filter((p) => p.x !== null && p.y !== null);
    const xs = ranks(known.map((p) => p.x ?? 0));
    const ys = ranks(known.map((p) => p.y ?? 0));
    return known.map((p, i): ScatterPoint => ({ ...p, x: xs[i] ?? null, y: ys[i] ?? null, low: null, high: null }));
  };
  const logarithmic = (shown: ScatterPoint[], scale: string) => {
    const values = shown.map((p) => p.x).filter((v) => v !== null);
    return scale === "log" || (scale === "" && values.every((v) => v > 0) && Math.max(...values) > kDecades * Math.min(...values));
  };
  return chosenFigure({
    title: "Each changed model: a proxy against an outcome",
    note: "With 95 % intervals of the outcome over items. Ranks are what the correlations are of. On a logarithmic scale models at 0 or below are left out.",
    choices: {
      proxy: { label: "Proxy", values: asThemselves(proxies), first: first(proxies, "KL") },
      outcome: {
        label: "Outcome",
        values: asThemselves([...outcomes, ...(tasks.length > 1 ? tasks.map((task) => kOfTask + task) : [])]),
        first: first(outcomes, kPreferred),
      },
      scale: {
        label: "Scale",
        values: [
          ["", "as it fits"],
          ["linear", "linear"],
          ["log", "logarithmic"],
          ["ranks", "ranks"],
        ],
      },
      group: { label: "Models", values: groups.map((group) => [group, kGroups[group] ?? group]) },
    },
    draw: (width, { proxy, outcome, scale, group }) => {
      const shown = points(proxy, outcome, group);
      if (scale === "ranks") return scatterChart(ranked(shown), { x: `rank of ${proxy}`, y: `rank of ${outcome}`, series }, width);
      const logX = logarithmic(shown, scale) && onScale(shown, true).length > 0;
      return scatterChart(shown, { x: proxy, y: outcome, logX, far: scale === "", reference: 0, series }, width);
    },
    table: ({ proxy, outcome, group }) =>
      scatterTable(`${proxy} and ${outcome}`, points(proxy, outcome, group), {
        name: "changed model",
        series: "kind",
        x: proxy,
        y: outcome,
      }),
  });
}

function claimTable(claims: JsonObject[]): HTMLElement | null {
  if (claims.length === 0) return null;
  return dataTable<JsonObject>({
    caption: "The claim for every outcome and group of models",
    note: "detectable: the rank correlation found with 80 % power; reliability: of the outcome's ranks, from two halves of the items.",
    rows: claims,
    columns: [
      { head: "outcome", value: (row) => asString(row.outcome) },
      { head: "models", value: (row) => kGroups[asString(row.group)] ?? asString(row.group) },
      { head: "number", value: (row) => asNumber(row.variants) },
      { head: "detectable", numeric: true, value: (row) => asNumber(row.smallest_detectable_rho) },
      { head: "reliability", numeric: true, value: (row) => asNumber(row.reliability) },
      {
        head: "verdict",
        value: (row) => asString(row.verdict),
        show: (row) => badge(asString(row.verdict), kSigns[asString(row.verdict)]),
      },
      { head: "predicting", value: (row) => asStrings(row.predicting).join(", ") || null },
    ],
  });
}

function correlationTable(rows: JsonObject[]): HTMLElement | null {
  if (rows.length === 0) return null;
  const estimate = (head: string, measure: string, over: string) =>
    measuredColumn(head, rows, (row: JsonObject) => correlationOf(row, measure, over), number, 0);
  return dataTable<JsonObject>({
    caption: "Rank correlations",
    rows,
    columns: [
      { head: "proxy", value: (row) => asString(row.proxy) },
      { head: "outcome", value: (row) => asString(row.outcome) },
      { head: "models", value: (row) => asString(row.group) },
      estimate("Spearman, over items", "spearman", "ci95_items"),
      estimate("over models", "spearman", "ci95_variants"),
      estimate("for all proxies at once", "spearman", "together"),
      estimate("Kendall, over items", "kendall", "ci95_items"),
      estimate("over models", "kendall", "ci95_variants"),
    ],
  });
}

function variantTable(run: Run): HTMLElement | null {
  const variants = asObjects(run.result.variants);
  if (variants.length === 0) return null;
  const names = (key: string) => [...new Set(variants.flatMap((one) => Object.keys(asObject(one[key]))))];
  const tasks = asObjects(run.result.tasks);
  return dataTable<JsonObject>({
    caption: "Changed models",
    rows: variants,
    columns: [
      { head: "changed model", value: (one) => asString(one.name) },
      { head: "kind", value: (one) => asString(one.kind) },
      { head: "recipe", value: (one) => (one.recipe === true ? "recipe" : null) },
      ...names("proxies").map(
        (proxy): Column<JsonObject> => ({ head: proxy, numeric: true, value: (one) => asNumber(asObject(one.proxies)[proxy]) }),
      ),
      ...names("outcomes").map((outcome) =>
        measuredColumn(
          outcome,
          variants,
          (one: JsonObject) => measured(asObject(asObject(one.outcomes)[outcome]), "value", "ci95"),
          number,
          0,
        ),
      ),
      ...tasks.map(
        (task, place): Column<JsonObject> => ({
          head: kOfTask + asString(task.name),
          numeric: true,
          value: (one) => asNumbers(one.margin_drop_by_task)[place] ?? null,
        }),
      ),
    ],
  });
}

function taskTable(tasks: JsonObject[]): HTMLElement | null {
  if (tasks.length === 0) return null;
  return dataTable<JsonObject>({
    caption: "Tasks",
    rows: tasks,
    columns: [
      { head: "task", value: (task) => asString(task.name) },
      { head: "items", value: (task) => asNumber(task.items) },
      { head: "accuracy of the model", numeric: true, value: (task) => asNumber(task.base_acc) },
      { head: "margin of the model, nats", numeric: true, value: (task) => asNumber(task.base_margin) },
    ],
  });
}

// The best proxy of what the verdict is about.
function leadOf(run: Run): string {
  const rows = asObjects(run.result.correlations).filter((row) => row.outcome === kPreferred && row.group === "all");
  const best = rows
    .map((row) => ({ name: asString(row.proxy), ...correlationOf(row, "spearman", "together") }))
    .filter((row) => row.value !== null)
    .sort((a, b) => (b.value ?? 0) - (a.value ?? 0))[0];
  if (!best) return "";
  const ends = best.low === null ? "" : ` (${interval(best.low, best.high)} for all proxies at once)`;
  return `Of ${number(asObjects(run.result.variants).length)} changed models, ${best.name} agrees best with the margin drop on tasks: rank correlation ${number(best.value)}${ends}.`;
}

export const proxiesView: ViewOf = (run) => {
  const { result } = run;
  const tasks = asObjects(result.tasks);
  const items = tasks.reduce((sum, task) => sum + (asNumber(task.items) ?? 0), 0);
  return {
    title: "Study: do proxies predict tasks?",
    lead: leadOf(run),
    parts: [
      verdictOf(run),
      outcomeOf(run),
      facts([
        { name: "Changed models", value: number(asObjects(result.variants).length) },
        { name: "Items", value: number(items), detail: `of ${number(tasks.length)} tasks, ${number(asNumber(result.item_tokens))} tokens` },
        { name: "Predicting", value: `\u2265 ${number(asNumber(result.predicts))}`, detail: "rank correlation, by its whole interval" },
      ]),
      correlationsFigure(run),
      scatterFigure(run),
      claimTable(asObjects(result.claims)),
      correlationTable(asObjects(result.correlations)),
      variantTable(run),
      taskTable(tasks),
      statisticsOf(run),
    ],
    shown: [...kCommon, "claim", "predicts", "verdict", "tasks", "item_tokens", "claims", "correlations", "variants"],
  };
};
