// Zones for operators: the list, and the form beside a polygon that is drawn.
import { Drawing } from "./draw.js";
import { area } from "./outline.js";
import { unrolled } from "./basemap.js";
import { element, localOf, measuredArea, moment, msOfLocal, number, sign, signed, text, zoneName } from "./words.js";

export class Zones {
  /** told: { regions(), opened(), closed(), shown(zones by region), toast(words) } */
  constructor(map, told) {
    this.map = map;
    this.told = told;
    this.box = document.getElementById("zones");
    this.drawing = new Drawing(map, { changed: (outline) => this.outlined(outline), full: () => this.fail(text("zone.full")) });
    this.lists = new Map();
  }

  get isOpen() {
    return !this.box.hidden;
  }

  get isDrawing() {
    return this.map.drawing === this.drawing;
  }

  async open(chosen = null) {
    this.box.hidden = false;
    document.body.classList.add("zoning");
    this.told.opened();
    this.list(chosen);
    await this.read();
    if (this.isOpen && !this.isDrawing) this.list(chosen);
  }

  close() {
    if (this.isDrawing) this.drawing.end();
    this.box.hidden = true;
    document.body.classList.remove("zoning");
    this.show();
    this.told.closed();
  }

  /** Zones of every region, those of today and those to come. */
  async read() {
    await Promise.all(this.told.regions().map(async (region) => {
      try {
        const zones = await region.api.all("/zones", { ended: false });
        this.lists.set(region, zones.sort((a, b) => a.name.localeCompare(b.name)));
      } catch (error) {
        this.fail(text("zone.unread", { region: region.name.toUpperCase(), why: error.message }));
      }
    }));
    this.show();
  }

  show(without = null) {
    for (const [region, zones] of this.lists) this.told.shown(region, zones.filter((zone) => zone.zone_id !== without));
  }

  frame(title, close, ...parts) {
    this.error = element("p", { className: "error", role: "alert" });
    this.box.setAttribute("aria-label", title);
    this.box.replaceChildren(element("header", {}, element("div", {}, element("h2", { textContent: title })), signed("close", text("close"), close)), ...parts);
  }

  list(chosen) {
    const rows = [...this.lists].flatMap(([region, zones]) => zones.map((zone) => this.row(region, zone, zone.zone_id === chosen)));
    const nothing = element("li", { className: "empty" }, element("b", { textContent: text("zone.noneTitle") }), element("p", { textContent: text("zone.noneText") }));
    this.frame(text("zone.title"), () => this.close(), element("div", { className: "scroll" },
      element("button", { type: "button", className: "primary", textContent: text("zone.draw"), onclick: () => this.edit() }),
      element("ul", { className: "zones" }, ...(rows.length ? rows : [this.lists.size ? nothing : element("li", { className: "busy" })])), this.error));
    this.box.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
  }

  row(region, zone, chosen) {
    const fleet = region.fleets.find((one) => one.fleet_id === zone.fleet_id)?.name ?? zone.fleet_id;
    const words = [fleet, measuredArea(area(unrolled(zone.ring))), this.validity(zone)].filter(Boolean).join(" · ");
    return element("li", { className: chosen ? "chosen" : "" },
      element("button", { type: "button", className: "name", title: text("zone.look"), onclick: () => this.look(zone.ring) }, element("b", { textContent: zone.name }), element("small", { textContent: words })),
      signed("edit", text("zone.edit", { name: zone.name }), () => this.edit(region, zone)),
      signed("remove", text("zone.remove", { name: zone.name }), () => this.ask(region, zone)));
  }

  validity(zone) {
    const [begin, end] = [Date.parse(zone.valid_from), zone.valid_to && Date.parse(zone.valid_to)];
    return [begin > Date.now() ? text("zone.since", { time: moment(begin) }) : "", end ? text("zone.until", { time: moment(end) }) : ""].filter(Boolean).join(" ");
  }

  look(ring) {
    this.map.fit(unrolled(ring), this.padding(), 15);
  }

  padding() {
    return innerWidth > 760 ? { top: 70, bottom: 70, left: 400, right: 430 } : { top: 60, bottom: innerHeight * 0.56, left: 40, right: 60 };
  }

  edit(region = null, zone = null) {
    this.subject = { region, zone };
    this.form();
    this.drawing.open(zone ? unrolled(zone.ring) : []);
    this.show(zone?.zone_id);
    if (zone) this.look(zone.ring);
    else this.map.map.getCanvas().focus({ preventScroll: true });
  }

  form() {
    const { region, zone } = this.subject;
    this.hint = element("p", { className: "hint", role: "status" });
    this.undo = this.tool("undo", () => this.drawing.undo());
    this.cross = this.tool("cross", () => this.drawing.addAtCross());
    this.done = this.tool("finish", () => this.drawing.close());
    this.name = element("input", { value: zone?.name ?? "", maxLength: 100, autocomplete: "off", placeholder: text("zone.namePlaceholder") });
    this.fleet = element("select", { disabled: Boolean(zone) }, ...this.told.regions().flatMap((one) => one.fleets.map((fleet) =>
      element("option", { value: JSON.stringify([one.name, fleet.fleet_id]), textContent: this.told.regions().length > 1 ? `${fleet.name} (${one.name.toUpperCase()})` : fleet.name }))));
    if (zone) this.fleet.value = JSON.stringify([region.name, zone.fleet_id]);
    const time = (value) => element("input", { type: "datetime-local", value });
    this.from = time(zone && Date.parse(zone.valid_from) > Date.now() ? localOf(Date.parse(zone.valid_from)) : "");
    this.to = time(zone?.valid_to ? localOf(Date.parse(zone.valid_to)) : "");
    const labelled = (name, input, help = "") => element("label", {}, element("span", { textContent: text(`zone.${name}`) }, help ? element("small", { textContent: ` ${help}` }) : null), input);
    this.saving = element("button", { type: "submit", className: "primary", textContent: text("zone.save") });
    const form = element("form", { noValidate: true, className: "scroll", on: { submit: (event) => this.save(event) } });
    this.frame(text(zone ? "zone.editTitle" : "zone.newTitle", { name: zone?.name }), () => this.leave());
    form.append(this.hint, element("div", { className: "steps" }, this.undo, this.cross, this.done),
      labelled("name", this.name), labelled("fleet", this.fleet),
      labelled("from", this.from, text("zone.fromHelp")), labelled("to", this.to, text("zone.toHelp")),
      element("p", { className: "quiet", textContent: text(zone ? "zone.editHelp" : "zone.zoneHelp", { zone: zoneName() }) }),
      element("div", { className: "ends" }, this.error, element("button", { type: "button", className: "plain", textContent: text("cancel"), onclick: () => this.leave() }), this.saving));
    this.box.append(form);
  }

  tool(name, act) {
    return element("button", { type: "button", className: "tool", onclick: act, title: text(`zone.${name}Help`) }, sign(name), element("span", { textContent: text(`zone.${name}`) }));
  }

  /** The polygon changed: what can be done now. */
  outlined(outline) {
    const count = outline.corners.length;
    this.undo.disabled = !outline.past.length;
    this.cross.disabled = outline.closed;
    this.done.disabled = !outline.canClose;
    this.saving.disabled = count < 3;
    this.hint.textContent = outline.closed ? text("zone.hintClosed", { count: number(count), area: measuredArea(outline.areaKm2()) })
      : text(count === 0 ? "zone.hintFirst" : count < 3 ? "zone.hintMore" : "zone.hintClose", { count: number(count) });
    this.error.textContent = "";
    if (outline.closed && !this.wasClosed && !this.name.value && innerWidth > 760) this.name.focus({ preventScroll: true });
    this.wasClosed = outline.closed;
  }

  fail(words) {
    this.error.textContent = words;
    this.error.scrollIntoView({ block: "nearest" });
  }

  async save(event) {
    event.preventDefault();
    const { zone } = this.subject;
    const name = this.name.value.trim();
    if (!name) {
      this.fail(text("zone.nameless"));
      this.name.focus();
      return;
    }
    if (!this.fleet.value) {
      this.fail(text("zone.noFleet"));
      return;
    }
    const [regionName, fleet] = JSON.parse(this.fleet.value);
    const region = this.told.regions().find((one) => one.name === regionName);
    const moments = Object.fromEntries([["valid_from", this.from], ["valid_to", this.to]].filter(([, input]) => input.value).map(([key, input]) => [key, new Date(msOfLocal(input.value)).toISOString()]));
    this.saving.disabled = true;
    try {
      const made = await region.api.send("POST", "/zones", { fleet_id: fleet, name, ring: this.drawing.outline.ring(), ...moments, ...(zone ? { replaces: zone.zone_id } : {}) });
      this.drawing.end();
      this.told.toast(text("zone.saved", { name }));
      await this.open(made.zone_id);
    } catch (error) {
      this.fail(/sides cross/.test(error.message) ? text("zone.crosses") : error.message);
      this.saving.disabled = false;
    }
  }

  /** Back to the list; what was drawn is not lost without asking. */
  leave() {
    if (!this.drawing.outline.past.length) return this.back();
    return this.confirm(text("zone.leaveTitle"), text("zone.leaveText"), text("zone.leaveKeep"), text("zone.leaveGo"), () => this.back());
  }

  leaveOrClose() {
    if (this.isDrawing) this.leave();
    else this.close();
  }

  back() {
    this.drawing.end();
    this.show();
    this.list();
  }

  ask(region, zone) {
    this.confirm(text("zone.removeTitle", { name: zone.name }), text("zone.removeText"), text("zone.removeKeep"), text("zone.removeGo"), async () => {
      try {
        await region.api.send("DELETE", `/zones/${zone.zone_id}`);
        this.told.toast(text("zone.removed", { name: zone.name }));
        await this.read();
        this.list();
      } catch (error) {
        this.fail(error.message);
      }
    });
  }

  confirm(title, words, keep, go, act) {
    const dialog = element("dialog", { id: "sure", ariaLabel: title, onclose: () => dialog.remove() }, element("form", { method: "dialog" },
      element("h2", { textContent: title }), element("p", { textContent: words }),
      element("div", { className: "row" }, element("button", { className: "plain", textContent: keep, autofocus: true }),
        element("button", { type: "button", className: "primary danger", textContent: go, onclick: () => {
          dialog.close();
          act();
        } }))));
    document.body.append(dialog);
    dialog.showModal();
  }

  /** Keys while it is open; whether one was taken. */
  keys(event) {
    if (!this.isOpen || document.querySelector("dialog[open]")) return false;
    const typing = /input|textarea|select/i.test(event.target.tagName);
    if (event.key === "Escape") this.leaveOrClose();
    else if (typing || !this.isDrawing) return false;
    else if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) this.drawing.undo();
    else if (/button/i.test(event.target.tagName)) return false;
    else if (event.key === "Enter") this.drawing.close();
    else if (event.key === " ") this.drawing.addAtCross();
    else return false;
    event.preventDefault();
    return true;
  }
}
