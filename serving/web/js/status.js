// What a device looks like: by its state and by how long ago it was heard. Pure.
export const STATES = ["moving", "idle", "off", "silent"];
export const STALE_S = 600;
export const SILENT_S = 86400;

/** Colours that colour-blind people tell apart (Okabe and Ito); shapes differ as well. */
export const COLOURS = { moving: "#0b7bd1", idle: "#e69f00", off: "#66758a", silent: "#a9b2bf" };
export const FAULT = "#d0430b";
/** A trail's colours, by km/h. */
export const SPEED_COLOURS = [[0, "#8a94a6"], [3, "#3a0ca3"], [40, "#b5179e"], [80, "#f3722c"], [120, "#f9c620"]];

export function stateOf(item, nowMs) {
  if (nowMs - item.ms > SILENT_S * 1000) return "silent";
  return item.state === "moving" || item.state === "idle" ? item.state : "off";
}

export function isStale(item, nowMs) {
  return nowMs - item.ms > STALE_S * 1000;
}

/** A feature of the map. */
export function feature(item, nowMs) {
  return {
    type: "Feature",
    id: item.number,
    geometry: { type: "Point", coordinates: [item.lon, item.lat] },
    properties: look(item, nowMs),
  };
}

export function look(item, nowMs) {
  const state = stateOf(item, nowMs);
  return {
    number: item.number,
    state,
    stale: isStale(item, nowMs) ? 1 : 0,
    heading: item.heading_deg ?? 0,
    icon: state === "moving" && item.heading_deg == null ? "moving-still" : state,
    faults: item.faults ? 1 : 0,
    moving: state === "moving" ? 1 : 0,
    label: item.device_id,
  };
}
