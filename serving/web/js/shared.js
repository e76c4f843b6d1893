// A guest's page: where the devices of a link are now, until it ends. No list, no past.
import { Api } from "./api.js";
import { FleetMap } from "./map.js";
import { linked } from "./session.js";
import { feature, stateOf } from "./status.js";
import { dressed } from "./theme.js";
import { age, element, measured, moment, number, text } from "./words.js";

const AGAIN_MS = 5_000;

class SharedPage {
  constructor() {
    this.box = document.getElementById("guest");
    this.numbers = new Map();
  }

  async open() {
    this.api = new Api("", linked().get("guest") ?? "");
    this.map = new FleetMap({ picked() {}, moved() {} }, dressed());
    await this.map.open();
    this.map.describe();
    this.ask();
  }

  async ask() {
    try {
      this.show(await this.api.json("/shared"));
    } catch (error) {
      this.clear();
      this.box.replaceChildren(element("h1", { textContent: text("sharedOver") }), element("p", { className: "quiet", textContent: error.message }));
      if (error.status === 401) return;
    }
    setTimeout(() => this.ask(), AGAIN_MS);
  }

  show({ name, ends, items }) {
    document.title = name;
    const now = Date.now();
    this.clear(new Set(items.map((item) => item.device_id)));
    for (const item of items) {
      if (!this.numbers.has(item.device_id)) this.numbers.set(item.device_id, this.numbers.size + 1);
      Object.assign(item, { number: this.numbers.get(item.device_id), ms: Date.parse(item.ts) });
      if (item.lat != null) this.map.put(feature(item, now));
    }
    this.map.flush();
    if (!this.map.touched) this.map.fit(items.filter((item) => item.lat != null).map((item) => [item.lon, item.lat]), 90, 9);
    this.box.replaceChildren(
      element("h1", { textContent: name }), element("p", { className: "quiet", textContent: text("sharedUntil", { time: moment(Date.parse(ends)) }) }),
      element("ul", {}, ...items.map((item) => this.row(item, now))),
      items.length ? "" : element("p", { className: "quiet", textContent: text("sharedNothing") }));
  }

  row(item, now) {
    const state = stateOf(item, now);
    const speed = state === "moving" && item.speed_kmh != null ? measured("speed", item.speed_kmh) : text(`states.${state}`);
    return element("li", { className: "device" }, element("span", { className: `dot ${state}` }), element("span", { className: "name", textContent: item.device_id }),
      element("span", { className: "what", textContent: speed }), element("small", { textContent: age((now - item.ms) / 1000) }));
  }

  /** Take from the map what is not shown any more. */
  clear(kept = new Set()) {
    for (const [id, place] of this.numbers) if (!kept.has(id)) this.map.remove(place);
    this.map.flush();
  }
}

new SharedPage().open();
