// Texts and numbers together: what most of the page needs.
export { text } from "./texts.js";
export { addDays, age, clock, dayOf, duration, inUnit, localOf, longDay, measured, measuredArea, moment, msOfLocal, number, reading, unitOf, zoneName } from "./format.js";

const SIGNS = {
  theme: "M12 3a9 9 0 1 0 0 18V3z M12 3a9 9 0 0 1 0 18",
  settings: "M4 7h10 M18 7h2 M14 4v6 M4 17h2 M10 17h10 M10 14v6",
  leave: "M10 4H5v16h5 M14 8l4 4-4 4 M18 12H9",
  follow: "M12 2v4 M12 18v4 M2 12h4 M18 12h4 M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10z",
  share: "M9 14l6-4 M9 10l0 0 M18 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6z M6 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z M18 22a3 3 0 1 0 0-6 3 3 0 0 0 0 6z M8.7 10.6l6.6-4 M8.7 13.4l6.6 4",
  close: "M6 6l12 12 M18 6L6 18",
  before: "M15 5l-7 7 7 7",
  after: "M9 5l7 7-7 7",
  days: "M4 20V10 M10 20V4 M16 20v-7 M21 20H3",
  table: "M4 5h16v14H4z M4 10h16 M10 10v9",
  play: "M8 5l11 7-11 7z",
  pause: "M8 5v14 M16 5v14",
  zones: "M5 8l8-4 7 6-3 9H7z M5 8v0 M13 4v0",
  edit: "M4 20l1-5L16 4l4 4L9 19z M13.5 6.5l4 4",
  remove: "M4 7h16 M9 7V4h6v3 M6 7l1 13h10l1-13 M10 11v6 M14 11v6",
  undo: "M9 6L4 11l5 5 M4 11h10a6 6 0 0 1 0 12h-2",
  cross: "M12 3v18 M3 12h18",
  finish: "M5 12l5 5L20 7",
};

/** A line drawing of that name; no font has to have it. */
export function sign(name) {
  const made = (kind, attributes) => {
    const one = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
    return one;
  };
  const drawing = made("svg", { viewBox: "0 0 24 24", class: `sign ${name}`, "aria-hidden": "true" });
  drawing.append(made("path", { d: SIGNS[name] }));
  return drawing;
}

/** A button with a drawing and, for those who do not see it, words. */
export function signed(name, words, act, className = "icon") {
  return element("button", { type: "button", className, title: words, ariaLabel: words, onclick: act }, sign(name));
}

/** An element with a class, a text, children and handlers. */
export function element(kind, properties = {}, ...children) {
  const { data, on, attributes, ...own } = properties;
  const made = Object.assign(document.createElement(kind), own);
  Object.assign(made.dataset, data ?? {});
  for (const [name, handler] of Object.entries(on ?? {})) made.addEventListener(name, handler);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children.filter((child) => child != null));
  return made;
}
