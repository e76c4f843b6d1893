// The ground: countries of Natural Earth, decoded here. Nothing is fetched from another host.
const THEMES = {
  light: { sea: "#dfe8f0", land: "#f7f6f2", border: "#cfd3da", coast: "#b9c6d3", name: "#8b93a1", halo: "#f7f6f2" },
  dark: { sea: "#0d1520", land: "#1a2430", border: "#2d3b4c", coast: "#32455a", name: "#6f8096", halo: "#1a2430" },
};

export async function ground() {
  const world = await (await fetch(new URL("../vendor/world-atlas/countries-50m.json", import.meta.url))).json();
  const { topojson } = window;
  const borders = topojson.mesh(world, world.objects.countries, (a, b) => a !== b);
  return {
    land: { type: "FeatureCollection", features: topojson.feature(world, world.objects.land).features.map(unwrapped) },
    borders: { type: "Feature", properties: {}, geometry: { ...borders, coordinates: borders.coordinates.map(unrolled) } },
    names: { type: "FeatureCollection", features: world.objects.countries.geometries.map((one) => named(topojson, world, one)).filter(Boolean) },
  };
}

/** A shape whose rings do not jump at 180 degrees: they go on beyond it, and the map draws that part where it belongs. */
function unwrapped(shape) {
  const polygons = shape.geometry.type === "Polygon" ? [shape.geometry.coordinates] : shape.geometry.coordinates;
  return { ...shape, geometry: { type: "MultiPolygon", coordinates: polygons.map((rings) => rings.map(closed)) } };
}

/** A line that does not jump at 180 degrees: it goes on beyond it. */
export function unrolled(line) {
  let turns = 0;
  return line.map(([lon, lat], number) => {
    const step = number ? lon - line[number - 1][0] : 0;
    if (Math.abs(step) > 180) turns -= Math.sign(step);
    return [lon + 360 * turns, lat];
  });
}

/** A ring that goes round a pole is closed along it. */
function closed(ring) {
  const made = unrolled(ring);
  const [first, last] = [made[0], made.at(-1)];
  if (Math.abs(last[0] - first[0]) < 180) return made;
  const pole = first[1] < 0 ? -90 : 90;
  return [...made, [last[0], pole], [first[0], pole], first];
}

/** A country's name in the middle of its largest part. */
function named(topojson, world, country) {
  const shape = topojson.feature(world, country);
  const parts = shape.geometry.type === "Polygon" ? [shape.geometry.coordinates] : shape.geometry.coordinates;
  let largest = null;
  for (const [whole] of parts) {
    const ring = unrolled(whole);
    const size = Math.abs(area(ring));
    if (!largest || size > largest.size) largest = { ring, size };
  }
  if (!largest) return null;
  return {
    type: "Feature",
    geometry: { type: "Point", coordinates: middle(largest.ring) },
    properties: { name: country.properties.name, rank: largest.size > 60 ? 0 : largest.size > 12 ? 1 : 2 },
  };
}

function area(ring) {
  let sum = 0;
  for (let i = 1; i < ring.length; i++) sum += ring[i - 1][0] * ring[i][1] - ring[i][0] * ring[i - 1][1];
  return sum / 2;
}

function middle(ring) {
  let [x, y, sum] = [0, 0, 0];
  for (let i = 1; i < ring.length; i++) {
    const cross = ring[i - 1][0] * ring[i][1] - ring[i][0] * ring[i - 1][1];
    x += (ring[i - 1][0] + ring[i][0]) * cross;
    y += (ring[i - 1][1] + ring[i][1]) * cross;
    sum += cross;
  }
  return sum ? [x / (3 * sum), y / (3 * sum)] : ring[0];
}

const NEAR_ZOOM = 6;

/** Meridians and parallels of the view, where nothing else on the ground says how large it is. */
export function graticule(zoom, west, south, east, north) {
  if (zoom < NEAR_ZOOM) return { type: "FeatureCollection", features: [] };
  const step = [2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002].find((one) => (one / 360) * 512 * 2 ** zoom < 260) ?? 0.001;
  const lines = [];
  const add = (degrees, names, coordinates) => lines.push({
    type: "Feature", properties: { degrees: `${Math.abs(Number(degrees.toFixed(3)))}° ${degrees < 0 ? names[1] : names[0]}` }, geometry: { type: "LineString", coordinates },
  });
  for (let lon = Math.floor(west / step) * step; lon < east + step; lon += step) add(lon, "EW", [[lon, south - step], [lon, north + step]]);
  for (let lat = Math.floor(south / step) * step; lat < north + step; lat += step) add(lat, "NS", [[west - step, lat], [east + step, lat]]);
  return { type: "FeatureCollection", features: lines };
}

export function style(data, theme) {
  const colour = THEMES[theme];
  const names = (rank, minzoom) => ({
    id: `names-${rank}`,
    type: "symbol",
    source: "names",
    minzoom,
    maxzoom: 9,
    filter: ["==", ["get", "rank"], rank],
    layout: { "text-field": ["get", "name"], "text-size": ["interpolate", ["linear"], ["zoom"], 2, 10, 6, 15], "text-max-width": 7, "text-letter-spacing": 0.06 },
    paint: { "text-color": colour.name, "text-halo-color": colour.halo, "text-halo-width": 1.2 },
  });
  return {
    version: 8,
    sources: {
      land: { type: "geojson", data: data.land },
      borders: { type: "geojson", data: data.borders },
      names: { type: "geojson", data: data.names },
      graticule: { type: "geojson", data: { type: "FeatureCollection", features: [] } },
    },
    layers: [
      { id: "sea", type: "background", paint: { "background-color": colour.sea } },
      { id: "land", type: "fill", source: "land", paint: { "fill-color": colour.land } },
      { id: "coast", type: "line", source: "land", paint: { "line-color": colour.coast, "line-width": 0.7 } },
      { id: "graticule", type: "line", source: "graticule", paint: { "line-color": colour.border, "line-width": 0.6, "line-opacity": 0.75 } },
      { id: "graticule-degrees", type: "symbol", source: "graticule", layout: { "symbol-placement": "line", "symbol-spacing": 420, "text-field": ["get", "degrees"], "text-size": 10 }, paint: { "text-color": colour.name, "text-halo-color": colour.halo, "text-halo-width": 1.2 } },
      { id: "borders", type: "line", source: "borders", paint: { "line-color": colour.border, "line-width": ["interpolate", ["linear"], ["zoom"], 2, 0.6, 8, 1.6] } },
      names(0, 1.5),
      names(1, 3),
      names(2, 4.5),
    ],
  };
}
