// Elements in one call.

export type Child = Node | string | null | undefined | false;

type Attribute = string | number | boolean | null | undefined;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Attribute> = {},
  ...children: (Child | Child[])[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}

const kSvg = "http://www.w3.org/2000/svg";

export function svg(tag: string, attributes: Record<string, Attribute> = {}, ...children: Node[]): SVGElement {
  const element = document.createElementNS(kSvg, tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

let count = 0;
export function freshId(stem: string): string {
  count += 1;
  return `${stem}-${count}`;
}

// A labelled choice; `change` is called with the value chosen.
export function choice(
  label: string,
  values: [value: string, text: string][],
  chosen: string,
  change: (value: string) => void,
): HTMLElement {
  const id = freshId("choice");
  const select = h(
    "select",
    { id },
    values.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
  );
  select.addEventListener("change", () => change(select.value));
  return h("span", { class: "choice" }, h("label", { for: id }, label), select);
}
