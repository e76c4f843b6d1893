// Texts and numbers together: what most of the page needs.
export { text } from "./texts.js";
export { addDays, age, clock, dayOf, duration, longDay, number, reading } from "./format.js";

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
