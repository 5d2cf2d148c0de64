// Where a result comes from: files with their hashes, options, version, noise floor, what it took.
import { h } from "./dom";
import { bytes, number, seconds, words } from "./format";
import { asNumber, asObject, asObjects, asString, type Json, type JsonObject, type Run } from "./json";
import { dataTable } from "./table";

function row(name: string, ...value: (Node | string)[]): HTMLElement {
  return h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
}

function optionText(value: Json): string {
  return Array.isArray(value) ? value.map(String).join(", ") : value === "true" ? "yes" : String(value);
}

export function provenance(run: Run): HTMLElement {
  const envelope = run.envelope;
  const ran = asObject(envelope.run);
  const inputs = asObjects(envelope.inputs);
  const floor = asNumber(envelope.noise_floor);
  const list: HTMLElement[] = [
    row("result file", h("code", {}, run.path)),
    row("program", `assay ${asString(envelope.assay)}, ${run.command}`),
    row("noise floor", floor === null ? "not measured" : `${number(floor)} nats per token`),
  ];
  const text = ["tokens_scored", "windows", "documents"]
    .map((key) => [key, asNumber(run.result[key])] as const)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => `${number(value)} ${words(key)}`)
    .join(", ");
  if (text !== "") list.push(row("text", text));
  if (asString(run.result.interval) !== "") list.push(row("intervals", `95 %, ${asString(run.result.interval).replace(/^95 % /, "")}`));
  const options = Object.entries(asObject(envelope.options));
  if (options.length > 0)
    list.push(
      row(
        "options",
        h(
          "ul",
          { class: "plain" },
          options.map(([name, value]) => h("li", {}, h("code", {}, `--${name}`), ` ${optionText(value)}`)),
        ),
      ),
    );
  const took = [
    asNumber(ran.seconds) === null ? "" : seconds(asNumber(ran.seconds)),
    asNumber(ran.peak_memory_bytes) === null ? "" : `${bytes(asNumber(ran.peak_memory_bytes))} at most`,
    asNumber(ran.threads) === null ? "" : `${number(asNumber(ran.threads))} threads`,
    asString(ran.host) === "" ? "" : `host ${asString(ran.host)}`,
    asNumber(ran.units_found) ? `${number(asNumber(ran.units_found))} units found finished, ${number(asNumber(ran.units_made))} made` : "",
  ].filter(Boolean);
  if (took.length > 0) list.push(row("took", took.join(", ")));
  return h(
    "section",
    { class: "provenance" },
    h("h3", { class: "major" }, "Provenance"),
    h("dl", { class: "rows" }, list),
    inputs.length > 0
      ? dataTable<JsonObject>({
          caption: "Files read",
          rows: inputs,
          columns: [
            { head: "file", value: (one) => asString(one.path) },
            { head: "SHA-256", value: (one) => asString(one.sha256), show: (one) => h("code", {}, asString(one.sha256)) },
          ],
        })
      : null,
  );
}
