// What `study outliers` measured further of the strongest candidates and their controls: sets, doses, edits, patches, perturbations.
import { curveTable, whiskerTable } from "../chart_tables";
import { type Choice, chosenFigure } from "../chosen_figure";
import { type CurvePoint, curveChart } from "../curve_chart";
import { figure } from "../figure";
import { number, words } from "../format";
import { asNumber, asNumbers, asObject, asObjects, asString, asStrings, type JsonObject, measured, type Run } from "../json";
import type { TypeColours } from "../model_map";
import { type MapChoice, valueMap } from "../parts";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import { isControl, nameAt, type Weight } from "./study_outliers_weights";
import { cellAt, tableIfAny } from "./study_parts";

const kTogether = "candidates";

const kForms: Record<string, string> = {
  first: "first changed block",
  rank: "first changed block",
  replace: "block",
  patch_all_seed: "published form",
};

function furtherOf(run: Run, key: string): JsonObject[] {
  return asObjects(asObject(run.result.further)[key]);
}

// Rows with the weight's name in place of its number.
function named(weights: Weight[], rows: JsonObject[]): JsonObject[] {
  return rows.map((row) => ({ ...row, weight: nameAt(weights, asNumber(row.weight)) }));
}

// All candidates at once, or one with its controls.
function weightChoice(weights: Weight[], places: Set<number>): Choice {
  const candidates = weights.filter((one) => places.has(one.place) && !isControl(one));
  return {
    label: "Weight",
    values: [
      ...(candidates.length > 1 ? [[kTogether, "candidates together"] as [string, string]] : []),
      ...candidates.map((one): [string, string] => [String(one.place), one.name]),
    ],
  };
}

function isShown(weight: Weight | undefined, chosen: string): boolean {
  if (!weight) return false;
  return chosen === kTogether ? !isControl(weight) : weight.place === Number(chosen) || weight.target === Number(chosen);
}

// Short where one candidate is drawn with its controls: they are named by what they are.
function seriesName(weight: Weight, chosen: string, weights: Weight[]): string {
  if (chosen === kTogether) return weight.name;
  if (!isControl(weight)) return "candidate";
  const siblings = weights.filter((one) => one.target === weight.target);
  return siblings.length > 1 ? `control ${siblings.indexOf(weight) + 1}` : "control";
}

function placesOf(rows: JsonObject[]): Set<number> {
  return new Set(rows.map((row) => asNumber(row.weight) ?? -1));
}

const kDoses: [key: string, text: string, label: string][] = [
  ["mean_kl", "KL", "mean KL, nats per token"],
  ["tail_kl", "tail KL", "KL of the worst positions, nats per token"],
  ["flip_rate", "top token changes", "share of top tokens that change"],
  ["nll_difference", "change of loss", "change of loss, nats per token"],
];

function labelIn(list: [key: string, text: string, label: string][], key: string): string {
  return list.find(([one]) => one === key)?.[2] ?? key;
}

function dosesFigure(run: Run, weights: Weight[]): HTMLElement | null {
  const doses = furtherOf(run, "doses");
  const choice = weightChoice(weights, placesOf(doses));
  if (choice.values.length === 0) return null;
  const points = (chosen: string, measure: string) =>
    doses.flatMap((row): CurvePoint[] => {
      const weight = weights[asNumber(row.weight) ?? -1];
      return weight && isShown(weight, chosen)
        ? [{ x: asNumber(row.scale) ?? 0, series: seriesName(weight, chosen, weights), ...measured(row, measure), detail: weight.name }]
        : [];
    });
  const x = "scale of the weight";
  return chosenFigure({
    title: "Dose and response",
    note: "One weight scaled: 0 is zeroed, 1 the model as it is. KL with its 95 % interval.",
    choices: { weight: choice, measure: { label: "Measure", values: kDoses.map(([key, text]) => [key, text]) } },
    draw: (width, chosen) =>
      curveChart(points(chosen.weight, chosen.measure), { x, y: labelIn(kDoses, chosen.measure), reference: 0 }, width),
    table: (chosen) => curveTable("Doses", points(chosen.weight, chosen.measure), "weight", x, labelIn(kDoses, chosen.measure)),
  });
}

const kTracked: [key: string, text: string, label: string][] = [
  ["norm", "norm", "norm of the change of the residual"],
  ["token_norm", "norm per token", "norm of the change, per token"],
  ["stability", "stability", "stability of its direction"],
  ["stability_uncentred", "stability, uncentred", "stability of its direction, uncentred"],
];

function trackingFigure(weights: Weight[], strongest: number[]): HTMLElement | null {
  const tracked = weights.filter((one) => asObjects(one.of.perturbation).length > 0);
  // The strongest first; without any named, whatever was tracked.
  const wanted = tracked.filter((one) => strongest.includes(one.place) || (one.target !== null && strongest.includes(one.target)));
  const shown = wanted.length > 0 ? wanted : tracked;
  const choice = weightChoice(weights, new Set(shown.map((one) => one.place)));
  if (choice.values.length === 0) return null;
  const points = (chosen: string, measure: string) =>
    shown
      .filter((weight) => isShown(weight, chosen))
      .flatMap((weight) =>
        asObjects(weight.of.perturbation).map(
          (row): CurvePoint => ({
            x: asNumber(row.layer) ?? 0,
            series: seriesName(weight, chosen, weights),
            value: asNumber(row[measure]),
            low: null,
            high: null,
            detail: weight.name,
          }),
        ),
      );
  return chosenFigure({
    title: "What a zeroed weight leaves in the residual, block after block",
    note: "From the first block that it changes to the last. A stable direction is the same at every position.",
    choices: { weight: choice, measure: { label: "Measure", values: kTracked.map(([key, text]) => [key, text]) } },
    draw: (width, chosen) =>
      curveChart(points(chosen.weight, chosen.measure), { x: "layer", y: labelIn(kTracked, chosen.measure), reference: 0 }, width),
    table: (chosen) =>
      curveTable("Perturbation", points(chosen.weight, chosen.measure), "weight", "layer", labelIn(kTracked, chosen.measure)),
  });
}

function positionMap(run: Run, weights: Weight[], strongest: number[], colours: TypeColours): HTMLElement | null {
  const bins = asStrings(run.result.position_bins);
  const maps = weights
    .filter((weight) => strongest.includes(weight.place) && asObjects(weight.of.perturbation).length > 0)
    .map(
      (weight): MapChoice => ({
        name: weight.name,
        unit: "norm of the change, per token",
        cells: asObjects(weight.of.perturbation).flatMap((row) =>
          bins.map((bin, place) => cellAt(asNumber(row.layer), bin, asNumbers(row.by_position)[place] ?? null)),
        ),
      }),
    );
  if (maps.length === 0) return null;
  return valueMap("Where the perturbation is: blocks and positions", maps, colours, {
    note: "Of the strongest candidates. Positions of the tokens down, from the first.",
    row: "block and position",
    choice: "Weight",
    scale: "linear",
  });
}

function patchName(row: JsonObject): string {
  const form = asString(row.form);
  const layer = asNumber(row.layer) ?? -1;
  const rank = asNumber(row.rank) ?? 0;
  const place = form === "replace" ? `block ${layer} replaced` : (kForms[form] ?? words(form));
  return rank > 0 ? `${place}, rank ${rank}` : place;
}

function recoveryFigure(
  title: string,
  note: string,
  head: string,
  rows: JsonObject[],
  weights: Weight[],
  name: (row: JsonObject) => string,
) {
  const choice = weightChoice(weights, placesOf(rows));
  // One candidate at a time: the forms are the lines.
  const one = { ...choice, values: choice.values.filter(([value]) => value !== kTogether) };
  if (one.values.length === 0) return null;
  const shown = (chosen: string, measure: string) =>
    rows.flatMap((row): WhiskerRow[] => {
      const weight = weights[asNumber(row.weight) ?? -1];
      return weight && isShown(weight, chosen)
        ? [
            {
              name: name(row),
              group: isControl(weight) ? "matched controls" : "candidate",
              strong: !isControl(weight),
              ...measured(row, measure),
              detail: [weight.name, row.recovered === true ? "recovered" : ""].filter(Boolean).join(", "),
            },
          ]
        : [];
    });
  return chosenFigure({
    title,
    note,
    choices: {
      weight: one,
      measure: {
        label: "Measure",
        values: [
          ["recovery", "recovery"],
          ["mean_kl", "KL that is left"],
        ],
      },
    },
    draw: (width, { weight, measure }) =>
      measure === "recovery"
        ? whiskerChart(
            shown(weight, measure),
            { label: "recovery", far: true, reference: 0, threshold: { at: 1, label: "all of the damage" } },
            width,
          )
        : whiskerChart(shown(weight, measure), { label: "mean KL, nats per token", reference: 0 }, width),
    table: ({ weight, measure }) =>
      whiskerTable(
        `${title}: ${nameAt(weights, Number(weight))}`,
        shown(weight, measure),
        head,
        measure === "recovery" ? measure : "mean KL",
      ),
  });
}

function overshootFigure(run: Run, weights: Weight[]): HTMLElement | null {
  const points = furtherOf(run, "overshoot").flatMap((one) =>
    asObjects(one.layers).map(
      (row): CurvePoint => ({
        x: asNumber(row.layer) ?? 0,
        series: nameAt(weights, asNumber(one.weight)),
        value: asNumber(row.added_again),
        low: null,
        high: null,
      }),
    ),
  );
  if (points.length === 0) return null;
  const y = "part of the base's lead added again";
  const title = "How far the published patch overshoots";
  return figure({
    title,
    note: "0: the residual of the base; 1: the base's lead is there twice.",
    draw: (width) => curveChart(points, { x: "layer", y, reference: 0 }, width),
    table: () => curveTable(title, points, "weight", "layer", y),
  }).element;
}

function setsFigure(sets: JsonObject[]): HTMLElement | null {
  if (sets.length === 0) return null;
  const rows = (measure: string) =>
    sets.map(
      (one): WhiskerRow => ({
        name: `${number(asNumber(one.size))} together`,
        group: asString(one.of),
        strong: !asString(one.of).includes("control"),
        ...measured(one, measure),
      }),
    );
  const label = (measure: string) =>
    measure === "mean_kl" ? "mean KL, nats per token" : "KL beyond the sum of each alone, nats per token";
  return chosenFigure({
    title: "Several weights zeroed together",
    note: "With 95 % intervals. An interaction above 0: together they do more than the sum of each alone.",
    choices: {
      measure: {
        label: "Measure",
        values: [
          ["mean_kl", "KL"],
          ["interaction", "interaction"],
        ],
      },
    },
    draw: (width, { measure }) => whiskerChart(rows(measure), { label: label(measure), reference: 0 }, width),
    table: ({ measure }) => whiskerTable("Weights together", rows(measure), "weights", label(measure)),
  });
}

export function furtherParts(run: Run, weights: Weight[], colours: TypeColours): (HTMLElement | null)[] {
  const strongest = asNumbers(run.result.strongest).filter((place) => place !== null);
  return [
    setsFigure(furtherOf(run, "sets")),
    dosesFigure(run, weights),
    trackingFigure(weights, strongest),
    positionMap(run, weights, strongest, colours),
    recoveryFigure(
      "Patching the residual back",
      "What of the damage is gone when a block's residual is the base's again, with 95 % intervals.",
      "patched",
      furtherOf(run, "patches"),
      weights,
      patchName,
    ),
    overshootFigure(run, weights),
    recoveryFigure(
      "Edits that might bring a weight's work back",
      "Each on top of zeroing it, with 95 % intervals.",
      "edit",
      furtherOf(run, "edits"),
      weights,
      (row) => asString(row.form),
    ),
  ];
}

export function furtherTables(run: Run, weights: Weight[]): (HTMLElement | null)[] {
  return [
    tableIfAny("Weights together", furtherOf(run, "sets")),
    tableIfAny("Doses", named(weights, furtherOf(run, "doses"))),
    tableIfAny("Edits", named(weights, furtherOf(run, "edits"))),
    tableIfAny("Patches", named(weights, furtherOf(run, "patches"))),
  ];
}
