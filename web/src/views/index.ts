// Which view shows which command's result. A command that is not here is shown by its fields alone.
import { asObject, isObject } from "../json";
import { everything, recipeMap, recipeOf } from "../parts";
import { compareView } from "./compare";
import { optimizeView } from "./optimize";
import { planView } from "./plan";
import { evalView, probeView } from "./probe";
import { recipeView } from "./recipe";
import { studyView } from "./study";
import { scoreView, sweepView } from "./tables";
import type { ViewOf } from "./view";

const kViews: Record<string, ViewOf> = {
  compare: compareView,
  eval: evalView,
  optimize: optimizeView,
  plan: planView,
  probe: probeView,
  recipe: recipeView,
  score: scoreView,
  study: studyView,
  sweep: sweepView,
};

const genericView: ViewOf = (run, colours) => ({
  title: `Result of ${run.command || "an unnamed command"}`,
  parts: [
    isObject(run.result.recipe) ? recipeMap("Map of the model: the recipe", recipeOf(run.result.recipe), colours) : null,
    ...everything(asObject(run.result), ["recipe"]),
  ],
  shown: Object.keys(run.result),
});

export function viewOf(command: string): ViewOf {
  return kViews[command] ?? genericView;
}
