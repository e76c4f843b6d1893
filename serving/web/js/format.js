// Numbers, times and ages as people read them. Pure.
const UNITS = {
  speed_kmh: ["km/h", 0], heading_deg: ["°", 0], fuel_pct: ["%", 0], odometer_km: ["km", 0], engine_rpm: ["rpm", 0],
  engine_load_pct: ["%", 0], coolant_c: ["°C", 0], fuel_rate_lph: ["l/h", 1], altitude_m: ["m", 0], engine_hours_h: ["h", 0],
  fuel_used_l: ["l", 0], idle_fuel_used_l: ["l", 0],
};
const COURSES = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"];

export function number(value, digits = 0) {
  return value == null ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: digits });
}

/** A reading and its unit. */
export function reading(name, value) {
  const [unit, digits] = UNITS[name] ?? ["", 2];
  if (name === "heading_deg") return [`${COURSES[Math.round(value / 45) % 8]} ${number(value)}`, unit];
  return [typeof value === "number" ? number(value, digits) : String(value), unit];
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
  return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}) });
}

/** A calendar day of this browser's zone as 2026-11-01. */
export function dayOf(date) {
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
}

export function addDays(day, count) {
  const date = new Date(`${day}T12:00:00`);
  date.setDate(date.getDate() + count);
  return dayOf(date);
}

export function longDay(day) {
  return new Date(`${day}T12:00:00`).toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short" });
}
