// The list beside the map: regions, counts by state, search, fleets, devices.
import { openSettings } from "./settings.js";
import { STATES, isStale, stateOf } from "./status.js";
import { age, element, measured, number, sign, text } from "./words.js";

const SHOWN = 200;
const RANK = { moving: 0, idle: 1, off: 2, silent: 3 };
const at = (id) => document.getElementById(id);

export class Side {
  /** told: { filtered(), picked(number), themed(), left(), looked(region) } */
  constructor(told) {
    this.told = told;
    this.states = new Set(STATES);
    this.words = "";
    this.fleet = "";
    this.rows = [];
    this.made = {};
    this.focused = -1;
    this.standing = [];
    this.isPressed = false;
    this.dress();
  }

  dress() {
    const search = at("search");
    // A phone has no key to press.
    search.placeholder = text("search", { key: matchMedia("(hover: none)").matches ? "" : "( / )" });
    search.ariaLabel = text("search");
    search.oninput = () => this.filter(() => (this.words = search.value.trim().toLowerCase()));
    const fleet = at("fleet");
    fleet.ariaLabel = text("allFleets");
    fleet.onchange = () => this.filter(() => (this.fleet = fleet.value));
    at("list").ariaLabel = text("list");
    at("regions").ariaLabel = text("regions");
    this.button("settings", openSettings);
    this.button("theme", () => this.told.themed());
    this.button("leave", () => this.told.left());
    this.button("grip", () => document.body.classList.toggle("folded"));
    at("list").onkeydown = (event) => this.keys(event);
    at("list").onpointerdown = () => (this.isPressed = true);
    // The click of a tap comes a moment after its pointerup.
    for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => setTimeout(() => (this.isPressed = false), 250));
    Object.assign(at("fleet-day"), { title: text("fleetTitle"), ariaLabel: text("fleetTitle") }).append(sign("days"));
    at("tiles").replaceChildren(...STATES.map((state) => this.tile(state)));
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !/input|textarea|select/i.test(event.target.tagName)) {
        event.preventDefault();
        search.focus();
      }
    });
  }

  /** The button of who may draw zones. */
  offerZones(act) {
    this.button("zoning", act, "zones");
    at("zoning").hidden = false;
  }

  button(id, act, drawn = id) {
    Object.assign(at(id), { title: text(id), ariaLabel: text(id), onclick: act });
    if (id !== "grip") at(id).append(sign(drawn));
  }

  tile(state) {
    const made = element("button", { type: "button", className: "tile", title: text(`stateHelp.${state}`), data: { state } },
      element("span", { className: `dot ${state}` }), element("b", { textContent: "0" }), element("span", { textContent: text(`states.${state}`) }));
    made.setAttribute("aria-pressed", "true");
    made.onclick = () => this.filter(() => {
      const alone = this.states.size === 1 && this.states.has(state);
      this.states = new Set(alone ? STATES : [state]);
      for (const one of at("tiles").children) one.setAttribute("aria-pressed", String(this.states.has(one.dataset.state)));
    });
    return made;
  }

  filter(change) {
    change();
    this.told.filtered();
  }

  /** Whether the filters let a device through. */
  takes(item, nowMs) {
    if (this.fleet && item.fleet_id !== this.fleet) return false;
    if (this.words && !item.device_id.toLowerCase().includes(this.words)) return false;
    return this.states.has(stateOf(item, nowMs));
  }

  /** Whether what it is made of differs from what is shown: what somebody clicks or has open is not made anew. */
  differs(name, parts) {
    const made = JSON.stringify(parts);
    const differs = this.made[name] !== made;
    this.made[name] = made;
    return differs;
  }

  regions(regions) {
    this.standing = regions;
    if (!this.differs("regions", regions.map((region) => [region.name, region.status, region.total]))) return;
    at("regions").replaceChildren(...regions.map((region) =>
      element("button", { type: "button", className: `region ${region.status}`, title: text("lookAt", { status: text(`region.${region.status}`) }), onclick: () => this.told.looked(region) },
        element("i"), element("b", { textContent: region.name }), element("small", { textContent: number(region.total) }))));
  }

  fleets(fleets) {
    if (!this.differs("fleets", fleets.map((fleet) => [fleet.fleet_id, fleet.name, fleet.devices]))) return;
    const select = at("fleet");
    const chosen = select.value;
    select.replaceChildren(element("option", { value: "", textContent: text("allFleets") }),
      ...fleets.map((fleet) => element("option", { value: fleet.fleet_id, textContent: `${fleet.name} (${number(fleet.devices)})` })));
    select.value = chosen;
  }

  /** Counts and the list anew. items: every device that is known. counted: devices that are only counted. */
  show(items, nowMs, picked, counted) {
    const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
    const rows = [];
    for (const item of items) {
      if (!this.fleet || item.fleet_id === this.fleet) counts[stateOf(item, nowMs)] += 1;
      if (this.takes(item, nowMs)) rows.push(item);
    }
    for (const tile of at("tiles").children) tile.querySelector("b").textContent = number(counts[tile.dataset.state]);
    rows.sort((a, b) => RANK[stateOf(a, nowMs)] - RANK[stateOf(b, nowMs)] || (a.device_id < b.device_id ? -1 : 1));
    this.rows = rows.slice(0, SHOWN);
    at("list").replaceChildren(...this.rows.map((item) => this.row(item, nowMs, picked)));
    at("more").textContent = this.words || rows.length ? this.summary(rows.length, items.length, counted) : "";
    if (!rows.length) at("list").append(this.nothing(items.length, counted));
  }

  summary(rows, known, counted) {
    if (counted && !known) return text("zoomIn", { all: number(counted) });
    return text("shown", { shown: number(Math.min(rows, SHOWN)), all: number(rows) });
  }

  nothing(known, counted) {
    if (counted) return element("li", { className: "empty" }, element("p", { textContent: text("zoomIn", { all: number(counted) }) }));
    if (known) return element("li", { className: "empty" }, element("p", { textContent: text("none") }));
    return this.unanswered() ?? element("li", { className: "empty" }, element("b", { textContent: text("emptyTitle") }), element("p", { textContent: text("emptyText") }));
  }

  /** What is said while a region has not answered: that nothing was heard is not known then. */
  unanswered() {
    const at = (status) => this.standing.filter((region) => region.status === status);
    const said = (title, words) => element("li", { className: "empty" }, element("b", { textContent: title }), element("p", { textContent: words }));
    if (at("connecting").length) return element("li", { className: "empty busy" });
    if (at("away").length) return said(text("away", { regions: at("away").map((region) => region.name.toUpperCase()).join(", ") }), text("awayText"));
    return at("refused").length ? said(text("refusedTitle"), this.standing.find((region) => region.why).why) : null;
  }

  row(item, nowMs, picked) {
    const state = stateOf(item, nowMs);
    const speed = state === "moving" && item.speed_kmh != null ? measured("speed", item.speed_kmh) : text(`states.${state}`);
    const made = element("li", { className: `device${isStale(item, nowMs) ? " stale" : ""}`, on: { click: () => this.told.picked(item.number) } },
      element("span", { className: `dot ${state}` }),
      element("span", { className: "name", textContent: item.device_id }),
      item.faults ? element("span", { className: "fault", textContent: "▲", title: text("faults") }) : null,
      element("span", { className: "what", textContent: speed }),
      element("small", { textContent: age((nowMs - item.ms) / 1000) }));
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(item.number === picked));
    return made;
  }

  keys(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      this.focused = Math.min(this.rows.length - 1, Math.max(0, this.focused + step));
      this.told.picked(this.rows[this.focused]?.number);
    }
  }
}

