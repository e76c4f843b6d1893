// One region's service: requests with the token, and its live stream.
export class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail || problem?.title || `HTTP ${status}`);
    this.status = status;
  }
}

export class Api {
  constructor(origin, token) {
    this.origin = origin;
    this.token = token;
  }

  async ask(path, query = {}, init = {}) {
    const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value != null && value !== ""));
    const answer = await fetch(`${this.origin}/v1${path}?${words}`, {
      ...init,
      headers: { Authorization: `Bearer ${this.token}`, ...init.headers },
    });
    if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => null));
    return answer;
  }

  async json(path, query, init) {
    return (await this.ask(path, query, init)).json();
  }

  /** Change something; the answer. */
  async send(method, path, body = undefined) {
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
    return (await this.ask(path, {}, init)).json();
  }

  /** Every item of a list, page by page, `most` at most. */
  async all(path, query, most = 5000) {
    const items = [];
    let after = null;
    do {
      const page = await this.json(path, { ...query, after, limit: 1000 });
      items.push(...page.items);
      after = page.next;
    } while (after && items.length < most);
    return items;
  }

  /** Every device that matches, page by page, `most` at most; with the version that the stream goes on from. */
  async live(query, most, signal) {
    const items = [];
    let after = null;
    let page;
    let version = null;
    do {
      page = await this.json("/live", { ...query, after, limit: 1000 }, { signal });
      version ??= page.version;
      items.push(...page.items);
      after = page.next;
    } while (after && items.length < most && page.total <= most);
    return { items, total: page.total, version };
  }

  /** Server-sent events until `signal` aborts or the connection ends. EventSource cannot send a token. */
  async stream(query, since, signal, receive) {
    const headers = { Accept: "text/event-stream", ...(since ? { "Last-Event-ID": since } : {}) };
    const answer = await this.ask("/live/stream", query, { signal, headers });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let held = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (held + value).split("\n\n");
      held = parts.pop();
      for (const part of parts) {
        const event = parsed(part);
        if (event) receive(event);
      }
    }
  }
}

function parsed(block) {
  const event = { name: "message", id: null, data: "" };
  for (const line of block.split("\n")) {
    const [field, value] = [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trimStart()];
    if (field === "event") event.name = value;
    else if (field === "id") event.id = value;
    else if (field === "data") event.data += value;
  }
  return event.data ? { ...event, data: JSON.parse(event.data) } : null;
}
