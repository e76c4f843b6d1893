// One region on the map: follows its service, and tells what changed. No region's data reaches another's service.
import { Api, Refused } from "./api.js";

export const MOST_WHOLE = 10_000;
const MOST_IN_VIEW = 3_000;
const NEAR_ZOOM = 9;
const AGAIN_MS = 3_000;

export class Region {
  /** told: { changed(region, items, gone), cleared(region), cells(region, cells), zones(region, zones), status(region), refused(region, error) } */
  constructor(name, origin, token, told) {
    this.name = name;
    this.api = new Api(origin, token);
    this.told = told;
    this.status = "connecting";
    this.total = 0;
    this.counted = false;
    this.fleets = [];
    this.view = null;
    this.aborted = null;
  }

  async start() {
    try {
      this.fleets = (await this.api.json("/fleets", { limit: 1000 })).items;
      this.told.zones(this, await this.api.all("/zones", { ended: false }));
    } catch (error) {
      if (this.isRefused(error)) return;
    }
    this.follow();
  }

  stop() {
    this.aborted?.abort();
  }

  /** The map shows another part of the world. A region that is followed as a whole does not care. */
  look(view) {
    this.view = view;
    if (this.counted) this.follow();
  }

  async follow() {
    this.aborted?.abort();
    const { signal } = (this.aborted = new AbortController());
    while (!signal.aborted) {
      try {
        await this.once(signal);
      } catch (error) {
        if (signal.aborted || this.isRefused(error)) return;
        this.say("away");
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  async once(signal) {
    const { total } = await this.api.json("/live", { limit: 1 }, { signal });
    this.total = total;
    this.counted = total > MOST_WHOLE;
    const bbox = this.counted && this.view ? this.view.bbox : null;
    if (this.counted && (!this.view || this.view.zoom < NEAR_ZOOM)) return this.count(signal);
    const found = await this.api.live({ bbox }, this.counted ? MOST_IN_VIEW : MOST_WHOLE, signal);
    this.told.cleared(this);
    this.told.changed(this, found.items, []);
    this.say("live");
    await this.api.stream({ bbox }, found.version, signal, (event) => this.receive(event));
    throw new Error("the stream ended");
  }

  async count(signal) {
    this.told.cleared(this);
    while (!signal.aborted) {
      const found = await this.api.json("/live/cells", { zoom: Math.floor(this.view?.zoom ?? 1), bbox: this.view?.bbox }, { signal });
      this.told.cells(this, found.cells);
      this.say("live");
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  receive(event) {
    if (event.name === "devices") this.told.changed(this, event.data.items, event.data.gone);
    else if (event.name === "behind") this.say(event.data ? "behind" : "live");
  }

  say(status) {
    this.status = status;
    this.told.status(this);
  }

  isRefused(error) {
    const refused = error instanceof Refused && (error.status === 401 || error.status === 403);
    if (refused) {
      this.say("refused");
      this.told.refused(this, error);
    }
    return refused;
  }
}
