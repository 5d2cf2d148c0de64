// `plan`: a recipe for a size, and with --frontier the curve of all sizes.
import { curveChart } from "../curve_chart";
import { figure } from "../figure";
import { bytes, number } from "../format";
import { asNumber, asObject, asObjects, asString, type JsonObject, measured } from "../json";
import { everything, facts, recipeMap, recipeOf, tableOf } from "../parts";
import { type Column, dataTable } from "../table";
import type { ViewOf } from "./view";

function upgradeColumns(): Column<JsonObject>[] {
  return [
    { head: "upgrade", value: (row) => asString(row.row) },
    { head: "from", value: (row) => asString(row.from) },
    { head: "to", value: (row) => asString(row.to) },
    { head: "more bytes", value: (row) => asNumber(row.bytes) },
    { head: "damage saved", value: (row) => asNumber(row.saved) },
  ];
}

function frontier(points: JsonObject[]): HTMLElement[] {
  const values = points.map((one) => asNumber(one.damage) ?? 0).filter((v) => v > 0);
  const log = values.length > 0 && Math.max(...values) / Math.min(...values) > 20;
  return [
    figure({
      title: "Size against predicted damage",
      note: "The hull of all recipes: none of its size is predicted to do less damage.",
      draw: (width) =>
        curveChart(
          points.map((one) => ({ x: asNumber(one.bpw) ?? 0, series: "", ...measured(one, "damage"), detail: bytes(asNumber(one.bytes)) })),
          { x: "bits per weight", y: "predicted KL, nats per token", logY: log, marks: points.length <= 60 },
          width,
        ),
    }).element,
    dataTable<JsonObject>({
      caption: "The frontier, each step with the upgrade that leads there",
      rows: points,
      columns: [
        { head: "bits per weight", numeric: true, value: (row) => asNumber(row.bpw), show: (row) => number(asNumber(row.bpw), 4) },
        { head: "size", numeric: true, value: (row) => asNumber(row.bytes), show: (row) => bytes(asNumber(row.bytes)) },
        { head: "predicted KL", value: (row) => asNumber(row.damage) },
        { head: "upgrade", value: (row) => asString(asObject(row.upgrade).row) },
        { head: "from", value: (row) => asString(asObject(row.upgrade).from) },
        { head: "to", value: (row) => asString(asObject(row.upgrade).to) },
      ],
    }),
  ];
}

export const planView: ViewOf = (run, colours) => {
  const result = run.result;
  const points = asObjects(result.frontier);
  if (points.length > 0) return { title: "Every size at once", parts: frontier(points), shown: ["frontier"] };
  const size = asNumber(result.bytes) ?? asNumber(result.tensor_bytes);
  const next = asObjects(result.next);
  const rows = asObjects(result.rows);
  return {
    title: "A recipe for the size",
    lead: `${bytes(size)}, ${number(asNumber(result.bpw))} bits per weight; predicted KL ${number(asNumber(result.predicted_kl))} nats per token${result.exact === true ? ", and no recipe of this size is predicted lower" : ""}.`,
    parts: [
      facts([
        { name: "size", value: bytes(size), detail: `budget ${bytes(asNumber(result.budget_bytes))}` },
        { name: "predicted KL", value: number(asNumber(result.predicted_kl)), detail: "nats per token" },
        { name: "bound", value: number(asNumber(result.bound)), detail: "no recipe is predicted below" },
        { name: "one MiB more saves", value: number(asNumber(result.per_mib)), detail: "nats per token, predicted" },
        { name: "solver", value: asString(result.solver), detail: result.exact === true ? "proven optimal" : "" },
      ]),
      recipeMap("Map of the model: the recipe", recipeOf(result.recipe), colours),
      next.length > 0
        ? dataTable({ caption: "The next upgrades that a larger budget would buy", rows: next, columns: upgradeColumns() })
        : null,
      rows.length > 0 ? tableOf("What each row costs", rows) : null,
      asObjects(result.limits).length > 0 ? tableOf("Limits", asObjects(result.limits)) : null,
      ...everything(result, [
        "recipe",
        "next",
        "rows",
        "limits",
        "bytes",
        "bpw",
        "predicted_kl",
        "bound",
        "per_mib",
        "solver",
        "exact",
        "budget_bytes",
        "frontier",
      ]),
    ],
    shown: Object.keys(result),
  };
};
