// One device: what it says now, with units and age, and its day.
import { lines, load } from "./day.js";
import { SPEED_COLOURS, stateOf } from "./status.js";
import { addDays, age, clock, dayOf, duration, element, inUnit, longDay, measured, moment, number, reading, sign, signed, text, unitOf } from "./words.js";

const FIRST = ["speed_kmh", "fuel_pct", "odometer_km", "heading_deg", "engine_rpm", "coolant_c", "engine_load_pct", "fuel_rate_lph", "altitude_m", "engine_hours_h", "fuel_used_l", "idle_fuel_used_l", "driver_id"];
const FILES = ["csv", "gpx", "geojson", "parquet"];
const AGAIN_MS = 2_500;

export class Panel {
  /** told: { closed(), turned(), trail(features, places, fit), replay(points), toast(text), zoom(item) } */
  constructor(told) {
    this.told = told;
    this.box = document.getElementById("panel");
  }

  get isOpen() {
    return !this.box.hidden;
  }

  open(item, region, day = null) {
    this.stop();
    Object.assign(this, { item, region, day: day ?? dayOf(new Date(Math.max(item.ms, 0) || Date.now())), points: [] });
    this.box.hidden = false;
    document.body.classList.add("picked");
    this.build();
    this.refresh();
    this.turn(0);
  }

  close() {
    this.stop();
    this.box.hidden = true;
    document.body.classList.remove("picked");
    this.told.closed();
  }

  stop() {
    this.aborted?.abort();
    this.aborted = null;
    clearTimeout(this.timer);
    this.item = null;
  }

  build() {
    this.subtitle = element("p", { className: "quiet" });
    this.chip = element("span", { className: "chip" });
    this.heard = element("span", { className: "quiet" });
    this.grid = element("dl", { className: "readings" });
    this.faults = element("div", { className: "faults" });
    this.heading = element("h3");
    this.figures = element("dl", { className: "figures" });
    this.scale = element("div", { className: "scale", hidden: true }, ...this.speeds());
    this.notes = element("ul", { className: "notes" });
    this.trips = element("ol", { className: "trips" });
    this.visits = element("ol", { className: "visits", ariaLabel: text("visits") });
    this.files = element("div", { className: "files" }, element("span", { className: "quiet", textContent: text("download") }),
      ...FILES.map((form) => element("button", { type: "button", textContent: form.toUpperCase(), onclick: () => this.save(form) })));
    this.box.setAttribute("aria-label", this.item.device_id);
    this.box.replaceChildren(
      element("header", {}, element("div", {}, element("h2", { textContent: this.item.device_id }), this.subtitle),
        this.all = element("a", { className: "icon", title: text("allTrips"), ariaLabel: text("allTrips") }, sign("table")),
        signed("follow", text("follow"), () => this.told.zoom(this.item)),
        signed("share", text("share"), () => this.share()),
        signed("close", text("close"), () => this.close())),
      element("div", { className: "scroll" },
        element("p", { className: "state" }, this.chip, this.heard), this.faults, this.grid,
        element("div", { className: "day" }, signed("before", text("before"), () => this.turn(-1)), this.heading, signed("after", text("after"), () => this.turn(1))),
        this.figures, this.scale, this.notes, this.trips, this.visits, this.files));
  }

  /** What it says now; asked again while the panel is open. */
  async refresh() {
    const { item, region } = this;
    try {
      const found = await region.api.json(`/devices/${encodeURIComponent(item.device_id)}`);
      if (this.item === item) this.show(found);
    } catch (error) {
      if (this.item === item) this.heard.textContent = error.message;
    }
    if (this.item === item) this.timer = setTimeout(() => this.refresh(), AGAIN_MS);
  }

  show({ device, newest }) {
    const known = [device.make, device.model, device.type === "unknown" ? null : device.type, this.fleetName(device.fleet_id), this.region.name.toUpperCase()];
    this.subtitle.textContent = known.filter(Boolean).join(" · ");
    if (!newest) return;
    const now = Date.now();
    const ms = Date.parse(newest.ts);
    const state = stateOf({ ms, state: device.state }, now);
    this.chip.className = `chip ${state}`;
    this.chip.textContent = text(`states.${state}`);
    this.heard.textContent = text("ago", { age: age((now - ms) / 1000) });
    this.heard.title = moment(ms);
    this.grid.replaceChildren(...this.readings(newest));
    const codes = newest.fault_codes ?? [];
    const lamps = newest.fault_lamps ?? [];
    this.faults.replaceChildren(...codes.map((code) => element("span", { className: "code", textContent: `▲ ${code}` })),
      ...lamps.map((lamp) => element("span", { className: "code lamp", textContent: lamp.replaceAll("_", " ") })));
  }

  fleetName(id) {
    return this.region.fleets.find((one) => one.fleet_id === id)?.name ?? id;
  }

  readings(newest) {
    const named = FIRST.filter((name) => newest[name] != null).map((name) => [text(`names.${name}`), ...reading(name, newest[name])]);
    if (newest.engine_on != null) named.splice(1, 0, [text("names.engine_on"), text(newest.engine_on ? "on" : "offWord"), ""]);
    const more = [...Object.entries(newest.signals ?? {}), ...Object.entries(newest.attributes ?? {})];
    const plain = more.map(([name, value]) => [name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " "), ...reading(name, value)]);
    return [...named, ...plain].map(([name, value, unit]) =>
      element("div", {}, element("dt", { textContent: name }), element("dd", {}, value, element("small", { textContent: /^[°%]?$/.test(unit) ? unit : ` ${unit}` }))));
  }

  /** Another day: its trail, trips and figures. */
  async turn(days) {
    this.day = addDays(this.day, days);
    this.aborted?.abort();
    const { signal } = (this.aborted = new AbortController());
    const { item, region, day } = this;
    this.heading.textContent = longDay(day);
    this.all.href = `trips.html#${new URLSearchParams({ device: `${region.name}/${item.device_id}`, from: addDays(day, -6), to: day })}`;
    // Nothing of the day before stands under this one's name, nor on the map.
    for (const part of [this.figures, this.notes, this.visits]) part.replaceChildren();
    this.scale.hidden = true;
    this.trips.replaceChildren(element("li", { className: "empty busy" }));
    this.told.turned();
    const id = encodeURIComponent(item.device_id);
    const span = { from: day, to: day };
    const ask = (what) => region.api.json(`/devices/${id}/${what}`, span, { signal }).catch(() => ({ items: [] }));
    const [trail, trips, sums, visits] = await Promise.all([
      load(region.api, item.device_id, day, signal).catch((error) => ({ error })), ask("trips"), ask("days"), ask("visits"),
    ]);
    if (signal.aborted || this.item !== item) return;
    this.points = trail.points ?? [];
    this.showDay(trail, trips.items, sums.items[0]);
    this.visits.replaceChildren(...visits.items.map((visit) => this.visit(visit)));
  }

  showDay(trail, trips, sums) {
    const figure = (name, value) => element("div", {}, element("dt", { textContent: text(`dayFigures.${name}`) }), element("dd", { textContent: value }));
    this.figures.replaceChildren(...(sums ? [
      figure("distance", measured("distance", sums.distance_gps_km, 1)), figure("moving", duration(sums.moving_s)), figure("idle", duration(sums.idle_s)),
      figure("top", measured("speed", sums.max_speed_kmh)),
      figure("fuel", measured("volume", sums.fuel_l, 1)), figure("records", number(sums.records)),
    ] : []));
    this.notes.replaceChildren(...(trail.drivers ?? []).map((one) => this.note("driver", one)), ...(trail.faults ?? []).map((one) => this.note("fault", one)));
    this.trips.replaceChildren(...trips.map((trip) => this.trip(trip)));
    if (trail.error) this.trips.append(element("li", { className: "empty", textContent: text("trailFailed", { why: trail.error.message }) }));
    else if (!trips.length) this.trips.append(element("li", { className: "empty", textContent: text(trail.records ? "noTrips" : "noTrail") }));
    if (trail.more) this.told.toast(text("trailMore", { count: number(trail.records) }));
    this.scale.hidden = this.points.length < 2;
    this.told.trail(lines(this.points), this.points);
    if (this.points.length > 1) this.told.replay(this.points);
  }

  /** What the trail's colours mean. */
  speeds() {
    const [top] = SPEED_COLOURS.at(-1);
    const stops = SPEED_COLOURS.map(([kmh, colour]) => `${colour} ${(100 * kmh) / top}%`).join(", ");
    const marks = [0, top / 3, (2 * top) / 3, top].map((kmh) => element("li", { textContent: number(inUnit("speed", kmh)) }));
    marks.at(-1).textContent += ` ${unitOf("speed")}`;
    return [element("span", { textContent: text("trailSpeed") }), element("i", { style: `background:linear-gradient(90deg, ${stops})` }), element("ol", {}, ...marks)];
  }

  /** Who drove, or a fault of the day, and from when to when. */
  note(kind, { name, from, to }) {
    return element("li", { className: kind }, element("small", { textContent: text(`notes.${kind}`) }), element("b", { textContent: name, title: name }),
      element("span", { textContent: to > from ? `${clock(from)} – ${clock(to)}` : clock(from) }));
  }

  visit(visit) {
    const [enter, leave] = [visit.enter_ts, visit.leave_ts].map((ts) => (ts ? clock(Date.parse(ts)) : ""));
    return element("li", {}, element("b", { textContent: visit.name }), element("span", { textContent: duration(visit.dwell_s) }),
      element("small", { textContent: `${visit.began_before ? "…" : enter} – ${leave || "…"}` }));
  }

  trip(trip) {
    const [start, end] = [Date.parse(trip.start_ts), Date.parse(trip.end_ts)];
    const within = () => this.points.filter((point) => point.ms >= start && point.ms <= end);
    const drivers = [...new Set(within().map((point) => point.driver).filter(Boolean))].join(", ");
    return element("li", {}, element("button", { type: "button", onclick: () => this.told.trip(within(), start) },
      element("b", { textContent: `${clock(start)} – ${clock(end)}` }),
      element("span", { textContent: measured("distance", trip.distance_km, 1) }),
      element("small", { textContent: `${duration((end - start) / 1000)}${trip.max_speed_kmh == null ? "" : ` · ${measured("speed", trip.max_speed_kmh)}`}${drivers && ` · ${drivers}`}` })));
  }

  async save(form) {
    try {
      const answer = await this.region.api.ask(`/devices/${encodeURIComponent(this.item.device_id)}/trail`, { from: this.day, to: this.day, format: form, limit: 100000 });
      const link = element("a", { href: URL.createObjectURL(await answer.blob()), download: `${this.item.device_id}-${this.day}.${form}` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) {
      this.told.toast(text("trailFailed", { why: error.message }));
    }
  }

  async share() {
    const words = new URLSearchParams({ device: `${this.region.name}/${this.item.device_id}`, day: this.day });
    if (this.moment) words.set("t", String(Math.round(this.moment)));
    await navigator.clipboard?.writeText(`${location.origin}${location.pathname}#${words}`).catch(() => null);
    this.told.toast(text("shared"));
  }
}
