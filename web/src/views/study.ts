// `study`: the view of each study; of one that has none, verdicts and statistics, and the rest as tables.
import { words } from "../format";
import { asObjects, asString, asStrings } from "../json";
import { everything, sentences } from "../parts";
import { attentionView } from "./study_attention";
import { awqView } from "./study_awq";
import { outliersView } from "./study_outliers";
import { countsOf, kCommon, outcomeOf, statisticsFigure, statisticsOf } from "./study_parts";
import { pqiView } from "./study_pqi";
import { proxiesView } from "./study_proxies";
import { qpsaView } from "./study_qpsa";
import { rficView } from "./study_rfic";
import type { ViewOf } from "./view";

const kViews: Record<string, ViewOf> = {
  attention: attentionView,
  awq: awqView,
  outliers: outliersView,
  pqi: pqiView,
  proxies: proxiesView,
  rfic: rficView,
};

const otherView: ViewOf = (run) => ({
  title: `Study: ${words(asString(run.result.study) || "results")}`,
  lead: countsOf(run),
  parts: [
    outcomeOf(run),
    statisticsFigure(asObjects(run.result.statistics), "Statistics"),
    statisticsOf(run),
    ...everything(run.result, [...kCommon, "tokens_scored", "windows", "documents", "interval"]),
  ],
  shown: Object.keys(run.result),
});

export const studyView: ViewOf = (run, colours) => {
  // The first study does not say its name.
  const unnamed = run.result.methods !== undefined && run.result.pruning !== undefined ? qpsaView : otherView;
  const made = (kViews[asString(run.result.study)] ?? unnamed)(run, colours);
  return { ...made, parts: [sentences(asStrings(run.result.notes), "note") as HTMLElement | null, ...made.parts] };
};
