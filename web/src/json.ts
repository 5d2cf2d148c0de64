// What `assay --json` writes, read defensively: a field that is missing or of another kind is null, never an exception.
// Non-goals: validation (docs/schema/result.schema.json).

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

// A value with the ends of its interval; both null: none.
export interface Measured {
  value: number | null;
  low: number | null;
  high: number | null;
}

export interface Run {
  path: string; // of the result file
  envelope: JsonObject;
  command: string;
  result: JsonObject;
}

// What the program puts into the page.
export interface PageData {
  runs: Run[];
  typeBits: Map<string, number>; // bits per weight of every type, by its name in capitals
  version: string;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function asObject(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

export function asObjects(value: Json | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function asNumber(value: Json | undefined): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function asString(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

export function asStrings(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

export function asNumbers(value: Json | undefined): (number | null)[] {
  return Array.isArray(value) ? value.map(asNumber) : [];
}

// `key` with the interval `key_ci95` (or the field named).
export function measured(of: JsonObject, key: string, interval = `${key}_ci95`): Measured {
  const ends = asNumbers(of[interval]);
  return { value: asNumber(of[key]), low: ends[0] ?? null, high: ends[1] ?? null };
}

export function readPage(text: string): PageData {
  const page = asObject(JSON.parse(text) as Json);
  const runs = asObjects(page.runs).map((one): Run => {
    const envelope = asObject(one.report);
    return { path: asString(one.path), envelope, command: asString(envelope.command), result: asObject(envelope.result) };
  });
  const typeBits = new Map<string, number>();
  for (const [name, bits] of Object.entries(asObject(page.type_bits))) if (typeof bits === "number") typeBits.set(name.toUpperCase(), bits);
  return { runs, typeBits, version: asString(page.assay) };
}
