// A device's trips: the table, one trip on the map, and its speed.
import { lines, whereAt } from "./day.js";
import { FleetMap } from "./map.js";
import { SpeedPlot } from "./plot.js";
import { dayInput, figures, files, head, opened, remember, said, table } from "./report.js";
import { theme } from "./theme.js";
import { addDays, clock, dayOf, duration, element, longDay, measured, number, text, unitOf } from "./words.js";

const SPAN_DAYS = 7;
const speedOf = (trip) => measured("speed", trip.max_speed_kmh);
const fuelOf = (item) => measured("volume", item.fuel_l, 1);
const lasts = (trip) => (Date.parse(trip.end_ts) - Date.parse(trip.start_ts)) / 1000;

const COLUMNS = [
  { title: text("tripTable.day"), cell: (trip) => longDay(trip.day) },
  { title: text("tripTable.time"), cell: (trip) => `${clock(Date.parse(trip.start_ts))} – ${clock(Date.parse(trip.end_ts))}` },
  { title: text("tripTable.distance"), number: true, cell: (trip) => measured("distance", trip.distance_km, 1) },
  { title: text("tripTable.lasts"), number: true, cell: (trip) => duration(lasts(trip)) },
  { title: text("tripTable.idle"), number: true, cell: (trip) => duration(trip.idle_s) },
  { title: text("tripTable.top"), number: true, cell: speedOf },
  { title: text("tripTable.fuel"), number: true, cell: fuelOf },
];

class TripsPage {
  async open() {
    const { asked, regions } = await opened(text("tripsTitle"));
    const [name, id] = [asked.get("device")?.split("/")[0], asked.get("device")?.split("/").slice(1).join("/")];
    this.region = regions.find((region) => region.name === name);
    this.main = document.getElementById("page");
    if (!this.region || !id) {
      this.main.replaceChildren(said(text("noDeviceTitle"), text("noDeviceText")));
      return;
    }
    const today = dayOf(new Date());
    Object.assign(this, { id, to: asked.get("to") ?? today, wanted: asked.get("trip") });
    this.from = asked.get("from") ?? addDays(this.to, 1 - SPAN_DAYS);
    this.path = `/devices/${encodeURIComponent(id)}/trips`;
    this.build();
    this.map = new FleetMap({ picked() {}, moved() {} }, theme());
    await this.map.open();
    this.plot = new SpeedPlot(this.canvas, { at: (ms) => this.point(ms) });
    await this.load();
  }

  build() {
    this.list = element("div", { className: "sheet" });
    this.sums = element("div");
    this.canvas = element("canvas", { ariaLabel: text("speedPlot") });
    this.caption = element("p", { className: "quiet" });
    const turn = (change) => (day) => {
      Object.assign(this, change(day));
      this.wanted = null;
      this.load();
    };
    const save = files((form) => this.region.api.ask(this.path, { ...this.span(), limit: 1000, format: form }), `${this.id}-trips`, (error) => this.list.replaceChildren(said(error.message)));
    this.main.replaceChildren(
      head(this.id, `${text("tripsTitle")} · ${this.region.name.toUpperCase()}`,
        dayInput(text("from"), this.from, turn((day) => ({ from: day, to: day > this.to ? day : this.to }))),
        dayInput(text("to"), this.to, turn((day) => ({ to: day, from: day < this.from ? day : this.from }))), ...save),
      this.split = element("div", { className: "split" },
        element("section", { className: "box" }, this.sums, this.list),
        element("section", { className: "box seen" }, element("div", { id: "map" }), element("div", { className: "plot" }, this.caption, this.canvas))));
  }

  span() {
    return { from: this.from, to: this.to };
  }

  async load() {
    for (const input of this.main.querySelectorAll("input[type=date]")) input.value = input === this.main.querySelector("input") ? this.from : this.to;
    this.list.replaceChildren(element("p", { className: "busy" }));
    try {
      this.trips = await this.region.api.all(this.path, this.span());
    } catch (error) {
      this.list.replaceChildren(said(text("tripsFailed"), error.message));
      return;
    }
    this.pick(this.trips.find((trip) => trip.trip_id === this.wanted) ?? this.trips.at(-1) ?? null);
  }

  show() {
    const sum = (name) => this.trips.reduce((total, trip) => total + (trip[name] ?? 0), 0);
    this.sums.replaceChildren(this.trips.length ? figures([
      [text("trips"), number(this.trips.length)], [text("dayFigures.distance"), measured("distance", sum("distance_km"), 1)],
      [text("dayFigures.moving"), duration(sum("moving_s"))], [text("dayFigures.idle"), duration(sum("idle_s"))],
      [text("dayFigures.fuel"), this.trips.some((trip) => trip.fuel_l != null) ? measured("volume", sum("fuel_l"), 1) : "–"],
    ]) : "");
    // Without a trip there is nothing to draw on a map.
    this.split.classList.toggle("bare", !this.trips.length);
    this.list.replaceChildren(this.trips.length ? table(COLUMNS, this.trips, { chosen: this.trip, pick: (trip) => this.pick(trip) }) : said(text("noTripsTitle"), text("noTripsText")));
  }

  async pick(trip) {
    this.trip = trip;
    this.show();
    remember({ device: `${this.region.name}/${this.id}`, ...this.span(), trip: trip?.trip_id });
    this.draw([]);
    if (!trip) return;
    this.caption.textContent = text("loading");
    try {
      const { path } = await this.region.api.json(`/trips/${encodeURIComponent(trip.trip_id)}`);
      if (this.trip !== trip) return;
      this.draw(path.map(([ms, lat, lon, speed]) => ({ ms, lat, lon, speed, heading: null })));
      this.caption.textContent = `${longDay(trip.day)}, ${clock(Date.parse(trip.start_ts))} – ${clock(Date.parse(trip.end_ts))} · ${unitOf("speed")}`;
    } catch (error) {
      this.caption.textContent = error.message;
    }
  }

  draw(points) {
    this.points = points;
    this.caption.textContent = "";
    this.map.set("trail", lines(points));
    this.map.set("replay", null);
    this.map.fit(points.map((point) => [point.lon, point.lat]), 50, 15);
    this.plot.show(points);
    if (points.length) this.point(points[0].ms);
  }

  point(ms) {
    const place = whereAt(this.points, ms);
    this.caption.textContent = `${clock(ms, true)} · ${measured("speed", place.speed)}`;
    this.map.set("replay", { type: "Feature", geometry: { type: "Point", coordinates: [place.lon, place.lat] }, properties: { heading: place.heading } });
  }
}

new TripsPage().open();
