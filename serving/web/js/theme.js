// Light or dark: as the person chose in this browser, else as the machine is.
const KEPT = "fleetlake.theme";

export function theme() {
  return localStorage.getItem(KEPT) ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

export function turned() {
  const next = theme() === "dark" ? "light" : "dark";
  localStorage.setItem(KEPT, next);
  return dressed();
}

/** Dress the page; the theme. */
export function dressed() {
  document.documentElement.dataset.theme = theme();
  return theme();
}
