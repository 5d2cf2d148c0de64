// A figure as a file: SVG with the page's colours written out, its title and its legend; or that as PNG.
// Non-goals: vector fonts, other formats (`report --figures` draws with the program's own code).
import { freshId, h, svg } from "./dom";

const kSharper = 2; // pixels of a PNG per pixel of the page
const kMargin = 12;
const kLegendLine = 20;

// Any CSS colour as rgb(), which every reader of SVG knows.
const known = new Map<string, string>();
function plainColour(colour: string): string {
  const found = known.get(colour);
  if (found) return found;
  const canvas = h("canvas", { width: 1, height: 1 }).getContext("2d");
  if (!canvas) return colour;
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  const plain = a === 255 ? `rgb(${r},${g},${b})` : `rgba(${r},${g},${b},${((a ?? 0) / 255).toFixed(3)})`;
  known.set(colour, plain);
  return plain;
}

// The colours that depend on the page become what they are on it.
function writeColours(from: Element, to: Element): void {
  const style = getComputedStyle(from);
  for (const property of ["fill", "stroke"]) {
    const own = from.getAttribute(property) ?? (from as SVGElement).style.getPropertyValue(property);
    if (/var\(|color-mix\(|currentColor/i.test(own)) {
      to.setAttribute(property, plainColour(style.getPropertyValue(property)));
      (to as SVGElement).style.removeProperty(property);
    }
  }
}

// The bars and swatches under a figure, a line each.
function legendLines(below: Element, top: number, ink: string): { parts: SVGElement[]; bottom: number } {
  const parts: SVGElement[] = [];
  let y = top;
  let x = 4;
  const write = (text: string) => {
    parts.push(svg("text", { x, y: y + 14, fill: ink }, document.createTextNode(text)));
    x += 12 + text.length * 6.6;
  };
  for (const bar of below.querySelectorAll(".scale .bar")) {
    const id = freshId("scale");
    const colours = getComputedStyle(bar)
      .backgroundImage.replace(/^linear-gradient\(to right,|\)$/g, "")
      .split(/,(?![^(]*\))/);
    const stops = colours.map((colour, i) => svg("stop", { offset: i / (colours.length - 1), "stop-color": plainColour(colour.trim()) }));
    parts.push(svg("linearGradient", { id }, ...stops));
    for (const part of bar.parentElement?.children ?? []) {
      if (part === bar) {
        parts.push(svg("rect", { x, y: y + 4, width: 160, height: 11, fill: `url(#${id})` }));
        x += 172;
      } else if (part.textContent) write(part.textContent);
    }
    y += kLegendLine;
    x = 4;
  }
  for (const swatch of below.querySelectorAll(".outside .swatch")) {
    parts.push(svg("rect", { x, y: y + 3, width: 12, height: 12, fill: plainColour(getComputedStyle(swatch).backgroundColor) }));
    x += 18;
    write(swatch.parentElement?.textContent ?? "");
    y += kLegendLine;
    x = 4;
  }
  return { parts, bottom: y };
}

// The whole figure, beginning with its title.
function standalone(title: string, drawing: SVGSVGElement, below: Element): { text: string; width: number; height: number } {
  const copy = drawing.cloneNode(true) as SVGSVGElement;
  const parts = [...drawing.querySelectorAll("*")];
  [...copy.querySelectorAll("*")].forEach((to, i) => {
    if (parts[i]) writeColours(parts[i], to);
  });
  const style = getComputedStyle(drawing);
  const ink = plainColour(style.color);
  const [width, height] = [drawing.width.baseVal.value, drawing.height.baseVal.value];
  copy.setAttribute("x", String(kMargin));
  copy.setAttribute("y", String(kMargin + 28));
  copy.setAttribute("color", ink);
  copy.setAttribute("fill", ink);
  const legend = legendLines(below, height + 44, ink);
  const whole = { width: width + 2 * kMargin, height: legend.bottom + kMargin };
  const root = svg(
    "svg",
    { ...whole, viewBox: `0 0 ${whole.width} ${whole.height}`, "font-family": style.fontFamily, "font-size": 12 },
    svg("rect", { ...whole, fill: plainColour(getComputedStyle(document.body).backgroundColor) }),
    svg("text", { x: kMargin, y: kMargin + 16, fill: ink, "font-size": 16, "font-weight": 600 }, document.createTextNode(title)),
    copy,
    svg("g", { transform: `translate(${kMargin - 4})` }, ...legend.parts),
  );
  return { text: new XMLSerializer().serializeToString(root), ...whole };
}

function download(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function pngOf(text: string, width: number, height: number): Promise<Blob | null> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = h("canvas", { width: Math.ceil(width * kSharper), height: Math.ceil(height * kSharper) });
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

export function saveButtons(title: string, plot: Element, below: Element): HTMLElement {
  const name = title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_|_$/g, "");
  const button = (kind: "SVG" | "PNG") => {
    const one = h("button", { type: "button", "aria-label": `Save as ${kind}: ${title}` }, kind);
    one.addEventListener("click", async () => {
      const drawing = plot.querySelector("svg");
      if (!drawing) return;
      const { text, width, height } = standalone(title, drawing, below);
      if (kind === "SVG") return download(`${name}.svg`, new Blob([text], { type: "image/svg+xml" }));
      const png = await pngOf(text, width, height);
      if (png) download(`${name}.png`, png);
    });
    return one;
  };
  return h("div", { class: "save" }, button("SVG"), button("PNG"));
}
