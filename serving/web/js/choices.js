// What a person chose in this browser: units, time zone, and the form of numbers and dates.
const KEPT = "fleetlake.choices";
const UNITS = ["metric", "us", "uk"];

/** The choices: units; zone and locale are undefined where the browser's own hold. */
export function choices() {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    // What cannot be read was not chosen here.
  }
  return { units: UNITS.includes(kept.units) ? kept.units : "metric", zone: isZone(kept.zone) ? kept.zone : undefined, locale: isLocale(kept.locale) ? kept.locale : undefined };
}

export function choose(chosen) {
  localStorage.setItem(KEPT, JSON.stringify({ ...choices(), ...chosen }));
}

export function isZone(zone) {
  try {
    return Boolean(zone) && Boolean(new Intl.DateTimeFormat("en", { timeZone: zone }));
  } catch {
    return false;
  }
}

export function isLocale(locale) {
  try {
    return Boolean(locale) && Intl.NumberFormat.supportedLocalesOf([locale]).length === 1;
  } catch {
    return false;
  }
}
