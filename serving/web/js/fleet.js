// A fleet's day: how much it was used, by device, and the days before it.
import { dayInput, figures, files, head, opened, remember, said, table } from "./report.js";
import { addDays, dayOf, duration, element, longDay, measured, number, text } from "./words.js";

const BEFORE_DAYS = 29;
const PARTS = ["moving_s", "idle_s", "off_s", "unknown_s"];

const COLUMNS = [
  { title: text("fleetTable.device"), by: (day) => day.device_id, cell: (day) => element("b", { textContent: day.device_id }) },
  { title: text("fleetTable.use"), by: (day) => day.moving_s, cell: shares },
  { title: text("fleetTable.moving"), number: true, by: (day) => day.moving_s, cell: (day) => duration(day.moving_s) },
  { title: text("fleetTable.idle"), number: true, by: (day) => day.idle_s, cell: (day) => duration(day.idle_s) },
  { title: text("fleetTable.distance"), number: true, by: (day) => day.distance_gps_km, cell: (day) => measured("distance", day.distance_gps_km, 1) },
  { title: text("fleetTable.trips"), number: true, by: (day) => day.trips, cell: (day) => number(day.trips) },
  { title: text("fleetTable.top"), number: true, by: (day) => day.max_speed_kmh ?? -1, cell: (day) => measured("speed", day.max_speed_kmh) },
  { title: text("fleetTable.fuel"), number: true, by: (day) => day.fuel_l ?? -1, cell: (day) => measured("volume", day.fuel_l, 1) },
];

/** What a device did with its day, as one bar. */
function shares(day) {
  const whole = PARTS.reduce((sum, name) => sum + (day[name] ?? 0), 0) || 1;
  return element("div", { className: "bar", role: "img", ariaLabel: `${duration(day.moving_s)} ${text("dayFigures.moving")}` },
    ...PARTS.map((name) => element("i", { className: name, title: `${text(`parts.${name}`)}: ${duration(day[name] ?? 0)}`, style: `width:${(100 * (day[name] ?? 0)) / whole}%` })));
}

class FleetPage {
  async open() {
    const { asked, regions } = await opened(text("fleetTitle"));
    this.main = document.getElementById("page");
    // One region that does not answer does not hide the others' fleets.
    const answers = await Promise.allSettled(regions.map(async (region) => (await region.api.all("/fleets", {})).map((fleet) => ({ ...fleet, region }))));
    this.fleets = answers.flatMap((answer) => answer.value ?? []);
    const failed = answers.find((answer) => answer.reason)?.reason;
    if (!this.fleets.length) {
      this.main.replaceChildren(failed ? said(text("fleetsFailed"), failed.message) : said(text("noFleetTitle"), text("noFleetText")));
      return;
    }
    const [name, id] = [asked.get("fleet")?.split("/")[0], asked.get("fleet")?.split("/").slice(1).join("/")];
    this.fleet = this.fleets.find((fleet) => fleet.region.name === name && fleet.fleet_id === id) ?? this.fleets[0];
    this.day = asked.get("day");
    this.order = { column: 4, down: true };
    await this.load();
  }

  path(what) {
    return `/fleets/${encodeURIComponent(this.fleet.fleet_id)}/${what}`;
  }

  async load() {
    const { api } = this.fleet.region;
    const last = this.day ?? dayOf(new Date());
    this.main.replaceChildren(this.head(last), element("p", { className: "busy" }));
    try {
      const days = await api.all(this.path("days"), { from: addDays(last, -BEFORE_DAYS), to: last });
      // Without a wish, the newest day on which the fleet was heard.
      this.day ??= days.findLast((day) => day.devices_reporting)?.day ?? last;
      const devices = await api.all(this.path("device-days"), { from: this.day, to: this.day });
      this.show(days, devices);
    } catch (error) {
      this.main.replaceChildren(this.head(last), said(text("fleetFailed"), error.message));
    }
  }

  head(day) {
    const choose = element("select", { ariaLabel: text("fleetTitle"), onchange: () => this.turn({ fleet: this.fleets[choose.selectedIndex] }) },
      ...this.fleets.map((fleet) => element("option", { textContent: `${fleet.name} · ${fleet.region.name.toUpperCase()}`, selected: fleet === this.fleet })));
    const step = (days) => element("button", { type: "button", className: "plain", textContent: days < 0 ? "‹" : "›", ariaLabel: text(days < 0 ? "before" : "after"), onclick: () => this.turn({ day: addDays(this.day ?? day, days) }) });
    const save = files((form) => this.fleet.region.api.ask(this.path("device-days"), { from: day, to: day, limit: 1000, format: form }), `${this.fleet.fleet_id}-${day}`, (error) => this.main.append(said(error.message)));
    return head(text("fleetTitle"), `${this.fleet.name} · ${longDay(day)}`, choose,
      element("div", { className: "turn" }, step(-1), dayInput(text("day"), day, (chosen) => this.turn({ day: chosen })), step(1)), ...save);
  }

  turn(change) {
    Object.assign(this, change);
    this.load();
  }

  show(days, devices) {
    remember({ fleet: `${this.fleet.region.name}/${this.fleet.fleet_id}`, day: this.day });
    const day = days.find((one) => one.day === this.day);
    this.main.replaceChildren(this.head(this.day), element("section", { className: "box" }, ...(day ? [this.sums(day), ...this.history(days), element("p", { className: "quiet", textContent: day.is_final ? "" : text("notFinal") })] : [said(text("noDayTitle"), text("noDayText"))])));
    if (devices.length) this.main.append(element("section", { className: "box sheet" }, ...this.devices(devices)));
  }

  sums(day) {
    const used = day.utilisation_available_s ? (100 * day.utilisation_engine_s) / day.utilisation_available_s : 0;
    return figures([
      [text("fleetFigures.reporting"), `${number(day.devices_reporting)} / ${number(day.devices_available)}`], [text("fleetFigures.active"), number(day.devices_active)],
      [text("fleetFigures.used"), `${number(used, 1)} %`], [text("dayFigures.distance"), measured("distance", day.distance_gps_km)],
      [text("dayFigures.moving"), duration(day.moving_s)], [text("dayFigures.idle"), duration(day.idle_s)],
      [text("dayFigures.fuel"), measured("volume", day.fuel_l)], [text("trips"), number(day.trips)],
    ]);
  }

  /** Distance of each day, to choose one. */
  history(days) {
    const most = Math.max(1, ...days.map((day) => day.distance_gps_km));
    const bars = element("div", { className: "history", role: "group", ariaLabel: text("history") }, ...days.map((day) =>
      element("button", { type: "button", title: `${longDay(day.day)}: ${measured("distance", day.distance_gps_km)}`, ariaLabel: `${longDay(day.day)}: ${measured("distance", day.distance_gps_km)}`, attributes: { "aria-pressed": String(day.day === this.day) }, onclick: () => this.turn({ day: day.day }) },
        element("i", { style: `height:${Math.max(2, (100 * day.distance_gps_km) / most)}%` }))));
    const span = [...new Set([days[0].day, days.at(-1).day])].map(longDay).join(" – ");
    return [element("p", { className: "quiet", textContent: `${text("history")} · ${span}` }), bars];
  }

  devices(devices) {
    const { by } = COLUMNS[this.order.column];
    const sorted = [...devices].sort((a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0) * (this.order.down ? -1 : 1));
    const sort = (column) => {
      this.order = { column, down: column === this.order.column ? !this.order.down : column > 0 };
      this.main.querySelector(".sheet").replaceChildren(...this.devices(devices));
    };
    const pick = (day) => (location.href = `trips.html#${new URLSearchParams({ device: `${this.fleet.region.name}/${day.device_id}`, from: this.day, to: this.day })}`);
    const legend = PARTS.map((name) => element("span", {}, element("i", { className: name }), text(`parts.${name}`)));
    return [element("p", { className: "legend quiet" }, ...legend), table(COLUMNS, sorted, { pick, sort })];
  }
}

new FleetPage().open();
