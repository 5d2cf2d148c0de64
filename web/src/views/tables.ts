// `sweep` and `score`: values of every tensor, group or layer, at every type.
import { words } from "../format";
import { asNumber, asObject, asObjects, asString, asStrings, type JsonObject } from "../json";
import { cellTable, everything, type MapChoice, sentences, type TableCell, tableOf, valueMap } from "../parts";
import { dataTable } from "../table";
import type { ViewOf } from "./view";

function cellsOf(rows: JsonObject[], value: string): TableCell[] {
  return rows.flatMap((row) =>
    asObjects(row.cells).map((cell) => ({
      name: asString(row.name),
      type: asString(cell.type),
      value: asNumber(cell[value]),
      error: asNumber(cell.standard_error),
      belowFloor: cell.below_floor === true,
    })),
  );
}

function damageOf(table: JsonObject): MapChoice {
  return { name: "damage", unit: "nats per token", cells: cellsOf(asObjects(table.rows), "damage") };
}

export const sweepView: ViewOf = (run, colours) => {
  const table = asObject(run.result.table);
  const damage = damageOf(table);
  return {
    title: "Measured damage",
    lead: `KL divergence from the unquantized model when one row of the table alone is stored at the type: ${asObjects(table.rows).length} rows, ${new Set(damage.cells.map((c) => c.type)).size} types.`,
    parts: [valueMap("Map of the model: damage", [damage], colours), cellTable("Damage, nats per token", damage.cells, colours)],
    shown: ["table"],
  };
};

export const scoreView: ViewOf = (run, colours) => {
  const known = asObjects(run.result.known);
  if (known.length > 0) return { title: "Known scores", parts: [tableOf("Scores", known)], shown: ["known"] };
  const scores = asObjects(run.result.scores);
  const choices = scores.map(
    (one): MapChoice => ({ name: asString(one.name), unit: asString(one.unit), cells: cellsOf(asObjects(one.rows), "value") }),
  );
  const about = dataTable<JsonObject>({
    caption: "The scores",
    rows: scores,
    columns: [
      { head: "score", value: (one) => asString(one.name) },
      { head: "what", value: (one) => asString(one.what) },
      { head: "estimates", value: (one) => asString(one.estimates) },
      { head: "unit", value: (one) => asString(one.unit) },
      { head: "higher is", value: (one) => (one.higher_is_worse === true ? "worse" : "better") },
      { head: "cost, forward passes", value: (one) => asNumber(one.forward_equivalents) },
      { head: "source", value: (one) => asString(one.source) },
    ],
  });
  const notes = scores.flatMap((one) => asStrings(one.notes).map((note) => `${asString(one.name)}: ${note}`));
  return {
    title: scores.length === 1 ? `Score: ${words(asString(scores[0]?.name))}` : `${scores.length} sensitivity scores`,
    parts: [
      choices.length > 0 ? valueMap("Map of the model", choices, colours) : null,
      about,
      sentences(notes, "note") as HTMLElement | null,
      ...choices
        .slice(0, 40)
        .map((one) => cellTable(one.unit && one.unit !== "1" ? `${one.name}, ${one.unit}` : one.name, one.cells, colours)),
      ...everything(asObject(run.result.weights)),
    ],
    shown: ["scores", "table", "weights"],
  };
};
