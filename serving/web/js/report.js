// What the pages beside the map share: who reads, which regions, the span of days, and files.
import { Api } from "./api.js";
import { claims, linked, token } from "./session.js";
import { dressed } from "./theme.js";
import { element, signed, text } from "./words.js";

/** The words of the address, and the regions that the token names. */
export async function opened(title) {
  dressed();
  document.title = `Fleetlake – ${title}`;
  const asked = linked();
  const [key, config] = await Promise.all([token(), fetch("config.json").then((answer) => answer.json())]);
  const named = claims(key)?.regions ?? [];
  const regions = Object.entries(config.sites).filter(([name]) => named.includes(name)).map(([name, origin]) => ({ name, api: new Api(origin, key) }));
  return { asked, regions };
}

/** The address says what is shown, so that a page can be kept and sent. */
export function remember(words) {
  const kept = new URLSearchParams(Object.entries(words).filter(([, value]) => value));
  history.replaceState(null, "", `${location.pathname}#${kept}`);
}

export function head(title, subtitle, ...tools) {
  return element("header", { className: "head" },
    element("a", { className: "icon", href: "./", title: text("toMap"), ariaLabel: text("toMap") }, signed("before", text("toMap"), null).firstChild),
    element("div", {}, element("h1", { textContent: title }), element("p", { className: "quiet", textContent: subtitle })),
    element("div", { className: "tools" }, ...tools));
}

/** A day to choose; told when it is one. */
export function dayInput(label, value, told) {
  return element("label", { className: "pick" }, element("span", { textContent: label }),
    element("input", { type: "date", value, required: true, onchange: (event) => event.target.value && told(event.target.value) }));
}

/** Buttons that keep a list as a file. ask: answers with it in that form. */
export function files(ask, name, failed) {
  const save = async (form) => {
    try {
      const answer = await ask(form);
      const link = element("a", { href: URL.createObjectURL(await answer.blob()), download: `${name}.${form}` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) {
      failed(error);
    }
  };
  return ["csv", "xlsx"].map((form) => element("button", { type: "button", className: "plain", textContent: form.toUpperCase(), title: text("downloadList"), onclick: () => save(form) }));
}

/** A row of figures. */
export function figures(pairs) {
  return element("dl", { className: "figures" }, ...pairs.map(([name, value, note]) =>
    element("div", {}, element("dt", { textContent: name }), element("dd", {}, value, note ? element("small", { textContent: ` ${note}` }) : null))));
}

/** A table. columns: [{ title, cell(item) }]; a row is chosen by a click or Enter. */
export function table(columns, items, { chosen, pick, sort } = {}) {
  const title = (column, place) => element("th", { className: column.number ? "number" : "", attributes: { scope: "col" } },
    sort ? element("button", { type: "button", textContent: column.title, onclick: () => sort(place) }) : column.title);
  const row = (item) => {
    const made = element("tr", { tabIndex: 0, onclick: () => pick?.(item), onkeydown: (event) => event.key === "Enter" && pick?.(item) },
      ...columns.map((column) => element("td", { className: column.number ? "number" : "" }, column.cell(item))));
    made.setAttribute("aria-selected", String(item === chosen));
    return made;
  };
  return element("table", {}, element("thead", {}, element("tr", {}, ...columns.map(title))), element("tbody", {}, ...items.map(row)));
}

export function said(words, detail = "") {
  return element("div", { className: "said" }, element("b", { textContent: words }), element("p", { textContent: detail }));
}
