// Colours as CSS expressions of the page's variables, so that light, dark and print need no drawing again.
// --h0 ... --h4 is the sequential ramp (lightness monotone), --n and --p the ends of the diverging one about --h0.
import { extent } from "./extent";

const kStops = 5;

// Sequential; t in [0, 1].
export function heat(t: number): string {
  const place = Math.min(Math.max(t, 0), 1) * (kStops - 1);
  const below = Math.min(Math.floor(place), kStops - 2);
  const part = Math.round((place - below) * 1000) / 10;
  return `color-mix(in oklab, var(--h${below + 1}) ${part}%, var(--h${below}))`;
}

// Of words on heat(t).
export function ink(t: number): string {
  return `var(--i${Math.floor(Math.min(Math.max(t, 0), 1) * (kStops - 1) + 0.3)})`;
}

// Diverging about 0; t in [-1, 1].
export function diverging(t: number): string {
  const part = Math.round(Math.min(Math.abs(t), 1) * 1000) / 10;
  return `color-mix(in oklab, var(${t < 0 ? "--n" : "--p"}) ${part}%, var(--h0))`;
}

// A scale of values: from a value to its colour, with what its ends mean.
export interface Scale {
  colour: (value: number) => string;
  low: number;
  high: number;
  kind: "linear" | "log" | "diverging";
  // The value at a place of the legend's bar, in [0, 1].
  at: (place: number) => number;
}

export function scaleOf(values: number[], wish: "linear" | "log"): Scale {
  let [low, high] = extent(values);
  if (low < 0) {
    const far = Math.max(-low, high);
    return { colour: (v) => diverging(v / far), low: -far, high: far, kind: "diverging", at: (p) => far * (2 * p - 1) };
  }
  const positive = values.filter((v) => v > 0);
  if (wish === "log" && positive.length > 0) {
    low = extent(positive)[0];
    const span = Math.log(high / low) || 1;
    return { colour: (v) => heat(v > 0 ? Math.log(v / low) / span : 0), low, high, kind: "log", at: (p) => low * (high / low) ** p };
  }
  if (high === low) high = low + 1;
  return { colour: (v) => heat((v - low) / (high - low)), low, high, kind: "linear", at: (p) => low + p * (high - low) };
}
