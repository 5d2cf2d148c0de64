// Several results on one page: a list of them, and where files were made, all files by size and damage.
import { curveChart } from "./curve_chart";
import { h } from "./dom";
import { figure } from "./figure";
import { bytes } from "./format";
import { asNumber, measured, type Run } from "./json";
import { filesOf } from "./views/optimize";

function filesFigure(runs: Run[]): HTMLElement | null {
  const optimized = runs.filter((run) => run.command === "optimize");
  if (optimized.length < 2) return null;
  const points = optimized
    .flatMap((run) => filesOf(run).slice(0, 2))
    .map((file) => ({
      x: asNumber(file.of.bpw) ?? 0,
      series: file.ours ? "assay" : "stock preset",
      ...measured(file.of, "measured_kl"),
      detail: `${file.name}, ${bytes(asNumber(file.of.bytes))}`,
    }))
    .sort((a, b) => a.x - b.x);
  return figure({
    title: "Files by size and damage",
    note: "KL divergence from the unquantized model with 95 % intervals: lower is better.",
    draw: (width) => curveChart(points, { x: "bits per weight", y: "KL, nats per token", logY: true, strong: "assay" }, width),
  }).element;
}

export function overview(runs: Run[], nameOf: (run: Run) => string): HTMLElement {
  return h(
    "section",
    { class: "run" },
    h("h2", {}, `${runs.length} results`),
    h(
      "nav",
      { "aria-label": "Results" },
      h(
        "ol",
        { class: "runs" },
        runs.map((run, index) =>
          h("li", {}, h("a", { href: `#run-${index + 1}` }, h("code", {}, run.command), ` ${nameOf(run)} `, h("small", {}, run.path))),
        ),
      ),
    ),
    filesFigure(runs),
  );
}
