// Numbers, times and ages as people read them, in the units, time zone and form that they chose.
import { choices } from "./choices.js";

const { units, zone, locale } = choices();
const US_GALLON_L = 3.785411784;
const MILE_KM = 1.609344;
const FOOT_M = 0.3048;
const same = (value) => value;

/** What is measured, by system: the unit, and how its figure is made of the metric one. */
const MEASURES = {
  speed: { metric: ["km/h", same], us: ["mph", (kmh) => kmh / MILE_KM], uk: ["mph", (kmh) => kmh / MILE_KM] },
  distance: { metric: ["km", same], us: ["mi", (km) => km / MILE_KM], uk: ["mi", (km) => km / MILE_KM] },
  volume: { metric: ["l", same], us: ["gal", (litres) => litres / US_GALLON_L], uk: ["l", same] },
  rate: { metric: ["l/h", same], us: ["gal/h", (litres) => litres / US_GALLON_L], uk: ["l/h", same] },
  area: { metric: ["km²", same], us: ["sq mi", (km2) => km2 / MILE_KM ** 2], uk: ["sq mi", (km2) => km2 / MILE_KM ** 2] },
  height: { metric: ["m", same], us: ["ft", (metres) => metres / FOOT_M], uk: ["ft", (metres) => metres / FOOT_M] },
  temperature: { metric: ["°C", same], us: ["°F", (celsius) => (celsius * 9) / 5 + 32], uk: ["°C", same] },
};
const READINGS = {
  speed_kmh: ["speed", 0], odometer_km: ["distance", 0], coolant_c: ["temperature", 0], fuel_rate_lph: ["rate", 1], altitude_m: ["height", 0],
  fuel_used_l: ["volume", 0], idle_fuel_used_l: ["volume", 0],
};
const PLAIN = { heading_deg: ["°", 0], fuel_pct: ["%", 0], engine_rpm: ["rpm", 0], engine_load_pct: ["%", 0], engine_hours_h: ["h", 0] };
const COURSES = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"];
const calendar = new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" });

/** A number with as many digits as it has, up to `digits`, and no fewer than `least`. */
export function number(value, digits = 0, least = 0) {
  return value == null ? "–" : value.toLocaleString(locale, { maximumFractionDigits: digits, minimumFractionDigits: least });
}

/** A metric value of a measure in the person's unit. */
export function inUnit(measure, value) {
  return MEASURES[measure][units][1](value);
}

export function unitOf(measure) {
  return MEASURES[measure][units][0];
}

/** A metric value with the person's unit: "12.0 km", so that a column's points stand one below the other; "–" where there is none. */
export function measured(measure, value, digits = 0) {
  return value == null ? "–" : `${number(inUnit(measure, value), digits, digits)} ${unitOf(measure)}`;
}

/** An area with as many digits as one reads. */
export function measuredArea(km2) {
  return measured("area", km2, km2 < 10 ? 2 : km2 < 100 ? 1 : 0);
}

/** A reading and its unit. */
export function reading(name, value) {
  if (name === "heading_deg") return [`${COURSES[Math.round(value / 45) % 8]} ${number(value)}`, PLAIN[name][0]];
  if (typeof value !== "number") return [String(value), ""];
  const [measure, places] = READINGS[name] ?? [];
  if (measure) return [number(inUnit(measure, value), places), unitOf(measure)];
  const [unit, digits] = PLAIN[name] ?? ["", 2];
  return [number(value, digits), unit];
}

/** An age such as "12 s" or "3 h". */
export function age(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

export function duration(seconds) {
  const minutes = Math.round((seconds ?? 0) / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")}`;
}

export function clock(ms, seconds = false) {
  return new Date(ms).toLocaleTimeString(locale, { timeZone: zone, hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}) });
}

/** A day and a time, with the zone. */
export function moment(ms) {
  return new Date(ms).toLocaleString(locale, { timeZone: zone, year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
}

/** The time zone that the person sees times in. */
export function zoneName() {
  return zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** A moment as a field for date and time has it, in the person's zone. */
export function localOf(ms) {
  return new Date(ms).toLocaleString("sv-SE", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" }).replace(" ", "T");
}

/** The moment that a field for date and time means in the person's zone. */
export function msOfLocal(words) {
  const wanted = Date.parse(`${words}Z`);
  let ms = wanted;
  // Where clocks are turned the first answer may be an hour off.
  for (let turn = 0; turn < 2; turn++) ms += wanted - Date.parse(`${localOf(ms)}Z`);
  return ms;
}

/** A calendar day of the person's zone as 2026-11-01. */
export function dayOf(date) {
  return calendar.format(date);
}

export function addDays(day, count) {
  const date = new Date(`${day}T12:00:00Z`);
  date.setUTCDate(date.getUTCDate() + count);
  return date.toISOString().slice(0, 10);
}

export function longDay(day) {
  return new Date(`${day}T12:00:00Z`).toLocaleDateString(locale, { timeZone: "UTC", weekday: "short", day: "numeric", month: "short" });
}
