// Speed over time, with axes; a moment can be pointed at.
import { COLOURS } from "./status.js";
import { clock, inUnit, number } from "./words.js";

const LEFT = 40;
const BOTTOM = 22;
const TOP = 12;
const STEPS_MS = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400].map((seconds) => seconds * 1000);

/** Round marks of an axis, at most so many. Pure. */
export function marks(top, most) {
  const step = [5, 10, 20, 25, 50, 100, 200].find((one) => top / one <= most) ?? top / most;
  return Array.from({ length: Math.floor(top / step) + 1 }, (_, place) => place * step);
}

/** Moments to write under the plot. Pure. */
export function moments(from, to, most) {
  const step = STEPS_MS.find((one) => (to - from) / one <= most) ?? Math.ceil((to - from) / most);
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((to - first) / step) + 1) }, (_, place) => first + place * step);
}

export class SpeedPlot {
  /** told: { at(ms) } of the moment under the pointer */
  constructor(canvas, told) {
    Object.assign(this, { canvas, told, points: [], ms: null });
    canvas.onpointermove = (event) => this.point(event);
    canvas.onpointerdown = (event) => this.point(event);
    canvas.tabIndex = 0;
    canvas.onkeydown = (event) => this.step(event);
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Points of a trip, whose speeds are km/h; the plot has the person's unit. */
  show(points) {
    this.points = points.map((point) => ({ ...point, speed: point.speed == null ? null : inUnit("speed", point.speed) }));
    this.ms = points[0]?.ms ?? null;
    this.draw();
  }

  point(event) {
    if (this.points.length < 2) return;
    const share = (event.offsetX - LEFT) / Math.max(1, this.canvas.clientWidth - LEFT);
    this.seek(this.from + Math.min(1, Math.max(0, share)) * (this.to - this.from));
  }

  step(event) {
    const side = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!side || this.points.length < 2) return;
    event.preventDefault();
    this.seek(Math.min(this.to, Math.max(this.from, this.ms + (side * (this.to - this.from)) / 100)));
  }

  seek(ms) {
    this.ms = ms;
    this.draw();
    this.told.at(ms);
  }

  get from() {
    return this.points[0].ms;
  }

  get to() {
    return this.points.at(-1).ms;
  }

  draw() {
    const [width, height, ratio] = [this.canvas.clientWidth, this.canvas.clientHeight, devicePixelRatio];
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    if (this.points.length < 2 || !width) return;
    const at = this.canvas.getContext("2d");
    at.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const [quiet, line, ink] = ["--quiet", "--line", "--ink"].map((name) => style.getPropertyValue(name));
    const top = Math.max(30, ...this.points.map((point) => point.speed ?? 0)) * 1.05;
    const x = (ms) => LEFT + ((ms - this.from) / (this.to - this.from || 1)) * (width - LEFT - 4);
    const y = (speed) => TOP + (1 - speed / top) * (height - TOP - BOTTOM);
    this.axes(at, { x, y, top, width, height, quiet, line });
    this.curve(at, x, y);
    if (this.ms != null) this.cursor(at, x, { height, ink });
  }

  axes(at, { x, y, top, width, height, quiet, line }) {
    at.font = "11px system-ui, sans-serif";
    at.strokeStyle = line;
    at.fillStyle = quiet;
    at.textAlign = "right";
    for (const speed of marks(top, Math.max(2, Math.floor(height / 36)))) {
      at.fillText(number(speed), LEFT - 6, y(speed) + 4);
      at.beginPath();
      at.moveTo(LEFT, y(speed));
      at.lineTo(width, y(speed));
      at.stroke();
    }
    at.textAlign = "center";
    for (const ms of moments(this.from, this.to, Math.max(2, Math.floor(width / 80)))) {
      const half = at.measureText(clock(ms)).width / 2;
      at.fillText(clock(ms), Math.min(width - half, Math.max(LEFT, x(ms), half)), height - 6);
    }
  }

  curve(at, x, y) {
    at.beginPath();
    at.moveTo(x(this.from), y(0));
    for (const point of this.points) at.lineTo(x(point.ms), y(point.speed ?? 0));
    at.lineTo(x(this.to), y(0));
    at.fillStyle = `${COLOURS.moving}33`;
    at.fill();
    at.beginPath();
    this.points.forEach((point, place) => (place ? at.lineTo(x(point.ms), y(point.speed ?? 0)) : at.moveTo(x(point.ms), y(point.speed ?? 0))));
    at.strokeStyle = COLOURS.moving;
    at.lineWidth = 1.6;
    at.lineJoin = "round";
    at.stroke();
  }

  cursor(at, x, { height, ink }) {
    at.strokeStyle = ink;
    at.lineWidth = 1;
    at.beginPath();
    at.moveTo(x(this.ms), TOP - 6);
    at.lineTo(x(this.ms), height - BOTTOM);
    at.stroke();
  }
}
