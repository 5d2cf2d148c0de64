// `study pqi`: what quantization costs along the straight path from the model to its quantization.
import { asThemselves, chosenFigure } from "../chosen_figure";
import { curveChart } from "../curve_chart";
import { h } from "../dom";
import { figure } from "../figure";
import { number } from "../format";
import { asNumber, asObject, asObjects, asString, type JsonObject, measured } from "../json";
import { tableOf, valueMap } from "../parts";
import { type WhiskerRow, whiskerChart } from "../whisker_chart";
import { countsOf, kCommon, outcomeOf, statisticsOf } from "./study_parts";
import type { ViewOf } from "./view";

const kOfType = ["type", "sampled", "loss_before", "loss_after"];

function pqiFigures(types: JsonObject[]): HTMLElement[] {
  const all = types.map((type): WhiskerRow => ({ name: asString(type.type), ...measured(asObject(type.all), "share"), strong: true }));
  const type = { label: "Type", values: asThemselves(types.map((one) => asString(one.type))) };
  const of = (name: string) => types.find((one) => asString(one.type) === name) ?? {};
  const layerRows = (name: string) =>
    asObjects(of(name).layers).map(
      (one): WhiskerRow => ({
        name: asString(one.name),
        ...measured(one, "share"),
        strong: true,
        detail: `change ${number(asNumber(one.change))}`,
      }),
    );
  const closureOf = (name: string) =>
    asObjects(of(name).closure).map((one) => ({ x: asNumber(one.points) ?? 0, series: asString(one.rule), ...measured(one, "error") }));
  return [
    figure({
      title: "Share that first and second order explain",
      note: "Everything quantized, with 95 % intervals: 1 is all of the change.",
      draw: (width) => whiskerChart(all, { label: "share of the change", reference: 1 }, width),
      table: () =>
        tableOf(
          "Everything quantized",
          types.map((one) => ({ ...Object.fromEntries(kOfType.map((key) => [key, one[key] ?? null])), ...asObject(one.all) })),
        ),
    }).element,
    chosenFigure({
      title: "Share that first and second order explain, each layer alone",
      note: "Of the change of loss, with 95 % intervals: 1 is all of it.",
      choices: { type },
      draw: (width, chosen) => whiskerChart(layerRows(chosen.type), { label: "share of the change", reference: 1 }, width),
      table: (chosen) => tableOf(`Layers at ${chosen.type}`, asObjects(of(chosen.type).layers)),
    }),
    chosenFigure({
      title: "Error of the integral, by rule and number of intervals",
      note: "Predicted less measured change of loss, with 95 % intervals.",
      choices: { type },
      draw: (width, chosen) =>
        curveChart(closureOf(chosen.type), { x: "gradients", y: "error, nats per token", logX: true, reference: 0 }, width),
      table: (chosen) => tableOf(`Integral at ${chosen.type}`, asObjects(of(chosen.type).closure)),
    }),
  ];
}

export const pqiView: ViewOf = (run, colours) => {
  const types = asObjects(run.result.types);
  const cells = types.flatMap((type) =>
    asObjects(type.matrices).map((one) => ({
      name: asString(one.name),
      type: asString(type.type),
      value: asNumber(one.contribution),
      error: null,
      belowFloor: false,
    })),
  );
  return {
    title: "Study: what quantization costs along its path (PQI)",
    lead: countsOf(run),
    parts: [
      outcomeOf(run),
      ...(types.length > 0 ? pqiFigures(types) : []),
      cells.length > 0
        ? valueMap(
            "Map of the model: contribution to the change of loss",
            [{ name: "contribution", unit: "nats per token", cells }],
            colours,
          )
        : null,
      ...types.flatMap((type) => [
        h("h3", { class: "group" }, `At ${asString(type.type)}`),
        tableOf("Matrices", asObjects(type.matrices)),
        tableOf("Steps along the path", asObjects(type.steps)),
        tableOf("Coverage by the largest weights", asObjects(type.coverage)),
        tableOf("Agreement of measures", asObjects(type.agreements)),
      ]),
      statisticsOf(run),
    ],
    shown: [...kCommon, "types"],
  };
};
