// The numbers of a chart as a table.
import type { CurvePoint } from "./curve_chart";
import { number } from "./format";
import type { ScatterPoint } from "./scatter_chart";
import { type Column, dataTable, measuredColumn } from "./table";
import type { WhiskerRow } from "./whisker_chart";

// Columns that are empty in every row are left out.
function filled<Row>(rows: Row[], columns: Column<Row>[]): Column<Row>[] {
  return columns.filter((column, place) => place === 0 || rows.some((row) => (column.value(row) ?? "") !== ""));
}

export function whiskerTable(
  caption: string,
  rows: WhiskerRow[],
  head: string,
  value: string,
  format: (value: number | null) => string = number,
): HTMLElement {
  return dataTable<WhiskerRow>({
    caption,
    rows,
    columns: filled(rows, [
      { head, value: (row) => row.name },
      { head: "of", value: (row) => row.group ?? null },
      measuredColumn(value, rows, (row) => row, format),
      { head: "more", value: (row) => row.detail ?? null },
    ]),
  });
}

export function curveTable(caption: string, points: CurvePoint[], series: string, x: string, y: string): HTMLElement {
  return dataTable<CurvePoint>({
    caption,
    rows: points,
    columns: filled(points, [
      { head: series, value: (point) => point.series },
      { head: x, value: (point) => point.x },
      measuredColumn(y, points, (point) => point),
      { head: "more", value: (point) => point.detail ?? null },
    ]),
  });
}

export function scatterTable(
  caption: string,
  points: ScatterPoint[],
  names: { name: string; series: string; x: string; y: string },
): HTMLElement {
  return dataTable<ScatterPoint>({
    caption,
    rows: points,
    columns: filled(points, [
      { head: names.name, value: (point) => point.name },
      { head: names.series, value: (point) => point.series },
      { head: names.x, value: (point) => point.x },
      measuredColumn(names.y, points, (point) => ({ value: point.y, low: point.low, high: point.high })),
      { head: "more", value: (point) => point.detail ?? null },
    ]),
  });
}
