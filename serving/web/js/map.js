// The map: devices, clusters, counted cells, a day's trail and its replay.
import * as maplibregl from "../vendor/maplibre-gl/maplibre-gl.mjs";
import { graticule, ground, style, unrolled } from "./basemap.js";
import { icons } from "./icons.js";
import { COLOURS, SPEED_COLOURS } from "./status.js";
import { number, text } from "./words.js";

maplibregl.setWorkerUrl(new URL("../vendor/maplibre-gl/maplibre-gl-worker.mjs", import.meta.url).href);

const ZONES = { light: "#00856f", dark: "#3ecfae" };
const DRAFTS = { light: "#b5179e", dark: "#ff7ad9" };
const EMPTY = { type: "FeatureCollection", features: [] };
const SPEEDS = ["interpolate", ["linear"], ["coalesce", ["get", "speed"], 0], ...SPEED_COLOURS.flat()];

export class FleetMap {
  /** told: { picked(number), moved(view), zone(id) } */
  constructor(told, theme) {
    this.told = told;
    this.theme = theme;
    this.known = new Set();
    this.changes = new Map();
    this.gone = new Set();
    this.touched = false;
    this.kept = { zones: EMPTY, cells: EMPTY, trail: EMPTY, replay: EMPTY, picked: EMPTY, draft: EMPTY };
    this.drawing = null;
  }

  async open() {
    this.ground = await ground();
    this.map = new maplibregl.Map({
      container: "map", style: style(this.ground, this.theme), center: [12, 30], zoom: 1.6, attributionControl: false,
      maxZoom: 17, fadeDuration: 0, dragRotate: false, pitchWithRotate: false, renderWorldCopies: true,
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "bottom-right");
    this.map.addControl(new maplibregl.ScaleControl({ maxWidth: 110 }), "bottom-right");
    this.map.addControl(new maplibregl.AttributionControl({ compact: true, customAttribution: "Natural Earth" }), "bottom-right");
    await new Promise((resolve) => this.map.once("load", resolve));
    document.querySelector(".maplibregl-ctrl-attrib")?.classList.remove("maplibregl-compact-show");
    this.dress();
    this.map.on("moveend", () => {
      this.rule();
      this.told.moved(this.view());
    });
    this.map.on("movestart", (event) => (this.touched ||= Boolean(event.originalEvent)));
    this.map.on("click", (event) => this.click(event));
    for (const layer of ["devices", "clusters", "cells"]) {
      this.map.on("mouseenter", layer, () => (this.map.getCanvas().style.cursor = this.drawing ? "" : "pointer"));
      this.map.on("mouseleave", layer, () => (this.map.getCanvas().style.cursor = ""));
    }
  }

  rule() {
    const bounds = this.map.getBounds();
    this.map.getSource("graticule")?.setData(graticule(this.map.getZoom(), bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()));
  }

  view() {
    const bounds = this.map.getBounds();
    const whole = bounds.getEast() - bounds.getWest() >= 360;
    const wrapped = (degrees) => ((((degrees + 180) % 360) + 360) % 360) - 180;
    const [west, east] = whole ? [-180, 180] : [wrapped(bounds.getWest()), wrapped(bounds.getEast())];
    const [south, north] = [Math.max(-90, bounds.getSouth()), Math.min(90, bounds.getNorth())];
    return { zoom: this.map.getZoom(), bbox: [west, south, east, north].map((one) => one.toFixed(4)).join(",") };
  }

  dressed(theme, features) {
    this.theme = theme;
    this.map.setStyle(style(this.ground, theme), { diff: false });
    this.map.once("styledata", () => {
      this.known.clear();
      this.dress();
      for (const one of features) this.put(one);
      this.flush();
    });
  }

  dress() {
    this.rule();
    const dark = this.theme === "dark";
    for (const [name, image] of Object.entries(icons(dark))) {
      if (!this.map.hasImage(name)) this.map.addImage(name, image, { pixelRatio: 2 });
    }
    const halo = dark ? "#0d1520" : "#ffffff";
    const ink = dark ? "#dbe6f2" : "#1d2b3a";
    const [zone, draft] = [ZONES[this.theme], DRAFTS[this.theme]];
    const source = (name, more = {}) => this.map.addSource(name, { type: "geojson", data: this.kept[name] ?? EMPTY, ...more });
    source("devices", { cluster: true, clusterRadius: 42, clusterMaxZoom: 8, clusterProperties: { moving: ["+", ["get", "moving"]] } });
    source("zones");
    source("cells");
    source("draft");
    source("trail");
    source("picked");
    source("replay");
    const add = (layer) => this.map.addLayer(layer);
    const single = ["!", ["has", "point_count"]];
    // Where nothing moves a bubble is as grey as what is parked.
    const bubble = (count) => ({
      "circle-color": ["case", [">", ["get", "moving"], 0], dark ? "#1c6fb8" : "#0b66c3", dark ? "#56657a" : "#66758a"],
      "circle-opacity": 0.9,
      "circle-radius": ["interpolate", ["linear"], ["log10", count], 0, 11, 1, 15, 2, 20, 3, 27, 5, 40],
      "circle-stroke-width": 3,
      "circle-stroke-color": halo,
      "circle-stroke-opacity": 0.75,
    });
    const counted = (count) => ({ "text-field": ["to-string", count], "text-size": 12, "text-allow-overlap": true, "text-font": ["Bold"] });
    add({ id: "zones", type: "fill", source: "zones", paint: { "fill-color": zone, "fill-opacity": ["case", ["==", ["get", "holds"], 1], dark ? 0.16 : 0.1, 0.03] } });
    add({ id: "zone-borders", type: "line", source: "zones", paint: { "line-color": zone, "line-width": 1.6, "line-dasharray": [3, 2] } });
    add({ id: "zone-names", type: "symbol", source: "zones", minzoom: 8, layout: { "text-field": ["get", "name"], "text-size": 11.5 }, paint: { "text-color": zone, "text-halo-color": halo, "text-halo-width": 1.4 } });
    const drafted = (kind) => ["==", ["get", "kind"], kind];
    add({ id: "draft-area", type: "fill", source: "draft", filter: drafted("area"), paint: { "fill-color": draft, "fill-opacity": 0.16 } });
    add({ id: "draft-rim", type: "line", source: "draft", filter: drafted("side"), layout: { "line-join": "round" }, paint: { "line-color": halo, "line-width": 5 } });
    add({ id: "draft-sides", type: "line", source: "draft", filter: drafted("side"), layout: { "line-join": "round" }, paint: { "line-color": draft, "line-width": 2.5 } });
    add({ id: "draft-next", type: "line", source: "draft", filter: drafted("next"), paint: { "line-color": draft, "line-width": 2, "line-dasharray": [2, 2] } });
    add({ id: "trail-rim", type: "line", source: "trail", filter: ["==", ["geometry-type"], "LineString"], layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": halo, "line-width": 8, "line-opacity": 0.9 } });
    add({ id: "trail", type: "line", source: "trail", filter: ["==", ["geometry-type"], "LineString"], layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": SPEEDS, "line-width": 4 } });
    add({ id: "cells", type: "circle", source: "cells", paint: bubble(["max", 1, ["get", "devices"]]) });
    add({ id: "cell-counts", type: "symbol", source: "cells", layout: counted(["get", "label"]), paint: { "text-color": "#ffffff" } });
    add({ id: "clusters", type: "circle", source: "devices", filter: ["has", "point_count"], paint: bubble(["get", "point_count"]) });
    add({ id: "cluster-counts", type: "symbol", source: "devices", filter: ["has", "point_count"], layout: counted(["get", "point_count_abbreviated"]), paint: { "text-color": "#ffffff" } });
    add({ id: "picked", type: "circle", source: "picked", paint: { "circle-radius": 21, "circle-color": COLOURS.moving, "circle-opacity": 0.16, "circle-stroke-color": COLOURS.moving, "circle-stroke-width": 2.5 } });
    add({
      id: "devices", type: "symbol", source: "devices", filter: single,
      layout: {
        "icon-image": ["get", "icon"], "icon-size": ["interpolate", ["linear"], ["zoom"], 3, 0.62, 10, 0.95],
        "icon-rotate": ["case", ["==", ["get", "icon"], "moving"], ["get", "heading"], 0], "icon-rotation-alignment": "map",
        "icon-allow-overlap": true, "icon-ignore-placement": true,
        "symbol-sort-key": ["get", "moving"],
      },
      paint: { "icon-opacity": ["case", ["==", ["get", "stale"], 1], 0.55, 1] },
    });
    add({
      id: "faults", type: "symbol", source: "devices", filter: ["all", single, ["==", ["get", "faults"], 1]],
      layout: { "icon-image": "fault", "icon-size": 0.5, "icon-offset": [22, -22], "icon-allow-overlap": true, "icon-ignore-placement": true },
    });
    add({
      id: "labels", type: "symbol", source: "devices", filter: single, minzoom: 10,
      layout: { "text-field": ["get", "label"], "text-size": 11, "text-offset": [0, 1.5], "text-anchor": "top", "text-optional": true },
      paint: { "text-color": ink, "text-halo-color": halo, "text-halo-width": 1.4 },
    });
    add({ id: "replay", type: "symbol", source: "replay", layout: { "icon-image": "replay", "icon-size": 1.1, "icon-rotate": ["get", "heading"], "icon-rotation-alignment": "map", "icon-allow-overlap": true } });
  }

  /** A device as a feature; shown with the next flush. */
  put(feature) {
    this.changes.set(feature.id, feature);
    this.gone.delete(feature.id);
  }

  remove(id) {
    this.changes.delete(id);
    this.gone.add(id);
  }

  /** One update of the source with all that changed: a whole setData costs ten times as much. */
  flush() {
    const source = this.map.getSource("devices");
    if (!source || (!this.changes.size && !this.gone.size)) return;
    const diff = { add: [], update: [], remove: [] };
    for (const id of this.gone) if (this.known.delete(id)) diff.remove.push(id);
    for (const [id, feature] of this.changes) {
      if (this.known.has(id)) {
        diff.update.push({ id, newGeometry: feature.geometry, addOrUpdateProperties: Object.entries(feature.properties).map(([key, value]) => ({ key, value })) });
      } else {
        this.known.add(id);
        diff.add.push(feature);
      }
    }
    this.changes.clear();
    this.gone.clear();
    source.updateData(diff);
  }

  set(name, data) {
    this.kept[name] = data ?? EMPTY;
    this.map.getSource(name)?.setData(this.kept[name]);
  }

  zones(zones) {
    const now = Date.now();
    this.set("zones", {
      type: "FeatureCollection",
      features: zones.map((zone) => ({ type: "Feature", geometry: { type: "Polygon", coordinates: [unrolled([...zone.ring, zone.ring[0]])] }, properties: { name: zone.name, id: zone.zone_id, holds: Date.parse(zone.valid_from) <= now ? 1 : 0 } })),
    });
  }

  cells(cells) {
    this.set("cells", {
      type: "FeatureCollection",
      features: cells.map((cell) => ({ type: "Feature", geometry: { type: "Point", coordinates: [cell.lon, cell.lat] }, properties: { ...cell, label: number(cell.devices) } })),
    });
  }

  click(event) {
    if (this.drawing) {
      this.drawing.add(event.lngLat.toArray());
      return;
    }
    const around = [[event.point.x - 6, event.point.y - 6], [event.point.x + 6, event.point.y + 6]];
    const [found] = this.map.queryRenderedFeatures(around, { layers: ["devices", "clusters", "cells", "zones"] });
    if (!found) return;
    if (found.layer.id === "zones") {
      this.told.zone(found.properties.id);
      return;
    }
    const place = found.geometry.coordinates;
    if (found.layer.id === "devices") this.told.picked(found.properties.number);
    else if (found.layer.id === "cells") this.map.easeTo({ center: place, zoom: this.map.getZoom() + 2.5 });
    else this.map.getSource("devices").getClusterExpansionZoom(found.properties.cluster_id).then((zoom) => this.map.easeTo({ center: place, zoom: zoom + 0.4 }));
  }

  fit(places, padding, maxZoom = 14) {
    if (!places.length) return;
    const bounds = new maplibregl.LngLatBounds();
    for (const place of places) bounds.extend(place);
    this.map.fitBounds(bounds, { padding, maxZoom, duration: 700 });
  }

  /** Bring a place out from under the cards, where it is below one or outside the view. */
  reveal(place, { top, bottom, left, right }) {
    const at = this.map.project(place);
    const { clientWidth, clientHeight } = this.map.getContainer();
    if (at.x > left && at.x < clientWidth - right && at.y > top && at.y < clientHeight - bottom) return;
    this.map.easeTo({ center: place, offset: [(left - right) / 2, (top - bottom) / 2], duration: 500 });
  }

  goTo(place, zoom = 13) {
    this.map.easeTo({ center: place, zoom: Math.max(this.map.getZoom(), zoom), duration: 600 });
  }

  describe() {
    this.map.getCanvas().setAttribute("aria-label", text("map"));
  }
}
