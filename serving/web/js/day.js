// A device's day: its points, and what they come to. Pure but for `load`.
const MOST = 20_000;
const GAP_MS = 3_600_000;

export async function load(api, deviceId, day, signal) {
  const page = await api.json(`/devices/${encodeURIComponent(deviceId)}/trail`, { from: day, to: day, columns: "ts,lat,lon,speed_kmh,heading_deg,driver_id,fault_codes", limit: MOST }, { signal });
  const points = page.records
    .filter((one) => one.lat != null && one.lon != null && !(one.lat === 0 && one.lon === 0) && Math.abs(one.lat) <= 90 && Math.abs(one.lon) <= 180)
    .map((one) => ({ ms: Date.parse(one.ts), lat: one.lat, lon: one.lon, speed: one.speed_kmh ?? null, heading: one.heading_deg ?? null, driver: one.driver_id ?? null }));
  const drivers = spans(page.records, (one) => (one.driver_id ? [one.driver_id] : []));
  const faults = spans(page.records, (one) => one.fault_codes ?? []);
  return { points, drivers, faults, records: page.records.length, more: page.next != null };
}

/** From when to when records name something, such as a driver: the first and the last of each, by the first. */
export function spans(records, namesOf) {
  const found = new Map();
  for (const record of records) {
    const ms = Date.parse(record.ts);
    for (const name of namesOf(record)) {
      const span = found.get(name);
      if (span) span.to = ms;
      else found.set(name, { name, from: ms, to: ms });
    }
  }
  return [...found.values()];
}

/** The trail as lines, one from each point to the next, that carry its speed; none across an hour without a word. */
export function lines(points) {
  const features = [];
  for (let i = 1; i < points.length; i++) {
    const [from, to] = [points[i - 1], points[i]];
    if (to.ms - from.ms > GAP_MS) continue;
    features.push({ type: "Feature", properties: { speed: to.speed }, geometry: { type: "LineString", coordinates: [[from.lon, from.lat], [to.lon, to.lat]] } });
  }
  return { type: "FeatureCollection", features };
}

/** Where the device was at a moment: between two points, unless they are far apart in time. */
export function whereAt(points, ms) {
  let [low, high] = [0, points.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (points[middle].ms <= ms) low = middle;
    else high = middle - 1;
  }
  const [from, to] = [points[low], points[Math.min(low + 1, points.length - 1)]];
  const span = to.ms - from.ms;
  const share = span > 0 && span < GAP_MS ? Math.min(1, Math.max(0, (ms - from.ms) / span)) : 0;
  const heading = share && (to.lat !== from.lat || to.lon !== from.lon) ? course(from, to) : from.heading ?? 0;
  return { lat: from.lat + (to.lat - from.lat) * share, lon: from.lon + (to.lon - from.lon) * share, speed: from.speed, heading };
}

function course(from, to) {
  const [y, x] = [(to.lon - from.lon) * Math.cos((from.lat * Math.PI) / 180), to.lat - from.lat];
  return ((Math.atan2(y, x) * 180) / Math.PI + 360) % 360;
}
