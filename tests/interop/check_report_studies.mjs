// The views of studies on report pages, used in a browser (check_report.mjs): every figure has its marks and follows its choices, every
// number of the result can be reached, figures can be saved, and what was not measured is left out without harm.
import { readFileSync } from "node:fs";

const kDots = ".plot svg circle"; // those of the key too; of a scatter, the first kind of points
const kCells = ".plot svg rect";
const kLines = ".plot svg g[stroke-width='1.75'] path";

// page, title of the figure, its marks and how many the example gives it, a choice with what is chosen, and how many there are then.
const kFigures = [
  ["outliers", "Share of the damage that k weights carry", kDots, 6, "Chosen by", "all", 8],
  ["outliers", "Do outliers carry more than matched controls?", kDots, 4],
  ["outliers", "Zeroing one weight: candidates against their matched controls", kDots, 6, "Prompts", "code", 6],
  ["outliers", "Map of the model: the strongest candidate of each matrix", kCells, 2, "Prompts", "chat", 2],
  ["outliers", "What kind of weight each one is", kDots, 6],
  ["outliers", "Several weights zeroed together", kDots, 4, "Measure", "interaction", 4],
  ["outliers", "Dose and response", kDots, 8, "Weight", "1", 8],
  ["outliers", "What a zeroed weight leaves in the residual, block after block", kDots, 5, "Weight", "0", 6],
  ["outliers", "Where the perturbation is: blocks and positions", kCells, 6, "Weight", "blk.1.attn_q\u00a0[11,\u00a021]", 4],
  ["outliers", "Patching the residual back", kDots, 10, "Weight", "1", 10],
  ["outliers", "How far the published patch overshoots", kDots, 8],
  ["outliers", "Edits that might bring a weight's work back", kDots, 6, "Measure", "mean_kl", 6],
  ["attention", "What a basis of each rank recovers", kDots, 9, "Measure", "residual_lead", 6],
  ["attention", "Loss when keys but the strongest are left out", kDots, 2, "Replaced", "heads", 4],
  ["attention", "Loss when the last layers are replaced together", kDots, 4, "Measure", "kl", 4],
  ["attention", "Crystallisation: layers and heads", kCells, 4, "Shown", "loss of top-1", 4],
  ["attention", "Does crystallisation predict the loss of top-1?", kDots, 1],
  ["attention", "Spectrum of the residual", kLines, 2],
  ["attention", "What decoding would still cost", kDots, 2],
  ["awq", "What each method does to the model", kDots, 6, "Measure", "kl", 8],
  ["awq", "Error of outputs under the scale, mean over the blocks", kDots, 10, "Target", "Q4_0", 10],
  ["awq", "Map of the model: alpha chosen", kCells, 6, "Target", "4 bits", 6],
  ["awq", "Salient channels of the middle block", kLines, 2, "Shown", "scale", 2],
  ["awq", "What the clip search keeps of a group's largest weight", kDots, 3],
  ["pqi", "Share that first and second order explain", kDots, 2],
  ["pqi", "Share that first and second order explain, each layer alone", kDots, 2, "Type", "Q4_K", 2],
  ["pqi", "Error of the integral, by rule and number of intervals", kDots, 6, "Type", "Q4_K", 6],
  ["pqi", "Map of the model: contribution to the change of loss", kCells, 2, "Type", "Q4_K", 2],
  ["qpsa", "Layers by every method: share of the method's total", kCells, 6],
  ["qpsa", "Perplexity without the k least important layers", kDots, 5],
  ["qpsa", "Rank correlations between methods", kDots, 1],
  ["rfic", "What zeroing does to the loss of the full model", kDots, 3],
  ["rfic", "The full model, before and after", kDots, 8, "Measure", "kl", 4],
  ["rfic", "Benefit against harm of zeroing one weight", kDots, 5, "Candidates", "all", 9],
  ["rfic", "What zeroing one weight first takes off the KL", kDots, 1],
  ["rfic", "Map of the model: candidates", kCells, 2, "Shown", "best score", 2],
  ["proxies", "Agreement of each proxy with what happens on tasks", kDots, 3, "Outcome", "choices changed", 3],
  ["proxies", "Each changed model: a proxy against an outcome", kDots, 3, "Models", "interventions", 0],
];

// What the page says first, from the numbers of the examples.
const kSaid = [
  ["outliers", /^The top 100 outliers carry \d.* matched controls \d.* weights chosen by curvature \d/],
  ["attention", /^Partial: no rank is certain\.$/],
  ["awq", /^At 4 bits the best is AWQ.* against plain\. At Q4_0 .* The one criterion: passed\.$/],
  ["rfic", /^Zeroing 1 weight before quantization: safe with AWQ-lite \(by the source's rule unclear\), failure with AWQ/],
  ["pqi", /^The one criterion: passed\.$/],
  ["qpsa", /^The one criterion: passed\.$/],
  ["proxies", /^Of 5 changed models, .* agrees best with the margin drop on tasks: rank correlation \d/],
];

async function answers({ open, expect }) {
  for (const [name, words] of kSaid) {
    const { page, context } = await open(`${name}.html`);
    const lead = await page.locator(".lead").textContent();
    expect(words.test(lead), `${name}: the answer comes first, not "${lead}"`);
    expect((await page.locator(".badge").count()) > 0, `${name}: a verdict`);
    const note = await page.getByText("a note of the study").count();
    expect(note === 1, `${name}: its notes`);
    await context.close();
  }
}

async function keyboard({ open, expect }) {
  const { page, context } = await open("proxies.html");
  const figure = page.locator("figure").first();
  const before = await figure.locator(".plot").innerHTML();
  await figure.getByLabel("Outcome", { exact: true }).focus();
  await page.keyboard.press("ArrowDown");
  expect((await figure.locator(".plot").innerHTML()) !== before, "a figure's choice can be made by keyboard");
  await page.keyboard.press("Tab");
  expect((await page.evaluate(() => document.activeElement?.labels?.[0]?.textContent)) === "Models", "and Tab goes to the next");
  await context.close();
}

async function figuresOf(name, { open, expect }) {
  const { page, complaints, context } = await open(`${name}.html`);
  for (const [, title, marks, count, label, option, after] of kFigures.filter((one) => one[0] === name)) {
    const figure = page.locator("figure", { has: page.getByRole("heading", { name: title, exact: true }) });
    expect((await figure.count()) === 1, `${name}: a figure "${title}"`);
    const found = await figure.locator(marks).count();
    expect(found === count, `${name}: "${title}" has ${found} marks, not ${count}`);
    const drawing = figure.locator(".plot svg").first();
    expect((await drawing.getAttribute("role")) === "img", `${name}: "${title}" is an image`);
    const titled = await drawing.getAttribute("aria-labelledby");
    expect((await page.locator(`#${titled}`).textContent()) === title, `${name}: the image is named "${title}"`);
    const drawn = async () => (await figure.locator(".plot").innerHTML()) + (await figure.locator(".below").innerHTML());
    const before = await drawn();
    await figure.getByText("The same as a table").click();
    await figure.locator("tbody tr").first().waitFor();
    if (!label) continue;
    const numbers = await figure.locator("tbody").textContent();
    await figure.locator(".controls").getByLabel(label, { exact: true }).selectOption(option);
    expect((await drawn()) !== before, `${name}: "${title}" follows ${label}`);
    const then = await figure.locator(marks).count();
    expect(then === after, `${name}: "${title}" has ${then} marks at ${label} ${option}, not ${after}`);
    expect((await figure.locator("tbody").textContent()) !== numbers, `${name}: the table of "${title}" follows ${label}`);
  }
  for (const complaint of complaints) expect(false, `${name} in use: ${complaint}`);
  await context.close();
}

// Runs in the page: the text of everything that can be opened, chosen or paged to, but for drawings.
async function everythingSaid() {
  const settle = () => new Promise((done) => setTimeout(done, 0));
  const choose = async (select, value) => {
    select.value = value;
    select.dispatchEvent(new Event("change"));
    await settle();
  };
  const wholeTables = async (root) => {
    for (const select of root.querySelectorAll(".pager select")) if (select.value !== "0") await choose(select, "0");
  };
  const textOf = (root) => {
    const copy = root.cloneNode(true);
    for (const drawing of copy.querySelectorAll("svg, option")) drawing.remove();
    const texts = [];
    for (let walker = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT); walker.nextNode(); ) texts.push(walker.currentNode.data);
    return texts.join(" ");
  };
  const said = [];
  for (const details of document.querySelectorAll("details")) details.open = true;
  await settle();
  await new Promise((done) => setTimeout(done, 50));
  await wholeTables(document);
  said.push(textOf(document.querySelector("section.run")));
  for (const figure of document.querySelectorAll("figure"))
    for (let i = 0; i < figure.querySelectorAll(".controls select").length; i++) {
      const select = () => figure.querySelectorAll(".controls select")[i];
      const first = select().value;
      for (const value of [...select().options].map((option) => option.value)) {
        if (!select()) break;
        await choose(select(), value);
        await wholeTables(figure);
        said.push(textOf(figure));
      }
      if (select()) await choose(select(), first);
    }
  return said.join(" ");
}

const kClose = 0.006; // three digits

async function nothingIsHidden(name, { open, expect }) {
  const { page, complaints, context } = await open(`${name}.html`);
  const data = JSON.parse(await page.locator("#assay-data").textContent());
  const said = await page.evaluate(everythingSaid);
  const numbers = [...said.matchAll(/[\u2212-]?\d[\d,]*(\.\d+)?(e[\u2212-]?\d+)?/g)]
    .map((found) => Number(found[0].replaceAll("\u2212", "-").replaceAll(",", "")))
    .sort((a, b) => a - b);
  const isThere = (value) => {
    const [low, high] = [value - kClose * Math.abs(value), value + kClose * Math.abs(value)];
    let [from, to] = [0, numbers.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (numbers[middle] < low) from = middle + 1;
      else to = middle;
    }
    return from < numbers.length && numbers[from] <= high;
  };
  let leaves = 0;
  const missing = [];
  const look = (value, path) => {
    if (typeof value === "number") {
      if (Number.isInteger(value)) return;
      leaves += 1;
      // As they are, in percent, in thousandths.
      if (![1, 100, 1000].some((times) => isThere(value * times))) missing.push(`${path} = ${value}`);
    } else if (typeof value === "string" && value !== "") {
      if (value.length < 40 && !said.replaceAll("\u00a0", " ").includes(value.replace(/\.weight$/, ""))) missing.push(`${path} = "${value}"`);
    } else if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) look(inner, `${path}.${key}`);
    }
  };
  look(data.runs[0].report.result, name);
  expect(leaves > 25, `${name}: the example has numbers`);
  expect(missing.length === 0, `${name}: ${missing.length} of ${leaves} numbers cannot be reached, first ${missing.slice(0, 8).join("; ")}`);
  for (const complaint of complaints) expect(false, `${name}, everything opened: ${complaint}`);
  await context.close();
}

async function saves({ open, expect }) {
  const { page, complaints, context } = await open("attention.html");
  const title = "Crystallisation: layers and heads";
  const save = async (kind) => {
    const waiting = page.waitForEvent("download");
    await page.getByRole("button", { name: `Save as ${kind}: ${title}` }).press("Enter");
    const file = await waiting;
    expect(file.suggestedFilename() === `crystallisation_layers_and_heads.${kind.toLowerCase()}`, `the file's name: ${file.suggestedFilename()}`);
    return readFileSync(await file.path());
  };
  const svg = (await save("SVG")).toString();
  expect(svg.includes(`>${title}<`), "a saved figure has its title");
  expect(svg.includes("linearGradient") && svg.includes("second weight over the first"), "and its legend");
  expect(!/(var|color-mix|oklab)\(/.test(svg.replace(/<style>.*?<\/style>/s, "")), "and its colours written out");
  const read = await page.evaluate((text) => {
    const document = new DOMParser().parseFromString(text, "image/svg+xml");
    return document.querySelector("parsererror") ? -1 : document.querySelectorAll("rect").length;
  }, svg);
  expect(read >= 6, `a saved figure is XML with its cells (${read})`); // four cells, paper, the scale
  const png = await save("PNG");
  expect(png.subarray(1, 4).toString() === "PNG" && png.length > 2000, `a saved PNG (${png.length} bytes)`);
  for (const complaint of complaints.filter((one) => !one.startsWith("request: blob:"))) expect(false, `saving: ${complaint}`);
  await context.close();
}

export async function studies(tools) {
  await answers(tools);
  await keyboard(tools);
  for (const [name] of kSaid) {
    await figuresOf(name, tools);
    await nothingIsHidden(name, tools);
  }
  await saves(tools);
}

export async function partialStudies(names, { open, expect }) {
  const studied = new Set(names.map((name) => name.split("_")[1]));
  expect(studied.size === 7, `partial results of each study (${names})`);
  for (const name of names) {
    const { page, complaints, context } = await open(name);
    const data = JSON.parse(await page.locator("#assay-data").textContent());
    expect(data.runs.length > 0, `${name}: partial results`);
    expect((await page.locator("section.run[aria-labelledby^=run-]").count()) === data.runs.length, `${name}: a section for each`);
    const damaged = await page.getByText("This result cannot be shown").allTextContents();
    expect(damaged.length === 0, `${name}: ${damaged.length} cannot be shown, first ${damaged[0]}`);
    const text = await page.locator("main").textContent();
    for (const wrong of ["NaN", "undefined", "Infinity", "[object"]) expect(!text.includes(wrong), `${name}: "${wrong}" is on the page`);
    for (const complaint of complaints) expect(false, `${name}: ${complaint}`);
    await context.close();
  }
}
