// Pieces that several results share: key figures, the map of a recipe and of a damage table, verdicts, tables of whatever there is.
import { scaleOf } from "./colours";
import { type Child, choice, h } from "./dom";
import { type FigureOnPage, figure } from "./figure";
import { interval, number, words } from "./format";
import { asNumber, asObject, asObjects, asString, asStrings, isObject, type Json, type JsonObject, type Measured, measured } from "./json";
import { type MapCell, mapCell, modelMap, outsideBlocks, scaleLegend, type TypeColours } from "./model_map";
import { type Column, dataTable, measuredColumn } from "./table";
import { placeOf } from "./tensor_place";

export interface Fact {
  name: string;
  value: string;
  detail?: string;
}

export function facts(list: Fact[]): HTMLElement {
  return h(
    "dl",
    { class: "facts" },
    list.map((fact) => h("div", {}, h("dt", {}, fact.name), h("dd", {}, fact.value, fact.detail ? h("small", {}, fact.detail) : null))),
  );
}

export function sentences(list: string[], kind: "note" | "warning"): Child {
  return list.length === 0
    ? null
    : h(
        "ul",
        { class: `sentences ${kind}` },
        list.map((one) => h("li", {}, one)),
      );
}

// ---- maps

export interface TableCell {
  name: string; // of the row: a tensor, a group, a layer
  type: string; // "" where the value does not depend on it
  value: number | null;
  error: number | null; // one standard error
  belowFloor: boolean;
}

export interface MapChoice {
  name: string; // of the score
  unit: string;
  cells: TableCell[];
}

export interface MapWords {
  note?: string; // how to read it
  row?: string; // what a cell is, at the head of the table; default: tensor
  choice?: string; // what `name` of a map is; default: Score
  type?: string; // what `type` of a cell is; default: Type
  scale?: "log" | "linear"; // at first
}

// Of one score or several; what is drawn is chosen by score, type and scale.
export function valueMap(title: string, choices: MapChoice[], colours: TypeColours, text: MapWords = {}): HTMLElement {
  let chosen = choices[0] as MapChoice;
  const typesOf = (one: MapChoice) =>
    [...new Set(one.cells.map((cell) => cell.type))].sort((a, b) => colours.bitsOf(a) - colours.bitsOf(b));
  let type = typesOf(chosen)[0] ?? "";
  let scaleWish: "log" | "linear" = text.scale ?? "log";
  const controls = h("div", { class: "controls" });
  const legend = h("div");
  const selected = () => chosen.cells.filter((cell) => cell.type === type);
  const mapped = (): { cells: MapCell[]; scale: ReturnType<typeof scaleOf> | null } => {
    const values = selected()
      .map((cell) => cell.value)
      .filter((v): v is number => v !== null);
    if (values.length === 0) return { cells: [], scale: null };
    const scale = scaleOf(values, scaleWish);
    const cells = selected()
      .filter((cell) => cell.value !== null)
      .map((cell) =>
        mapCell(cell.name, {
          colour: scale.colour(cell.value ?? 0),
          detail: `${number(cell.value)}${cell.error ? ` \u00b1 ${number(cell.error, 2)} (standard error)` : ""}${cell.belowFloor ? ", under the noise floor" : ""}`,
          faint: cell.belowFloor,
        }),
      );
    return { cells, scale };
  };
  const unit = () => (chosen.unit && chosen.unit !== "1" ? chosen.unit : "");
  const onPage: FigureOnPage = figure({
    title,
    note:
      text.note ??
      (choices.some((one) => one.cells.some((cell) => cell.belowFloor))
        ? "Each cell is one row of the table; a dot marks a value under the noise floor."
        : null),
    controls: [controls],
    draw: (width) => {
      const { cells, scale } = mapped();
      scaleChoice.hidden = scale?.kind === "diverging";
      legend.replaceChildren(
        ...([
          scale ? scaleLegend(scale, [text.choice ? chosen.name : words(chosen.name), unit()].filter(Boolean).join(", ")) : null,
          outsideBlocks(cells),
        ].filter(Boolean) as Node[]),
      );
      return modelMap(cells, width);
    },
    below: legend,
    table: () =>
      dataTable<TableCell>({
        caption: `${chosen.name}${type ? ` at ${type}` : ""}`,
        rows: selected(),
        columns: [
          { head: text.row ?? "tensor", value: (cell) => cell.name },
          { head: unit() || "value", value: (cell) => cell.value },
          ...(selected().some((cell) => cell.error) ? [{ head: "standard error", value: (cell: TableCell) => cell.error || null }] : []),
        ],
      }),
  });
  // Values of both signs have one scale.
  const scaleChoice = choice(
    "Scale",
    [
      ["log", "logarithmic"],
      ["linear", "linear"],
    ],
    scaleWish,
    (wish) => {
      scaleWish = wish === "log" ? "log" : "linear";
      onPage.redraw();
    },
  );
  const offer = () => {
    const types = typesOf(chosen);
    if (!types.includes(type)) type = types[0] ?? "";
    const parts: HTMLElement[] = [];
    if (choices.length > 1)
      parts.push(
        choice(
          text.choice ?? "Score",
          choices.map((one) => [one.name, one.name]),
          chosen.name,
          (name) => {
            chosen = choices.find((one) => one.name === name) ?? chosen;
            offer();
            onPage.redraw();
          },
        ),
      );
    if (types.length > 1)
      parts.push(
        choice(
          text.type ?? "Type",
          types.map((one) => [one, one]),
          type,
          (one) => {
            type = one;
            onPage.redraw();
          },
        ),
      );
    parts.push(scaleChoice);
    const focused =
      document.activeElement instanceof HTMLSelectElement && controls.contains(document.activeElement) ? document.activeElement : null;
    const index = focused ? [...controls.querySelectorAll("select")].indexOf(focused) : -1;
    controls.replaceChildren(...parts);
    if (index >= 0) controls.querySelectorAll("select")[index]?.focus();
  };
  offer();
  return onPage.element;
}

// Tensors down, types across.
export function cellTable(caption: string, cells: TableCell[], colours: TypeColours): HTMLElement {
  const types = [...new Set(cells.map((cell) => cell.type))].sort((a, b) => colours.bitsOf(a) - colours.bitsOf(b));
  const rows = new Map<string, Map<string, TableCell>>();
  for (const cell of cells) {
    const row = rows.get(cell.name) ?? new Map<string, TableCell>();
    row.set(cell.type, cell);
    rows.set(cell.name, row);
  }
  type Row = [string, Map<string, TableCell>];
  return dataTable<Row>({
    caption,
    rows: [...rows],
    columns: [
      { head: "tensor", value: (row) => row[0] },
      ...types.map((type): Column<Row> => {
        const values = cells.filter((cell) => cell.type === type).map((cell): Measured => spread(cell));
        if (types.length <= 4 && values.some((m) => m.low !== null))
          return measuredColumn(type || "value", [...rows], (row) => spread(row[1].get(type)));
        return {
          head: type || "value",
          numeric: true,
          value: (row) => row[1].get(type)?.value ?? null,
          show: (row) => cellText(row[1].get(type)),
        };
      }),
    ],
  });
}

const kNormal = 1.96; // standard errors to 95 %

function spread(cell: TableCell | undefined): Measured {
  if (!cell || cell.value === null) return { value: null, low: null, high: null };
  if (!cell.error) return { value: cell.value, low: null, high: null };
  return { value: cell.value, low: cell.value - kNormal * cell.error, high: cell.value + kNormal * cell.error };
}

function cellText(cell: TableCell | undefined): Child {
  if (!cell) return "\u2013";
  return cell.belowFloor ? h("span", { class: "faint", title: "under the noise floor" }, number(cell.value)) : number(cell.value);
}

export function recipeOf(value: Json | undefined): Map<string, string> {
  const recipe = new Map<string, string>();
  for (const [tensor, type] of Object.entries(asObject(value))) if (typeof type === "string") recipe.set(tensor, type);
  return recipe;
}

export function recipeMap(title: string, recipe: Map<string, string>, colours: TypeColours): HTMLElement {
  const cells = [...recipe].map(([tensor, type]) =>
    mapCell(tensor, { colour: colours.colour(type), ink: colours.ink(type), words: type, detail: colours.words(type) }),
  );
  const counts = new Map<string, number>();
  for (const type of recipe.values()) counts.set(type, (counts.get(type) ?? 0) + 1);
  return figure({
    title,
    note: "The stronger the colour, the more bits.",
    draw: (width) => modelMap(cells, width),
    below:
      [colours.legend(counts), outsideBlocks(cells)].filter(Boolean).length > 0
        ? h("div", {}, colours.legend(counts), outsideBlocks(cells))
        : null,
    table: () =>
      dataTable<[string, string]>({
        caption: "The recipe, tensor by tensor",
        rows: [...recipe].sort((a, b) => a[0].localeCompare(b[0], "en", { numeric: true })),
        columns: [
          { head: "tensor", value: (row) => row[0] },
          { head: "type", value: (row) => row[1] },
          { head: "bits per weight", value: (row) => (colours.bitsOf(row[1]) === 99 ? null : colours.bitsOf(row[1])) },
          { head: "layer", value: (row) => (placeOf(row[0]).layer < 0 ? null : placeOf(row[0]).layer) },
          { head: "role", value: (row) => placeOf(row[0]).role },
        ],
      }),
  }).element;
}

// ---- verdicts

const kSigns: Record<string, string> = { passed: "\u2713", failed: "\u2717", inconclusive: "?", "not measured": "\u2013" };

// `like`: the outcome whose sign and colour it has.
export function badge(outcome: string, like = outcome): HTMLElement {
  const kind = like in kSigns ? like.replace(" ", "-") : "other";
  return h("span", { class: `badge ${kind}` }, h("span", { "aria-hidden": "true" }, kSigns[like] ?? "\u00b7"), ` ${outcome}`);
}

// A criterion, the statistic it is about, and what was measured.
export function verdictList(verdicts: JsonObject[]): HTMLElement {
  return h(
    "ol",
    { class: "verdicts" },
    verdicts.map((one) => {
      const below = asNumber(one.below);
      const threshold = below ?? asNumber(one.at_least);
      const m = measured(one, "value", "ci95");
      const sentence =
        threshold === null ? "" : below !== null ? `passes below ${number(threshold)}` : `passes at ${number(threshold)} or above`;
      return h(
        "li",
        {},
        badge(asString(one.outcome)),
        h(
          "div",
          {},
          h("strong", {}, asString(one.name)),
          h(
            "p",
            {},
            asString(one.statistic),
            sentence ? `: ${sentence}. ` : ". ",
            "Measured ",
            h("b", {}, number(m.value)),
            m.low === null ? "." : ` (95 %: ${interval(m.low, m.high)}).`,
          ),
        ),
        thresholdGauge(m, threshold),
      );
    }),
  );
}

function thresholdGauge(m: Measured, threshold: number | null): Child {
  if (m.value === null || threshold === null) return null;
  const ends = [m.value, threshold, m.low ?? m.value, m.high ?? m.value];
  const low = Math.min(...ends);
  const high = Math.max(...ends);
  if (!(high > low)) return null;
  const at = (v: number) => `${(6 + 88 * ((v - low) / (high - low))).toFixed(2)}%`;
  const span =
    m.low === null || m.high === null ? null : h("span", { class: "span", style: `left:${at(m.low)};right:calc(100% - ${at(m.high)})` });
  return h(
    "span",
    { class: "gauge", "aria-hidden": "true" },
    span,
    h("span", { class: "threshold", style: `left:${at(threshold)}` }),
    h("span", { class: "value", style: `left:${at(m.value)}` }),
  );
}

// ---- whatever there is

function plain(value: Json): string {
  if (value === null) return "\u2013";
  if (typeof value === "number") return number(value, 4);
  if (Array.isArray(value)) return value.map(plain).join(", ");
  if (isObject(value))
    return Object.entries(value)
      .map(([key, one]) => `${words(key)} ${plain(one)}`)
      .join("; ");
  return String(value);
}

// One column per field, a field and its `_ci95` one column; `ci95` alone belongs to `value`, `rho` or whatever number stands before it.
export function columnsOf(rows: JsonObject[]): Column<JsonObject>[] {
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns: Column<JsonObject>[] = [];
  let lastNumber = "";
  for (const [place, key] of keys.entries()) {
    if (key.endsWith("_ci95") && keys.includes(key.slice(0, -5))) continue;
    if (key === "ci95" && lastNumber !== "") continue;
    if (key === "tensors" && rows.every((row) => asStrings(row.tensors).join() === asString(row.name))) continue;
    const numeric = rows.some((row) => typeof row[key] === "number");
    if (numeric) lastNumber = key;
    const ends = keys.includes(`${key}_ci95`) ? `${key}_ci95` : keys[place + 1] === "ci95" ? "ci95" : "";
    if (numeric && ends !== "") columns.push(measuredColumn(words(key), rows, (row) => measured(row, key, ends)));
    else if (key === "outcome" || key === "verdict")
      columns.push({ head: words(key), value: (row) => asString(row[key]), show: (row) => badge(asString(row[key])) });
    else if (key === "bytes" || key.endsWith("_bytes") || key === "elements" || key === "layer" || key === "k")
      columns.push({ head: words(key), value: (row) => asNumber(row[key]), numeric: true });
    else
      columns.push({
        head: words(key),
        value: (row) => {
          const value = row[key] ?? null;
          return typeof value === "number" || value === null ? value : plain(value);
        },
      });
  }
  return columns;
}

export function tableOf(caption: string, rows: JsonObject[], note?: string): HTMLElement {
  const options = { caption, rows, columns: columnsOf(rows) };
  return dataTable(note === undefined ? options : { ...options, note });
}

const kDeepest = 3;

// Every field that is not in `without`: single values as a list, arrays of objects as tables, objects under a heading of their own.
export function everything(value: JsonObject, without: string[] = [], depth = 0): HTMLElement[] {
  const singles: Fact[] = [];
  const parts: HTMLElement[] = [];
  for (const [key, one] of Object.entries(value)) {
    if (without.includes(key) || (key.endsWith("_ci95") && key.slice(0, -5) in value)) continue;
    const rows = asObjects(one);
    if (Array.isArray(one) && rows.length > 0 && rows.length === one.length) {
      parts.push(tableOf(words(key), rows));
    } else if (isObject(one)) {
      const inner = Object.values(one);
      if (inner.length === 0) continue;
      if (inner.every((v) => !isObject(v) && !(Array.isArray(v) && v.some(isObject))) && inner.length > 8)
        parts.push(
          tableOf(
            words(key),
            Object.entries(one).map(([name, v]) => ({ name, value: v })),
          ),
        );
      else if (inner.every(isObject))
        parts.push(
          tableOf(
            words(key),
            Object.entries(one).map(([name, v]) => ({ name, ...asObject(v) })),
          ),
        );
      else if (depth < kDeepest) parts.push(h("section", { class: "inner" }, h("h3", {}, words(key)), ...everything(one, [], depth + 1)));
    } else if (one !== null && !(Array.isArray(one) && one.length === 0)) {
      const m = measured(value, key);
      singles.push({ name: words(key), value: plain(one), ...(m.low === null ? {} : { detail: `95 %: ${interval(m.low, m.high)}` }) });
    }
  }
  return singles.length > 0 ? [facts(singles), ...parts] : parts;
}
