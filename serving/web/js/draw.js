// Draws a polygon on the map: corners are buttons, so that a mouse, a finger and a keyboard move them alike.
import * as maplibregl from "../vendor/maplibre-gl/maplibre-gl.mjs";
import { Outline } from "./outline.js";
import { element, text } from "./words.js";

const STEP_PX = 8;
const SAME_PX = 5;
const ARROWS = { ArrowLeft: [-STEP_PX, 0], ArrowRight: [STEP_PX, 0], ArrowUp: [0, -STEP_PX], ArrowDown: [0, STEP_PX] };

export class Drawing {
  /** map: a FleetMap. told: { changed(outline), full() } */
  constructor(map, told) {
    this.fleetMap = map;
    this.map = map.map;
    this.told = told;
    this.markers = [];
    this.follow = (event) => this.point(event.lngLat.toArray());
    this.leave = () => this.point(null);
    this.finish = (event) => {
      event.preventDefault();
      this.close();
    };
  }

  open(corners = []) {
    this.outline = new Outline(corners, corners.length > 0);
    this.fleetMap.drawing = this;
    this.map.doubleClickZoom.disable();
    this.map.on("mousemove", this.follow);
    this.map.on("mouseout", this.leave);
    this.map.on("dblclick", this.finish);
    document.body.classList.add("drawing");
    this.changed();
  }

  end() {
    this.fleetMap.drawing = null;
    this.map.doubleClickZoom.enable();
    this.map.off("mousemove", this.follow);
    this.map.off("mouseout", this.leave);
    this.map.off("dblclick", this.finish);
    document.body.classList.remove("drawing", "outlined");
    this.markers.splice(0).forEach((marker) => marker.remove());
    this.fleetMap.set("draft", null);
  }

  /** A click on the map: a corner more. The second click of a double click is none. */
  add(place) {
    const { corners, closed, isFull } = this.outline;
    if (closed) return;
    if (isFull) {
      this.told.full();
      return;
    }
    if (corners.length && this.isSame(corners.at(-1), place)) return;
    this.outline.insert(corners.length, place);
    this.changed();
  }

  isSame(one, other) {
    const [a, b] = [this.map.project(one), this.map.project(other)];
    return Math.hypot(a.x - b.x, a.y - b.y) < SAME_PX;
  }

  /** A corner at the cross, for who has no pointer, or a thick one. */
  addAtCross() {
    const [cross, box] = [document.getElementById("cross").getBoundingClientRect(), this.map.getContainer().getBoundingClientRect()];
    this.add(this.map.unproject([cross.left + cross.width / 2 - box.left, cross.top + cross.height / 2 - box.top]).toArray());
  }

  undo() {
    if (this.outline.undo()) this.changed();
  }

  close() {
    if (!this.outline.canClose) return;
    this.outline.close();
    this.changed();
  }

  point(place) {
    this.pointer = place;
    if (!this.outline.closed) this.draft();
  }

  changed() {
    document.body.classList.toggle("outlined", this.outline.closed);
    this.dress();
    this.draft();
    this.told.changed(this.outline);
  }

  draft() {
    const { corners, closed } = this.outline;
    const feature = (type, coordinates, kind) => ({ type: "Feature", geometry: { type, coordinates }, properties: { kind } });
    const features = [];
    const inside = closed || !this.pointer ? corners : [...corners, this.pointer];
    if (inside.length > 2) features.push(feature("Polygon", [[...inside, inside[0]]], "area"));
    if (corners.length > 1) features.push(feature("LineString", closed ? [...corners, corners[0]] : corners, "side"));
    if (!closed && corners.length && this.pointer) features.push(feature("LineString", [corners.at(-1), this.pointer], "next"));
    if (!closed && inside.length > 2) features.push(feature("LineString", [this.pointer ?? corners.at(-1), corners[0]], "next"));
    this.fleetMap.set("draft", { type: "FeatureCollection", features });
  }

  /** The buttons anew; who had the focus keeps it. */
  dress() {
    const focused = this.markers.findIndex((marker) => marker.getElement() === document.activeElement);
    this.markers.splice(0).forEach((marker) => marker.remove());
    const { corners, closed, isFull } = this.outline;
    corners.forEach((place, number) => this.markers.push(this.corner(place, number)));
    const sides = isFull ? 0 : closed ? corners.length : Math.max(0, corners.length - 1);
    for (let number = 0; number < sides; number++) this.between(number);
    if (focused >= 0) this.markers[Math.min(focused, corners.length - 1)]?.getElement().focus();
  }

  corner(place, number) {
    const first = number === 0 && this.outline.canClose;
    const words = text(first ? "zone.closeHere" : "zone.corner", { number: number + 1, count: this.outline.corners.length });
    const button = element("button", { type: "button", className: `corner${first ? " first" : ""}`, title: words, ariaLabel: words });
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      if (number === 0) this.close();
    });
    button.addEventListener("keydown", (event) => this.keys(event, number));
    return this.marked(button, place, () => number);
  }

  /** The middle of a side: dragged or pressed it becomes a corner. */
  between(number) {
    const button = element("button", { type: "button", className: "between", title: text("zone.between"), tabIndex: -1, ariaLabel: text("zone.between") });
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      this.outline.insert(number + 1, this.outline.middle(number));
      this.changed();
    });
    this.markers.push(this.marked(button, this.outline.middle(number), () => {
      this.outline.insert(number + 1, this.outline.middle(number));
      return number + 1;
    }));
  }

  /** A button at a place that can be dragged. began: which corner is dragged. */
  marked(button, place, began) {
    const marker = new maplibregl.Marker({ element: button, draggable: true }).setLngLat(place).addTo(this.map);
    let number = null;
    marker.on("dragstart", () => {
      const count = this.outline.past.length;
      number = began();
      if (this.outline.past.length === count) this.outline.begin();
    });
    marker.on("drag", () => {
      this.outline.corners[number] = marker.getLngLat().toArray();
      this.draft();
    });
    marker.on("dragend", () => this.changed());
    return marker;
  }

  keys(event, number) {
    const step = ARROWS[event.key];
    if (step) {
      const at = this.map.project(this.outline.corners[number]);
      this.outline.begin();
      this.outline.corners[number] = this.map.unproject([at.x + step[0], at.y + step[1]]).toArray();
    } else if (event.key === "Delete") {
      if (!this.outline.remove(number)) return;
    } else return;
    event.preventDefault();
    event.stopPropagation();
    this.changed();
  }
}
