// Shapes of devices, drawn here: an arrow moves, a ring with a dot idles, a square is parked, a hollow ring is silent.
import { COLOURS, FAULT } from "./status.js";

const SIZE = 48;

export function icons(dark) {
  const rim = dark ? "#0d1520" : "#ffffff";
  return {
    moving: drawn((at) => {
      path(at, [[24, 4], [39, 41], [24, 32], [9, 41]]);
      filled(at, COLOURS.moving, rim);
    }),
    "moving-still": drawn((at) => {
      circle(at, 15);
      filled(at, COLOURS.moving, rim);
    }),
    idle: drawn((at) => {
      circle(at, 15);
      filled(at, COLOURS.idle, rim);
      circle(at, 5);
      at.fillStyle = rim;
      at.fill();
    }),
    off: drawn((at) => {
      at.beginPath();
      at.roundRect(11, 11, 26, 26, 7);
      filled(at, COLOURS.off, rim);
    }),
    silent: drawn((at) => {
      circle(at, 12);
      at.lineWidth = 9;
      at.strokeStyle = rim;
      at.stroke();
      at.lineWidth = 5;
      at.strokeStyle = COLOURS.silent;
      at.stroke();
    }),
    fault: drawn((at) => {
      path(at, [[24, 8], [40, 38], [8, 38]]);
      filled(at, FAULT, rim);
    }),
    replay: drawn((at) => {
      path(at, [[24, 2], [42, 43], [24, 33], [6, 43]]);
      filled(at, dark ? "#ffffff" : "#10202f", COLOURS.moving);
    }),
  };
}

function drawn(draw) {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE });
  const at = canvas.getContext("2d");
  draw(at);
  return at.getImageData(0, 0, SIZE, SIZE);
}

function path(at, points) {
  at.beginPath();
  points.forEach(([x, y], number) => (number ? at.lineTo(x, y) : at.moveTo(x, y)));
  at.closePath();
}

function circle(at, radius) {
  at.beginPath();
  at.arc(SIZE / 2, SIZE / 2, radius, 0, 2 * Math.PI);
}

function filled(at, colour, rim) {
  at.lineJoin = "round";
  at.lineWidth = 7;
  at.strokeStyle = rim;
  at.stroke();
  at.fillStyle = colour;
  at.fill();
}
