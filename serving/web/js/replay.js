// A day again, by time: a moment, its speed of play, and the plot of speeds that one drags along.
import { whereAt } from "./day.js";
import { COLOURS } from "./status.js";
import { clock, element, measured, sign, signed, text } from "./words.js";

const RATES = [1, 10, 60, 300, 900];

export class Replay {
  /** told: { at(place, ms), ended() } */
  constructor(told) {
    this.told = told;
    this.box = document.getElementById("replay");
    this.rate = 60;
    this.playing = false;
  }

  open(points, ms = null) {
    this.points = points;
    this.from = points[0].ms;
    this.to = points.at(-1).ms;
    this.ms = Math.min(this.to, Math.max(this.from, ms ?? this.from));
    this.build();
    this.box.hidden = false;
    document.body.classList.add("replaying");
    this.show();
  }

  close() {
    this.playing = false;
    this.points = null;
    this.box.hidden = true;
    document.body.classList.remove("replaying");
    this.told.ended();
  }

  get isOpen() {
    return Boolean(this.points);
  }

  build() {
    this.button = element("button", { type: "button", className: "round", on: { click: () => this.toggle() } });
    this.rates = element("select", { title: text("speed"), ariaLabel: text("speed"), onchange: () => (this.rate = Number(this.rates.value)) },
      ...RATES.map((rate) => element("option", { value: rate, textContent: `${rate}×`, selected: rate === this.rate })));
    this.slider = element("input", { type: "range", min: 0, max: this.to - this.from, step: 1000, ariaLabel: text("time"), oninput: () => this.seek(this.from + Number(this.slider.value)) });
    this.plot = element("canvas", { height: 36, attributes: { "aria-hidden": "true" } });
    this.told_ = element("output", {});
    const close = signed("close", text("closeReplay"), () => this.close());
    this.box.replaceChildren(this.button, element("div", { className: "track" }, this.plot, this.slider), this.told_, this.rates, close);
    requestAnimationFrame(() => this.draw());
  }

  toggle() {
    this.playing = !this.playing;
    if (this.playing && this.ms >= this.to) this.ms = this.from;
    this.last = performance.now();
    if (this.playing) requestAnimationFrame((now) => this.frame(now));
    this.show();
  }

  frame(now) {
    if (!this.playing || !this.points) return;
    this.ms = Math.min(this.to, this.ms + (now - this.last) * this.rate);
    this.last = now;
    if (this.ms >= this.to) this.playing = false;
    this.show();
    if (this.playing) requestAnimationFrame((next) => this.frame(next));
  }

  seek(ms) {
    this.ms = ms;
    this.show();
  }

  show() {
    const place = whereAt(this.points, this.ms);
    this.slider.value = this.ms - this.from;
    this.slider.setAttribute("aria-valuetext", clock(this.ms, true));
    this.told_.textContent = `${clock(this.ms, true)}  ${place.speed == null ? "" : measured("speed", place.speed)}`;
    if (this.shown !== this.playing || !this.button.firstChild) {
      this.shown = this.playing;
      const name = this.playing ? "pause" : "play";
      this.button.replaceChildren(sign(name));
      this.button.title = this.button.ariaLabel = text(name);
    }
    this.told.at(place, this.ms);
  }

  draw() {
    if (!this.points) return;
    const [width, height, ratio] = [this.plot.clientWidth, 36, devicePixelRatio];
    Object.assign(this.plot, { width: width * ratio, height: height * ratio });
    const at = this.plot.getContext("2d");
    at.scale(ratio, ratio);
    // One odd speed must not flatten all others.
    const speeds = this.points.map((point) => point.speed ?? 0).sort((a, b) => a - b);
    const top = Math.max(30, speeds[Math.floor(speeds.length * 0.98)]);
    at.fillStyle = COLOURS.moving;
    at.globalAlpha = 0.45;
    for (let i = 1; i < this.points.length; i++) {
      const [from, to] = [this.points[i - 1], this.points[i]];
      if (to.ms - from.ms > 3_600_000 || !from.speed) continue;
      const x = ((from.ms - this.from) / (this.to - this.from || 1)) * width;
      const wide = Math.max(1, ((to.ms - from.ms) / (this.to - this.from || 1)) * width);
      const high = Math.min(1, from.speed / top) * (height - 4);
      at.fillRect(x, height - high, wide, high);
    }
  }
}
