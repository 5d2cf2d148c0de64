// `recipe show` and `recipe diff`: a recipe as a map, or what lies between two.
import { bytes, number } from "../format";
import { asNumber, asObject, asObjects, asString, isObject, type JsonObject } from "../json";
import { everything, facts, type MapChoice, recipeMap, recipeOf, valueMap } from "../parts";
import { dataTable } from "../table";
import type { ViewOf } from "./view";

// Roles have no tensor names of their own here: those of the role's matrix stand in.
function movesOf(moves: JsonObject[]): MapChoice[] {
  const cellsOf = (key: string) =>
    moves
      .filter((one) => asNumber(one[key]) !== null)
      .map((one) => {
        const layer = asNumber(one.layer) ?? -1;
        const role = asString(one.role);
        return { name: layer < 0 ? role : `blk.${layer}.${role}`, type: "", value: asNumber(one[key]), error: null, belowFloor: false };
      });
  return [
    { name: "bytes", unit: "second less first", cells: cellsOf("bytes") },
    { name: "damage", unit: "nats per token, second less first", cells: cellsOf("damage") },
  ].filter((one) => one.cells.length > 0);
}

export const recipeView: ViewOf = (run, colours) => {
  const result = run.result;
  const moves = asObjects(result.moves);
  const changes = asObjects(result.changes);
  if (moves.length === 0)
    return {
      title: isObject(result.recipe) ? "A recipe" : "A recipe in another format",
      parts: [
        isObject(result.recipe) ? recipeMap("Map of the model: the recipe", recipeOf(result.recipe), colours) : null,
        ...everything(result, ["recipe"]),
      ],
      shown: Object.keys(result),
    };
  const sizeOf = (key: string) => asObject(result[key]);
  return {
    title: "What lies between two recipes",
    lead: `The second takes ${bytes(Math.abs(asNumber(result.bytes) ?? 0))} ${(asNumber(result.bytes) ?? 0) < 0 ? "less" : "more"}; ${changes.length} tensors change type.`,
    parts: [
      facts([
        ...["first", "second"].map((key) => ({
          name: key,
          value: bytes(asNumber(sizeOf(key).tensor_bytes)),
          detail: `${number(asNumber(sizeOf(key).bpw), 4)} bits per weight`,
        })),
        ...(asNumber(result.damage) === null
          ? []
          : [{ name: "damage, second less first", value: number(asNumber(result.damage)), detail: "nats per token, predicted" }]),
      ]),
      valueMap("Map of the model: what moved", movesOf(moves), colours),
      dataTable<JsonObject>({
        caption: "Tensors that change type",
        rows: changes,
        columns: [
          { head: "tensor", value: (row) => asString(row.tensor) },
          { head: "from", value: (row) => asString(row.from) },
          { head: "to", value: (row) => asString(row.to) },
          { head: "bytes", value: (row) => asNumber(row.bytes) },
        ],
      }),
      ...everything({ first: asObject(sizeOf("first").types), second: asObject(sizeOf("second").types) }),
    ],
    shown: ["first", "second", "bytes", "damage", "moves", "changes"],
  };
};
