// The page: reads the results put into it, gives each run a section, and a list of runs where there are several.
import "./palette.css";
import "./style.css";
import "./print.css";
import { h } from "./dom";
import { asObject, asObjects, asString, isObject, type Json, type JsonObject, type Run, readPage } from "./json";
import { TypeColours } from "./model_map";
import { overview } from "./overview";
import { everything } from "./parts";
import { provenance } from "./provenance";
import { themeButton } from "./theme";
import { viewOf } from "./views/index";

// Fields that provenance() shows.
const kElsewhere = ["tokens_scored", "windows", "documents", "interval"];

function typesUsed(value: Json, into: Set<string>): void {
  if (!isObject(value)) return;
  for (const type of Object.values(asObject(value.recipe))) if (typeof type === "string") into.add(type.toUpperCase());
  const tables = [asObject(value.table), ...asObjects(value.scores)];
  for (const table of tables)
    for (const row of asObjects(table.rows))
      for (const cell of asObjects(row.cells)) if (typeof cell.type === "string") into.add(cell.type.toUpperCase());
}

function modelOf(run: Run): string {
  const path = asString(asObjects(run.envelope.inputs)[0]?.path);
  const parts = path.split("/").filter(Boolean);
  const file = parts.at(-1) ?? "";
  return file.endsWith(".gguf") ? file : (parts.at(-2) ?? file);
}

function section(run: Run, index: number, several: boolean, colours: TypeColours): HTMLElement {
  const view = viewOf(run.command)(run, colours);
  const rest = everything(run.result, [...view.shown, ...kElsewhere]);
  const id = `run-${index + 1}`;
  return h(
    "section",
    { class: "run", "aria-labelledby": id },
    h(
      "p",
      { class: "kind" },
      h("code", {}, run.command || "result"),
      modelOf(run) ? ` ${modelOf(run)}` : "",
      several ? h("span", { class: "path" }, ` ${run.path}`) : null,
    ),
    h("h2", { id, tabindex: -1 }, view.title),
    view.lead ? h("p", { class: "lead" }, view.lead) : null,
    ...view.parts,
    rest.length > 0 ? h("section", { class: "inner" }, h("h3", { class: "major" }, "More of the result"), ...rest) : null,
    provenance(run),
  );
}

function damaged(run: Run, error: unknown): HTMLElement {
  return h(
    "section",
    { class: "run" },
    h("h2", {}, run.path),
    h("p", { class: "lead" }, `This result cannot be shown: ${String(error)}`),
    provenance(run),
  );
}

function main(): void {
  const page = document.getElementById("page");
  if (!page) return;
  const data = readPage(document.getElementById("assay-data")?.textContent ?? "{}");
  const types = new Set<string>();
  for (const run of data.runs) typesUsed(run.result as JsonObject, types);
  const colours = new TypeColours(types, data.typeBits);
  const several = data.runs.length > 1;
  const main = h("main", { id: "main", tabindex: -1 });
  page.replaceChildren(
    h(
      "header",
      { class: "bar" },
      h("h1", { class: "mark" }, "assay ", h("span", { class: "what" }, several ? `${data.runs.length} results` : "report")),
      themeButton(),
    ),
    main,
    h("footer", {}, `Made by assay ${data.version}. Everything shown is in this file; nothing is fetched.`),
  );
  if (several) main.append(overview(data.runs, modelOf));
  // In the page before its figures are drawn, so that they know their width.
  data.runs.forEach((run, index) => {
    let made: HTMLElement;
    try {
      made = section(run, index, several, colours);
    } catch (error) {
      console.error(error);
      made = damaged(run, error);
    }
    main.append(made);
  });
  const first = data.runs[0];
  if (first)
    document.title = several ? `assay: ${data.runs.length} results` : `${main.querySelector("h2")?.textContent ?? "report"} \u2013 assay`;
  document.documentElement.dataset.ready = "true";
}

main();
