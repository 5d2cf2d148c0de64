// Numbers as people read them: enough digits, never more than were measured.

const kMinus = "\u2212";

function withMinus(text: string): string {
  return text.startsWith("-") ? kMinus + text.slice(1) : text;
}

// Three significant digits by default; whole numbers whole, tiny and huge ones with an exponent.
export function number(value: number | null, digits = 3): string {
  if (value === null) return "\u2013";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return withMinus(value.toLocaleString("en-US"));
  if (size < 1e-4 || size >= 1e7) {
    const [mantissa = "", exponent = ""] = value.toExponential(digits - 1).split("e");
    return withMinus(`${mantissa}e${withMinus(exponent.replace("+", ""))}`);
  }
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return withMinus(value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
}

export function interval(low: number | null, high: number | null, digits = 3): string {
  return low === null || high === null ? "" : `${number(low, digits)} to ${number(high, digits)}`;
}

// A share as a signed change: "-47.0 %".
export function change(value: number | null): string {
  if (value === null) return "\u2013";
  return `${value > 0 ? "+" : value < 0 ? kMinus : ""}${(Math.abs(value) * 100).toFixed(1)}\u00a0%`;
}

export function share(value: number | null): string {
  if (value === null) return "\u2013";
  const percent = value * 100;
  return `${withMinus(percent !== 0 && Math.abs(percent) < 0.1 ? percent.toPrecision(2) : percent.toFixed(1))}\u00a0%`;
}

export function bytes(value: number | null): string {
  if (value === null) return "\u2013";
  let size = value;
  let unit = 0;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  while (size >= 1024 && unit + 1 < units.length) {
    size /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${value.toLocaleString("en-US")} B` : `${size.toFixed(2)} ${units[unit]}`;
}

export function seconds(value: number | null): string {
  if (value === null) return "\u2013";
  if (value < 1) return `${number(value * 1000, 2)} ms`;
  if (value < 120) return `${value.toFixed(1)} s`;
  if (value < 7200) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${(value / 3600).toFixed(1)} h`;
}

// A field's name as words: "mean_kl" -> "mean KL".
export function words(key: string): string {
  const known: Record<string, string> = {
    kl: "KL",
    ppl: "perplexity",
    bpw: "bits per weight",
    nll: "NLL",
    sha256: "SHA-256",
    ci95: "95 % interval",
    qpsa: "QPSA",
    pqi: "PQI",
    ln: "ln",
    mib: "MiB",
  };
  return key
    .split("_")
    .map((word) => known[word] ?? word)
    .join(" ");
}
