// The dialog in which a person chooses units, time zone and form.
import { choices, choose, isLocale, isZone } from "./choices.js";
import { element, text } from "./words.js";

const LOCALES = ["de-DE", "en-GB", "en-US", "es-ES", "fr-FR", "it-IT", "ja-JP", "nl-NL", "pl-PL", "pt-BR", "sv-SE", "sw-KE", "zh-CN"];

export function openSettings() {
  const chosen = choices();
  const units = select(["metric", "us", "uk"].map((name) => [name, text(`unitSystems.${name}`)]), chosen.units);
  const zones = element("datalist", { id: "zones" }, ...["UTC", ...Intl.supportedValuesOf("timeZone")].map((value) => element("option", { value })));
  const zone = element("input", { value: chosen.zone ?? "", placeholder: Intl.DateTimeFormat().resolvedOptions().timeZone, autocomplete: "off", spellcheck: false, attributes: { list: "zones" } });
  const form = select([["", text("browsersOwn")], ...LOCALES.map((name) => [name, new Intl.DisplayNames([name], { type: "language" }).of(name)])], chosen.locale ?? "");
  const error = element("p", { className: "error", role: "alert" });
  const dialog = element("dialog", { id: "choices", ariaLabel: text("settings"), onclose: () => dialog.remove() },
    element("form", { method: "dialog", onsubmit: (event) => save(event) },
      element("h2", { textContent: text("settings") }), labelled("units", units), labelled("zone", zone), labelled("form", form), zones, error,
      element("div", { className: "row" }, element("button", { type: "button", className: "plain", textContent: text("cancel"), onclick: () => dialog.close() }),
        element("button", { type: "submit", className: "primary", textContent: text("apply") }))));
  const save = (event) => {
    event.preventDefault();
    if (zone.value && !isZone(zone.value)) {
      error.textContent = text("badZone");
      return;
    }
    choose({ units: units.value, zone: zone.value || undefined, locale: isLocale(form.value) ? form.value : undefined });
    location.reload();
  };
  document.body.append(dialog);
  dialog.showModal();
}

function select(options, value) {
  const made = element("select", {}, ...options.map(([name, words]) => element("option", { value: name, textContent: words })));
  made.value = value;
  return made;
}

function labelled(name, input) {
  return element("label", {}, element("span", { textContent: text(`choice.${name}`) }), input);
}
