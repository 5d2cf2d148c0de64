// What a view gets, and what it gives: the body of one run's section.
import type { Run } from "../json";
import type { TypeColours } from "../model_map";

export interface View {
  title: string;
  lead?: string; // the result in a sentence
  parts: (HTMLElement | null)[];
  shown: string[]; // fields of `result` that need not be shown again
}

export type ViewOf = (run: Run, colours: TypeColours) => View;
