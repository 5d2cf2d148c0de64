// Light or dark: the system's choice until the reader makes one, kept where the browser lets a file keep something.
import { h } from "./dom";

const kKey = "assay-theme";
const kDark = window.matchMedia("(prefers-color-scheme: dark)");

function kept(): string | null {
  try {
    return localStorage.getItem(kKey);
  } catch {
    return null;
  }
}

function keep(theme: string): void {
  try {
    localStorage.setItem(kKey, theme);
  } catch {
    // The choice then lasts as long as the page.
  }
}

export function themeButton(): HTMLElement {
  const button = h("button", { type: "button", class: "theme" });
  const show = (theme: string) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${theme === "dark" ? "light" : "dark"} colours`);
  };
  const chosen = kept();
  show(chosen === "dark" || chosen === "light" ? chosen : kDark.matches ? "dark" : "light");
  kDark.addEventListener("change", () => {
    if (kept() === null) show(kDark.matches ? "dark" : "light");
  });
  button.addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    keep(theme);
    show(theme);
  });
  return button;
}
