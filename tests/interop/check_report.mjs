// Opens report pages in a real browser and uses them: usage: check_report.mjs MODULES BROWSER PAGES_DIR
// PAGES_DIR holds *.html as tests/cli/report_interop_test.cpp writes them. Every failed expectation is a line; exit code 1.
import { createRequire } from "node:module";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { partialStudies, studies } from "./check_report_studies.mjs";

const [modules, browserPath, directory] = process.argv.slice(2);
const require = createRequire(join(modules, "x.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(join(modules, "axe-core", "axe.min.js"), "utf8");

const kSlowest = 3000; // ms until a page of 2,000 tensors x 20 types can be used
let failures = 0;
function expect(holds, what) {
  if (holds) return;
  failures += 1;
  console.log(`FAILED: ${what}`);
}

// What the page does in its own time, on a machine that may be busy.
async function eventually(holds, what) {
  const end = Date.now() + 10000;
  while (Date.now() < end) {
    if (await holds()) return;
    await new Promise((wake) => setTimeout(wake, 20));
  }
  expect(false, what);
}

const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox", "--disable-gpu"] });

// A page with everything noted that it should not do.
async function open(name, settings = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...settings });
  const page = await context.newPage();
  const url = pathToFileURL(join(directory, name)).href;
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("request", (request) => {
    if (request.url() !== url && !request.url().startsWith("data:")) complaints.push(`request: ${request.url()}`);
  });
  const begin = Date.now();
  await page.goto(url);
  await page.waitForSelector("html[data-ready]", { timeout: 30000 });
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  return { page, complaints, context, milliseconds: Date.now() - begin };
}

const table = (page, caption) => page.locator(".table", { has: page.getByRole("heading", { name: caption, exact: true }) });
const column = (block, place) => block.locator(`tbody tr > :nth-child(${place})`).allTextContents();

async function everyPage(name) {
  for (const colorScheme of name === "several.html" ? ["light"] : ["light", "dark"]) {
    const { page, complaints, context } = await open(name, { colorScheme });
    await page.addScriptTag({ content: axe }).catch(() => page.evaluate(axe));
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    for (const one of found.violations)
      expect(false, `${name}, ${colorScheme}: axe ${one.id} (${one.impact}): ${one.nodes.length} times, first ${one.nodes[0].html.slice(0, 160)}`);
    expect((await page.locator("h1").count()) === 1, `${name}: one first heading`);
    expect((await page.getByRole("main").count()) === 1, `${name}: one main landmark`);
    expect((await page.getByText("Provenance").count()) >= 1, `${name}: provenance`);
    for (const complaint of complaints) expect(false, `${name}, ${colorScheme}: ${complaint}`);
    await context.close();
  }
  // Nothing is wider than a telephone's page; tables scroll in their own frames.
  const { page, complaints, context } = await open(name, { viewport: { width: 380, height: 800 } });
  const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  expect(inner <= outer, `${name}: ${inner} pixels wide on a page of ${outer}`);
  for (const complaint of complaints) expect(false, `${name}, narrow: ${complaint}`);
  await context.close();
}

async function sortsAndFilters() {
  const { page, complaints, context } = await open("sweep.html");
  const block = table(page, "Damage, nats per token");
  const head = block.getByRole("columnheader", { name: "Q2_K" });
  const written = await column(block, 1);
  expect((await head.getAttribute("aria-sort")) === "none", "no column is sorted at first");
  await head.getByRole("button").click();
  expect((await head.getAttribute("aria-sort")) === "descending", "a column of numbers sorts from the largest first");
  const number = (text) => Number(text.replaceAll("\u2212", "-").replaceAll(",", ""));
  const cells = async () => (await block.locator("tbody tr > :nth-child(2) .measured > span").allTextContents()).map(number);
  let values = await cells();
  expect(values.length === 12 && values.every((v, i) => i === 0 || v <= values[i - 1]), `descending: ${values}`);
  await head.getByRole("button").press("Enter");
  expect((await head.getAttribute("aria-sort")) === "ascending", "Enter on the head turns the order");
  values = await cells();
  expect(values.every((v, i) => i === 0 || v >= values[i - 1]), `ascending: ${values}`);
  await head.getByRole("button").press("Enter");
  expect((await head.getAttribute("aria-sort")) === "none", "a third time gives the order as written");
  expect(JSON.stringify(await column(block, 1)) === JSON.stringify(written), "the order as written");

  const filter = block.getByRole("searchbox");
  await filter.fill("blk.1. attn");
  await eventually(async () => {
    const names = await column(block, 1);
    return names.length === 4 && names.every((name) => name.includes("blk.1.") && name.includes("attn"));
  }, "filtered by two words: the four attention matrices of a layer");
  expect((await block.getByRole("status").textContent()).includes(" of "), "the count says how many of all");
  await filter.fill("no such tensor");
  await eventually(async () => (await block.locator("tbody").textContent()).includes("No row"), "an empty table says why");
  await filter.fill("");
  await eventually(async () => (await column(block, 1)).length === 12, "without a filter all rows are there again");
  await block.getByRole("button", { name: "Next" }).click();
  expect((await column(block, 1))[0] !== written[0], "the next page has other rows");

  // The map follows the type that is chosen, and has its numbers as a table.
  const figure = page.locator("figure").first();
  const before = await figure.locator(".plot").innerHTML();
  await figure.getByLabel("Type").selectOption("Q8_0");
  expect((await figure.locator(".plot").innerHTML()) !== before, "the map of another type differs");
  await figure.getByText("The same as a table").click();
  await eventually(async () => (await figure.getByRole("table").count()) === 1, "a figure has its numbers as a table");
  for (const complaint of complaints) expect(false, `sweep.html in use: ${complaint}`);
  await context.close();
}

async function keyboard() {
  const { page, context } = await open("sweep.html");
  await page.keyboard.press("Tab");
  expect((await page.evaluate(() => document.activeElement?.className)) === "skip", "the first stop is the link to the results");
  const stops = [];
  let reached = false;
  for (let i = 0; i < 40 && !reached; i++) {
    await page.keyboard.press("Tab");
    stops.push(await page.evaluate(() => document.activeElement?.tagName));
    reached = await page.evaluate(() => document.activeElement?.matches(".scroll[role=group]") ?? false);
  }
  expect(reached, `Tab reaches the table's frame (${stops})`);
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  expect(outline !== "none", "focus is seen");
  await page.keyboard.type("ffn_up");
  const block = table(page, "Damage, nats per token");
  expect((await block.getByRole("searchbox").inputValue()) === "ffn_up", "typing on the table filters it");
  await eventually(async () => (await column(block, 1)).every((name) => name.includes("ffn_up")), "and it is filtered");
  await context.close();
}

async function themes() {
  const { page, context } = await open("sweep.html", { colorScheme: "dark" });
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await paper();
  await page.getByRole("button", { name: "Switch to light colours" }).click();
  const light = await paper();
  expect(dark !== light, `colours change (${dark}, ${light})`);
  await page.getByRole("button", { name: "Switch to dark colours" }).click();
  expect((await paper()) === dark, "and back");
  await page.emulateMedia({ media: "print" });
  expect((await paper()) === "rgb(255, 255, 255)", "print is on white");
  expect(!(await page.locator(".theme").isVisible()), "print has no buttons");
  const pdf = await page.pdf();
  expect(pdf.length > 10000, "prints");
  await context.close();
}

async function large() {
  // The least of three: what the page takes, not what else the machine does.
  let milliseconds = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    const tried = await open("large.html");
    milliseconds = Math.min(milliseconds, tried.milliseconds);
    await tried.context.close();
  }
  const { page, complaints, context } = await open("large.html");
  console.log(`2,000 tensors x 20 types: ${milliseconds} ms`);
  expect(milliseconds < kSlowest, `2,000 tensors x 20 types can be used after ${milliseconds} ms (at most ${kSlowest})`);
  const block = table(page, "Damage, nats per token");
  const begin = Date.now();
  await block.getByRole("columnheader", { name: "Q4_K", exact: true }).getByRole("button").click();
  await block.getByRole("searchbox").fill("blk.7. down");
  await page.waitForFunction(() => [...document.querySelectorAll("[role=status]")].some((one) => / of 2000 rows/.test(one.textContent)));
  console.log(`sorted and filtered: ${Date.now() - begin} ms`);
  expect((await column(block, 1)).every((name) => name.startsWith("blk.7.")), "2,000 rows are filtered");
  for (const complaint of complaints) expect(false, `large.html: ${complaint}`);
  await context.close();
}

async function hostile() {
  const { page, complaints, context } = await open("hostile.html");
  expect((await page.evaluate(() => globalThis.taken)) === undefined, "no text of a result is run");
  expect((await page.locator("body").textContent()).includes("</script>"), "it is shown as text");
  for (const complaint of complaints) expect(false, `hostile.html: ${complaint}`);
  await context.close();
}

const pages = readdirSync(directory).filter((one) => one.endsWith(".html"));
const partial = pages.filter((one) => one.startsWith("partial_"));
for (const name of pages.filter((one) => one !== "large.html" && !partial.includes(one)).sort()) await everyPage(name);
await sortsAndFilters();
await keyboard();
await themes();
await large();
await hostile();
await studies({ open, expect, eventually, table });
await partialStudies(partial, { open, expect });
await browser.close();
process.exit(failures === 0 ? 0 : 1);
