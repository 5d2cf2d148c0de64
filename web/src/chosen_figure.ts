// A figure with choices: what is drawn, and its table, follow what is chosen. A choice of one value is not offered.
import { type Child, choice } from "./dom";
import { figure } from "./figure";

export interface Choice {
  label: string;
  values: [value: string, text: string][];
  first?: string; // chosen at first; default: the first value
}

export interface ChosenFigure<Key extends string> {
  title: string;
  note?: Child;
  choices: Record<Key, Choice>;
  draw: (width: number, chosen: Record<Key, string>) => Element;
  below?: Child;
  table?: (chosen: Record<Key, string>) => HTMLElement;
}

export function chosenFigure<Key extends string>(options: ChosenFigure<Key>): HTMLElement {
  const chosen = {} as Record<Key, string>;
  const controls: HTMLElement[] = [];
  for (const key of Object.keys(options.choices) as Key[]) {
    const { label, values, first } = options.choices[key];
    chosen[key] = first ?? values[0]?.[0] ?? "";
    if (values.length > 1)
      controls.push(
        choice(label, values, chosen[key], (value) => {
          chosen[key] = value;
          page.redraw();
        }),
      );
  }
  const { table } = options;
  const page = figure({
    title: options.title,
    note: options.note,
    controls,
    below: options.below,
    draw: (width) => options.draw(width, chosen),
    ...(table ? { table: () => table(chosen) } : {}),
  });
  return page.element;
}

// Values that are their own words.
export function asThemselves(values: Iterable<string>): [string, string][] {
  return [...new Set(values)].map((value) => [value, value]);
}
