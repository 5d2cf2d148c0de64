// One file: the bundle's script and style sheet are put into the page itself, and the licence texts of what it is made of.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

// Packages with the same text are named together.
function licences(modules: string[]): string {
  const packages = new Set<string>();
  for (const id of modules) {
    const found = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id);
    if (found?.[1]) packages.add(found[1]);
  }
  const byText = new Map<string, string[]>();
  for (const directory of [...packages].sort()) {
    const about = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    const file = readdirSync(directory).find((name) => /^licen[cs]e/i.test(name));
    if (!file) throw new Error(`${about.name} has no licence text`);
    const text = readFileSync(join(directory, file), "utf8").trim();
    byText.set(text, [...(byText.get(text) ?? []), `${about.name} ${about.version} (${about.license})`]);
  }
  return [...byText].map(([text, names]) => `${names.join(", ")}\n\n${text}`).join("\n\n");
}

function oneFile(): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    generateBundle(_, bundle) {
      const page = bundle["index.html"];
      if (page?.type !== "asset") throw new Error("no index.html in the bundle");
      let html = String(page.source);
      for (const [name, part] of Object.entries(bundle)) {
        if (part.type === "chunk") {
          // A closing tag inside the script would end it.
          const code = part.code.replaceAll("</script", "<\\/script");
          html = html.replace(/<script type="module"[^>]* src="[^"]*"><\/script>\s*/, "");
          html = html.replace("</body>", () => `<script type="module">${code}</script>\n</body>`);
          const texts = licences(part.moduleIds).replaceAll("--", "- -");
          html = html.replace("</html>", () => `</html>\n<!--\nThis page contains:\n\n${texts}\n-->`);
          delete bundle[name];
        } else if (name.endsWith(".css")) {
          html = html.replace(/<link rel="stylesheet"[^>]*>\s*/, () => `<style>${part.source}</style>\n`);
          delete bundle[name];
        }
      }
      page.source = html;
    },
  };
}

export default defineConfig({
  plugins: [oneFile()],
  build: {
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    reportCompressedSize: false,
    emptyOutDir: true,
  },
});
