// Puts the page together: regions tell what changed, the map and the list show it.
import { FleetMap } from "./map.js";
import { Panel } from "./panel.js";
import { Region } from "./region.js";
import { Replay } from "./replay.js";
import { claims, leave, linked, renew, token } from "./session.js";
import { Side } from "./side.js";
import { feature, look } from "./status.js";
import { dressed, theme, turned } from "./theme.js";
import { text } from "./words.js";
import { Zones } from "./zones.js";

const FLUSH_MS = 1_000;
const AGES_MS = 15_000;

class Page {
  constructor() {
    this.items = new Map();
    this.numbers = new Map();
    this.cells = new Map();
    this.zones = new Map();
    this.regions = [];
    this.picked = null;
    this.fitted = new Set();
    this.changed = true;
  }

  async open() {
    dressed();
    document.title = `Fleetlake – ${text("title")}`;
    const asked = linked();
    const [key, config] = await Promise.all([token(), fetch("config.json").then((answer) => answer.json())]);
    this.side = new Side({ filtered: () => this.refilter(), picked: (number) => this.pick(number), themed: () => this.turnTheme(), left: leave, looked: (region) => this.look(region) });
    this.map = new FleetMap({ picked: (number) => this.pick(number), moved: (view) => this.moved(view), zone: (id) => this.editor?.isOpen && this.editor.open(id) }, theme());
    this.replay = new Replay({ at: (place, ms) => this.replayed(place, ms), ended: () => this.map.set("replay", null) });
    this.panel = new Panel({
      closed: () => this.unpick(), turned: () => this.clearDay(), toast: (words) => this.toast(words), zoom: (item) => this.map.goTo([item.lon, item.lat]),
      trail: (features, points) => this.trail(features, points), replay: (points) => this.replay.open(points, this.moment(points)),
      trip: (points, ms) => this.trip(points, ms),
    });
    await this.map.open();
    this.map.describe();
    this.asked = asked;
    if (claims(key)?.role === "operator") this.zoning();
    this.follow(key, config.sites);
    setInterval(() => this.beat(), FLUSH_MS);
    setInterval(() => this.refresh(), AGES_MS);
    document.addEventListener("keydown", (event) => this.keys(event));
  }

  /** Zones are drawn by operators; others see them. */
  zoning() {
    this.editor = new Zones(this.map, {
      regions: () => this.regions, opened: () => this.panel.isOpen && this.panel.close(), closed: () => null,
      shown: (region, zones) => this.showZones(region, zones), toast: (words) => this.toast(words),
    });
    this.side.offerZones(() => (this.editor.isOpen ? this.editor.leaveOrClose() : this.editor.open()));
  }

  follow(key, sites) {
    const named = claims(key)?.regions ?? [];
    const told = {
      changed: (region, items, gone) => this.take(region, items, gone),
      cleared: (region) => this.clear(region),
      cells: (region, cells) => this.count(region, cells),
      zones: (region, zones) => this.showZones(region, zones),
      status: () => this.stand(),
      refused: (region, error) => this.refuse(region, error),
    };
    this.regions = Object.entries(sites).filter(([name]) => named.includes(name)).map(([name, origin]) => new Region(name, origin, key, told));
    this.showRegions();
    for (const region of this.regions) {
      region.view = this.map.view();
      region.start().catch(() => region.say("away"));
    }
  }

  /** A region answers otherwise than before. */
  stand() {
    this.showRegions();
    this.changed = true;
  }

  /** One region may refuse what others take; where all refuse who asks, another token is asked for. */
  refuse(region, error) {
    region.why = error.message;
    const why = text("refused", { why: error.message });
    if (error.status === 401 && this.regions.every((one) => one.status === "refused")) renew(why);
    else this.toast(why);
  }

  take(region, items, gone) {
    const now = Date.now();
    for (const item of items) {
      const key = `${region.name}/${item.device_id}`;
      let number = this.numbers.get(key);
      if (number == null) this.numbers.set(key, (number = this.numbers.size + 1));
      Object.assign(item, { number, region, ms: Date.parse(item.ts) });
      this.items.set(number, item);
      this.draw(item, now);
      if (number === this.picked) this.mark(item);
    }
    for (const id of gone) this.drop(this.numbers.get(`${region.name}/${id}`));
    region.total = Math.max(region.total, this.ofRegion(region));
    this.changed = true;
    if (items.length && !this.fitted.has(region)) {
      this.fitted.add(region);
      this.fitSoon();
    }
  }

  ofRegion(region) {
    let count = 0;
    if (!region.counted) for (const item of this.items.values()) count += item.region === region;
    return count;
  }

  draw(item, now) {
    if (item.lat != null && this.side.takes(item, now)) this.map.put(feature(item, now));
    else this.map.remove(item.number);
  }

  drop(number) {
    if (number == null) return;
    this.items.delete(number);
    this.map.remove(number);
    this.changed = true;
  }

  clear(region) {
    for (const [number, item] of this.items) if (item.region === region) this.drop(number);
    this.count(region, []);
  }

  showZones(region, zones) {
    this.zones.set(region.name, zones);
    this.map.zones([...this.zones.values()].flat());
  }

  count(region, cells) {
    this.cells.set(region.name, cells);
    this.map.cells([...this.cells.values()].flat());
    this.changed = true;
  }

  /** Show all that is known, as region after region answers, until somebody moves the map or picks a device. */
  fitSoon() {
    clearTimeout(this.fitting);
    this.fitting = setTimeout(() => {
      if (this.map.touched || this.picked != null || this.openLinked()) return;
      this.fitTo([...this.items.values()]);
    }, 500);
  }

  look(region) {
    this.map.touched = true;
    this.fitTo([...this.items.values()].filter((item) => item.region === region));
  }

  fitTo(items) {
    const places = items.filter((item) => item.lat != null && !(item.lat === 0 && item.lon === 0)).map((item) => [item.lon, item.lat]);
    this.map.fit(places, this.padding(), 11);
  }

  /** A link to a device, a day, a moment. */
  openLinked() {
    const name = this.asked.get("device");
    const item = name && this.items.get(this.numbers.get(name));
    if (!item) return false;
    this.linkedMs = Number(this.asked.get("t")) || null;
    this.pick(item.number, this.asked.get("day"));
    return true;
  }

  moment(points) {
    const ms = this.linkedMs;
    this.linkedMs = null;
    return ms && ms >= points[0].ms && ms <= points.at(-1).ms ? ms : points.at(-1).ms;
  }

  padding() {
    const wide = innerWidth > 760;
    return wide ? { top: 60, bottom: this.replay?.isOpen ? 130 : 60, left: 410, right: this.panel.isOpen ? 420 : 70 } : { top: 90, bottom: innerHeight * 0.5, left: 40, right: 40 };
  }

  refilter() {
    const now = Date.now();
    for (const item of this.items.values()) this.draw(item, now);
    this.changed = true;
    this.beat();
  }

  /** Ages grow although nothing comes. */
  refresh() {
    this.refilter();
  }

  beat() {
    this.map.flush();
    // A row that is made anew while it is pressed is not clicked.
    if (!this.changed || this.side.isPressed) return;
    this.changed = false;
    const counted = this.regions.filter((region) => region.counted).reduce((sum, region) => sum + region.total, 0);
    this.side.show([...this.items.values()], Date.now(), this.picked, counted);
    this.showRegions();
  }

  showRegions() {
    this.side.regions(this.regions);
    this.side.fleets(this.regions.flatMap((region) => region.fleets));
  }

  pick(number, day = null) {
    const item = this.items.get(number);
    if (!item || (number === this.picked && this.panel.isOpen) || this.editor?.isDrawing) return;
    if (this.editor?.isOpen) this.editor.close();
    this.picked = number;
    this.mark(item);
    this.panel.open(item, item.region, day);
    if (item.lat != null) this.map.reveal([item.lon, item.lat], this.padding());
    if (item.lat != null && innerWidth <= 760) document.body.classList.add("folded");
    this.changed = true;
    this.beat();
  }

  unpick() {
    this.picked = null;
    this.clearDay();
    this.map.set("picked", null);
    this.changed = true;
  }

  clearDay() {
    if (this.replay.isOpen) this.replay.close();
    this.map.set("trail", null);
  }

  mark(item) {
    if (item.lat == null) return;
    this.map.set("picked", { type: "Feature", geometry: { type: "Point", coordinates: [item.lon, item.lat] }, properties: look(item, Date.now()) });
  }

  trail(features, points) {
    this.map.set("trail", features);
    const item = this.items.get(this.picked);
    const places = points.length ? points.map((point) => [point.lon, point.lat]) : item?.lat != null ? [[item.lon, item.lat]] : [];
    this.map.fit(places, this.padding(), 13);
  }

  trip(points, ms) {
    this.map.fit(points.map((point) => [point.lon, point.lat]), this.padding(), 15);
    if (this.replay.isOpen) this.replay.seek(ms);
  }

  replayed(place, ms) {
    this.panel.moment = ms;
    this.map.set("replay", { type: "Feature", geometry: { type: "Point", coordinates: [place.lon, place.lat] }, properties: { heading: place.heading } });
  }

  moved(view) {
    clearTimeout(this.moving);
    this.moving = setTimeout(() => this.regions.forEach((region) => region.look(view)), 250);
  }

  keys(event) {
    if (this.editor?.keys(event)) return;
    if (event.key === "Escape") {
      if (this.panel.isOpen) this.panel.close();
    } else if (event.key === " " && this.replay.isOpen && !/input|textarea|select|button/i.test(event.target.tagName)) {
      event.preventDefault();
      this.replay.toggle();
    }
  }

  turnTheme() {
    const theme = turned();
    const now = Date.now();
    this.map.dressed(theme, [...this.items.values()].filter((item) => item.lat != null && this.side.takes(item, now)).map((item) => feature(item, now)));
  }

  toast(words) {
    const box = document.getElementById("toast");
    box.textContent = words;
    box.classList.add("shown");
    clearTimeout(this.toasting);
    this.toasting = setTimeout(() => box.classList.remove("shown"), 5_000);
  }
}

const page = new Page();
page.open();
