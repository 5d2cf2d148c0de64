// A table that sorts by any column, filters as one types, and shows a page of rows at a time.
// Keyboard: column heads are buttons; the table can be scrolled with the arrow keys, and a letter typed there goes to its filter.
// Non-goals: editing, selection.
import { type Child, freshId, h, svg } from "./dom";
import { extent } from "./extent";
import { interval, number } from "./format";
import type { Measured } from "./json";

type Value = string | number | null;

export interface Column<Row> {
  head: string;
  value: (row: Row) => Value; // sorted by; nulls last, whatever the direction
  show?: (row: Row) => Child; // default: the value, formatted
  text?: (row: Row) => string; // what the filter sees; default: the value's own text
  wide?: boolean; // begins at the left, like words: a value with its interval
  numeric?: boolean; // default: whether the first value that is there is a number
}

export interface TableOptions<Row> {
  caption: string;
  columns: Column<Row>[]; // the first heads the row
  rows: Row[];
  pageSize?: number; // rows shown at first; 0: all
  note?: string; // under the caption
}

const kPageSizes = [12, 25, 100];
const kPrinted = 200;
const kManyTimes = 100; // beyond it whiskers are on a logarithmic scale

// A column of a value with its interval: digits, a whisker on the column's common scale, both ends.
export function measuredColumn<Row>(
  head: string,
  rows: Row[],
  of: (row: Row) => Measured,
  format: (value: number | null) => string = number,
  reference: number | null = null,
): Column<Row> {
  const all = rows.map(of);
  const ends = all.flatMap((m) => [m.value, m.low, m.high]).filter((v): v is number => v !== null);
  const withIntervals = all.some((m) => m.low !== null && m.high !== null);
  if (reference !== null) ends.push(reference);
  const [low, high] = extent(ends);
  const logarithmic = low > 0 && high > kManyTimes * low;
  const at = (v: number) => (logarithmic ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low));
  return {
    head,
    wide: withIntervals,
    numeric: true,
    value: (row) => of(row).value,
    text: (row) => format(of(row).value),
    show: (row) => {
      const m = of(row);
      if (!withIntervals) return format(m.value);
      const words =
        m.low === null || m.high === null ? "" : format === number ? interval(m.low, m.high) : `${format(m.low)} to ${format(m.high)}`;
      return h(
        "span",
        { class: "measured" },
        h("span", {}, format(m.value)),
        high > low ? whisker(m, at, reference) : null,
        h("small", {}, words),
      );
    },
  };
}

// `place` maps values to [0, 1].
function whisker(m: Measured, place: (value: number) => number, reference: number | null): SVGElement | null {
  if (m.value === null) return null;
  const width = 60;
  const at = (v: number) => 3 + place(v) * (width - 6);
  const parts: SVGElement[] = [];
  if (reference !== null) parts.push(svg("line", { class: "zero", x1: at(reference), x2: at(reference), y1: 0, y2: 14 }));
  if (m.low !== null && m.high !== null) parts.push(svg("line", { x1: at(m.low), x2: at(m.high), y1: 7, y2: 7 }));
  parts.push(svg("circle", { cx: at(m.value), cy: 7, r: 2.5 }));
  return svg("svg", { class: "whisker", width, height: 14, "aria-hidden": "true" }, ...parts);
}

const tables: { showForPrint: (printing: boolean) => void }[] = [];
window.addEventListener("beforeprint", () => {
  for (const table of tables) table.showForPrint(true);
});
window.addEventListener("afterprint", () => {
  for (const table of tables) table.showForPrint(false);
});

function compare(a: Value, b: Value): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

export function dataTable<Row>(options: TableOptions<Row>): HTMLElement {
  const { columns, rows } = options;
  const table = new DataTable(options.caption, columns as Column<unknown>[], rows, options.pageSize ?? 12, options.note);
  tables.push(table);
  return table.element;
}

class DataTable {
  readonly element: HTMLElement;
  private texts: string[] | null = null; // what the filter sees, made when it is first used
  private readonly numeric: boolean[];
  private shown: number[];
  private sortColumn = -1;
  private descending = false;
  private page = 0;
  private printing = false;
  private readonly body = h("tbody");
  private readonly heads: HTMLTableCellElement[];
  private readonly status = h("span", { role: "status", class: "count" });
  private readonly filter: HTMLInputElement;
  private readonly back = h("button", { type: "button" }, "Previous");
  private readonly next = h("button", { type: "button" }, "Next");
  private readonly frame: HTMLElement;

  constructor(
    private readonly caption: string,
    private readonly columns: Column<unknown>[],
    private readonly rows: unknown[],
    private size: number,
    note?: string,
  ) {
    this.numeric = columns.map((c) => c.numeric ?? typeof rows.map((row) => c.value(row)).find((v) => v !== null) === "number");
    this.shown = rows.map((_, index) => index);
    if (this.size === 0) this.size = Number.POSITIVE_INFINITY;
    this.filter = h("input", {
      type: "search",
      placeholder: "Filter",
      "aria-label": `Filter the rows of: ${caption}`,
      autocomplete: "off",
    });
    this.heads = columns.map((c, i) => this.headOf(c, i));
    const captionId = freshId("caption");
    const table = h(
      "table",
      { "aria-labelledby": captionId, "aria-rowcount": rows.length + 1 },
      h("thead", {}, h("tr", { "aria-rowindex": 1 }, this.heads)),
      this.body,
    );
    this.frame = h("div", { class: "scroll", role: "group", tabindex: 0, "aria-labelledby": captionId }, table);
    const small = rows.length <= 6;
    const tools = h("div", { class: "tools" }, this.filter, this.status, this.pager());
    if (small) tools.hidden = true;
    this.element = h(
      "div",
      { class: "table" },
      h("div", { class: "table-head" }, h("h3", { id: captionId }, caption), tools),
      note ? h("p", { class: "note" }, note) : null,
      this.frame,
    );
    this.listen();
    this.draw();
  }

  showForPrint(printing: boolean): void {
    this.printing = printing;
    this.draw();
  }

  private headOf(column: Column<unknown>, index: number): HTMLTableCellElement {
    const button = h("button", { type: "button" }, column.head, h("span", { class: "arrow", "aria-hidden": "true" }));
    button.addEventListener("click", () => this.sortBy(index));
    return h("th", { scope: "col", class: this.alignment(index), "aria-sort": "none" }, button);
  }

  private alignment(index: number): string | null {
    return this.columns[index]?.wide ? "wide" : this.numeric[index] ? "number" : null;
  }

  private pager(): HTMLElement {
    if (this.rows.length <= (kPageSizes[0] ?? 0)) return h("span");
    const sizes = kPageSizes.filter((size) => size < this.rows.length);
    const select = h("select", { "aria-label": `Rows shown at once of: ${this.caption}` });
    for (const size of [...sizes, 0])
      select.append(h("option", { value: size, selected: size === this.size }, size === 0 ? "All" : String(size)));
    select.addEventListener("change", () => {
      this.size = Number(select.value) || Number.POSITIVE_INFINITY;
      this.page = 0;
      this.draw();
    });
    this.back.addEventListener("click", () => this.turn(-1));
    this.next.addEventListener("click", () => this.turn(1));
    return h("span", { class: "pager" }, select, this.back, this.next);
  }

  private listen(): void {
    let waiting = 0;
    this.filter.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = window.setTimeout(() => this.select(), this.rows.length > 2000 ? 120 : 0);
    });
    // Type ahead: a letter typed on the table is the first of its filter.
    this.frame.addEventListener("keydown", (event) => {
      if (event.target !== this.frame || event.key.length !== 1 || event.key === " " || event.ctrlKey || event.metaKey || event.altKey)
        return;
      if (this.filter.closest("[hidden]")) return;
      this.filter.focus();
    });
  }

  private turn(by: number): void {
    this.page += by;
    this.draw();
  }

  // First the direction one wants to see first, then the other, then the order as written.
  private sortBy(index: number): void {
    const first = this.numeric[index] ?? false;
    if (this.sortColumn !== index) {
      this.sortColumn = index;
      this.descending = first;
    } else if (this.descending === first) {
      this.descending = !first;
    } else {
      this.sortColumn = -1;
    }
    this.heads.forEach((head, i) => {
      head.setAttribute("aria-sort", i !== this.sortColumn ? "none" : this.descending ? "descending" : "ascending");
    });
    this.select();
  }

  private filterTexts(): string[] {
    this.texts ??= this.rows.map((row) =>
      this.columns
        .map((c) => (c.text ? c.text(row) : String(c.value(row) ?? "")))
        .join("\t")
        .toLowerCase(),
    );
    return this.texts;
  }

  private select(): void {
    const wanted = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.shown = [];
    const texts = wanted.length === 0 ? null : this.filterTexts();
    this.rows.forEach((_, index) => {
      if (texts === null || wanted.every((word) => texts[index]?.includes(word))) this.shown.push(index);
    });
    const column = this.columns[this.sortColumn];
    if (column) {
      const keys = this.rows.map((row) => column.value(row));
      const sign = this.descending ? -1 : 1;
      this.shown.sort((a, b) => {
        const left = keys[a] ?? null;
        const right = keys[b] ?? null;
        if (left === null || right === null) return Number(left === null) - Number(right === null) || a - b;
        return sign * compare(left, right) || a - b;
      });
    }
    this.page = 0;
    this.draw();
  }

  private draw(): void {
    const size = this.printing ? kPrinted : this.size;
    const pages = Math.max(1, Math.ceil(this.shown.length / size));
    this.page = Math.min(Math.max(0, this.page), pages - 1);
    const from = this.printing || size === Number.POSITIVE_INFINITY ? 0 : this.page * size;
    const visible = this.shown.slice(from, from + size);
    this.body.replaceChildren(...visible.map((index, i) => this.rowOf(index, from + i + 2)));
    if (visible.length === 0)
      this.body.append(h("tr", {}, h("td", { colspan: this.columns.length, class: "none" }, "No row matches the filter.")));
    const of = this.shown.length === this.rows.length ? `${this.rows.length} rows` : `${this.shown.length} of ${this.rows.length} rows`;
    this.status.textContent = pages > 1 ? `${from + 1}\u2013${from + visible.length} of ${of}` : of;
    this.back.disabled = this.page === 0;
    this.next.disabled = this.page === pages - 1;
    this.back.hidden = this.next.hidden = pages === 1;
  }

  private rowOf(index: number, place: number): HTMLTableRowElement {
    const row = this.rows[index];
    const cells = this.columns.map((column, i) => {
      const value = column.value(row);
      const shown = column.show ? column.show(row) : typeof value === "number" ? number(value) : (value ?? "\u2013");
      const words = typeof value === "string" && !column.show;
      const attributes = { class: words ? null : this.alignment(i) };
      return i === 0 ? h("th", { scope: "row", ...attributes }, shown) : h("td", attributes, shown);
    });
    return h("tr", { "aria-rowindex": place }, cells);
  }
}
