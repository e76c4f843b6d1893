// A polygon that somebody draws: its corners, and each step back. Pure.
export const LEAST = 3;
export const MOST = 200;
const EARTH_KM = 6371.0088;
const RADIANS = Math.PI / 180;

export class Outline {
  constructor(corners = [], closed = false) {
    this.corners = corners;
    this.closed = closed;
    this.past = [];
  }

  get canClose() {
    return !this.closed && this.corners.length >= LEAST;
  }

  get isFull() {
    return this.corners.length >= MOST;
  }

  /** What follows is one step: undo goes back to here. */
  begin() {
    this.past.push({ corners: this.corners, closed: this.closed });
    this.corners = [...this.corners];
  }

  undo() {
    const before = this.past.pop();
    if (before) Object.assign(this, before);
    return Boolean(before);
  }

  insert(number, place) {
    this.begin();
    this.corners.splice(number, 0, place);
  }

  remove(number) {
    if (this.closed && this.corners.length <= LEAST) return false;
    this.begin();
    this.corners.splice(number, 1);
    return true;
  }

  close() {
    this.begin();
    this.closed = true;
  }

  /** The middle of the side that follows a corner. */
  middle(number) {
    const [a, b] = [this.corners[number], this.corners[(number + 1) % this.corners.length]];
    return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  }

  /** As the API takes it: longitudes within 180 degrees, seven decimals, a centimetre. */
  ring() {
    const wrapped = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;
    return this.corners.map(([lon, lat]) => [Number(wrapped(lon).toFixed(7)), Number(lat.toFixed(7))]);
  }

  areaKm2() {
    return area(this.corners);
  }
}

/** Square kilometres within a ring of longitudes and latitudes, on a sphere. */
export function area(ring) {
  let sum = 0;
  ring.forEach(([lon, lat], number) => {
    const [next, high] = ring[(number + 1) % ring.length];
    sum += (next - lon) * RADIANS * (2 + Math.sin(lat * RADIANS) + Math.sin(high * RADIANS));
  });
  return Math.abs(sum / 2) * EARTH_KM ** 2;
}
