// Operations on their way to the server: kept in order, in this browser, until it has confirmed
// them. Sending one twice does no harm, so whatever is in doubt is sent again.

const SHORTEST_WAIT = 500; // ms before the first retry; doubled each time
const LONGEST_WAIT = 5000;
const ANSWER_WITHIN = 20000; // ms; a connection that hangs longer is given up
const MOST_KEPT_ALIVE = 60000; // bytes; browsers refuse more than 64 KiB
const BATCH = 40; // operations in one request

class Outbox {
  /**
   * name: of this annotator and workspace; pass: shown to the server.
   * ask(): the kind of screens wanted. prepare(entry): the operation to send; null to drop it,
   * undefined to ask for screens first.
   * heard(result, sent, dropped): the server's answer. tell(text): say it once.
   * changed(): something to show.
   */
  constructor(name, { ask, prepare, heard, tell, changed }) {
    this.prefix = `likewise:outbox:${name}:`;
    Object.assign(this, { ask, prepare, heard, tell, changed });
    this.pass = "";
    this.trouble = ""; // why the last request failed
    this.refused = false; // the pass is no longer good
    this.full = false; // the server's disk is: no answer is taken
    this.failures = 0;
    this.single = false; // one at a time, after a request was refused
    this.wanted = false;
    this.entries = this._kept();
    addEventListener("online", () => this.wake());
    addEventListener("storage", (event) => this._follow(event));
  }

  get waiting() { return this.entries.length; }

  /** Milliseconds that the oldest operation has waited. */
  get age() { return this.entries.length ? Date.now() - this.entries[0].added : 0; }

  /** Whether a request is under way or will be tried again. */
  get busy() { return this.running || false; }

  /** Whether the last request brought no answer. */
  get failing() { return this.failures > 0; }

  add(entry) {
    const added = Math.max(Date.now(), (this.entries.at(-1)?.added ?? 0) + 1);
    const kept = { ...entry, added, key: `${this.prefix}${added}-${crypto.getRandomValues(new Uint32Array(1))[0]}` };
    this.entries.push(kept);
    try { localStorage.setItem(kept.key, JSON.stringify(kept)); } catch { /* full or forbidden */ }
    queueMicrotask(() => this.flush());
  }

  /** Ask for screens, even with nothing to say. */
  refresh() {
    this.wanted = true;
    this.wake();
  }

  /** Try now rather than after the pause. */
  wake() {
    this.stopWaiting?.();
    this.flush();
  }

  use(pass) {
    if (pass === this.pass) return;
    this.pass = pass;
    this.refused = false;
    this.flush();
  }

  async flush() {
    if (this.running || !this.pass) return;
    this.running = true;
    while ((this.entries.length || this.wanted) && !this.refused) await this._round();
    this.running = false;
    this.changed();
  }

  async _round() {
    const { sent, ops, dropped } = this._batch();
    const wanted = this.wanted;
    this.wanted = false;
    const result = await post("/likewise/label", this.pass, { kind: this.ask(), ops });
    if (result.status === 200) {
      [this.failures, this.trouble, this.single, this.full] = [0, "", false, false];
      this._forget([...sent, ...dropped]);
      this.heard(result.body, sent, dropped);
      return;
    }
    this.wanted ||= wanted;
    this.full = result.status === 507;
    if (result.status === 401) this.refused = true;
    else if (result.status >= 400 && result.status < 500 && sent.length) {
      if (sent.length > 1) this.single = true;
      else {
        this._forget(sent);
        this.wanted = true;
        this.tell(`Not stored, it was refused: ${result.text}`);
      }
    } else await this._pause(result.text);
  }

  /** Another tab's answer was stored: its screen is to be seen here no more. */
  _follow({ key, oldValue, newValue }) {
    if (!key?.startsWith(this.prefix) || newValue !== null || document.visibilityState === "hidden") return;
    if (["pair", this.ask()].includes(JSON.parse(oldValue).past?.kind)) this.refresh();
  }

  /** What goes into the next request; an answer to a reopened screen waits for its new token. */
  _batch() {
    const [sent, ops, dropped] = [[], [], []];
    for (const entry of this.entries.slice(0, this.single ? 1 : BATCH)) {
      if (entry.reopened && ops.length) break;
      const op = this.prepare(entry);
      if (op === undefined) break;
      if (op === null) dropped.push(entry);
      else {
        ops.push(op);
        sent.push(entry);
      }
    }
    return { sent, ops, dropped };
  }

  async _pause(text) {
    this.trouble = text;
    this.failures += 1;
    this.changed();
    const wait = Math.min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** (this.failures - 1));
    await new Promise((resolve) => {
      this.stopWaiting = resolve;
      setTimeout(resolve, wait);
    });
  }

  _forget(entries) {
    const gone = new Set(entries.map((each) => each.key));
    this.entries = this.entries.filter((each) => !gone.has(each.key));
    try { for (const key of gone) localStorage.removeItem(key); } catch { /* forbidden */ }
  }

  /** Left by a tab that was closed, or by this one before it was loaded again. */
  _kept() {
    try {
      return Object.keys(localStorage).filter((key) => key.startsWith(this.prefix))
        .map((key) => ({ ...JSON.parse(localStorage.getItem(key)), key, adopted: true }))
        .sort((one, other) => one.added - other.added);
    } catch {
      return [];
    }
  }
}

/** POST as JSON: {status, body, text}; status 0 when there was no answer. */
async function post(address, pass, message) {
  const body = JSON.stringify(message);
  try {
    const response = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${pass}` },
      body,
      keepalive: body.length < MOST_KEPT_ALIVE, // goes out even if the tab is closed now
      signal: AbortSignal.timeout(ANSWER_WITHIN),
    });
    const heard = await response.json();
    return { status: response.status, body: heard, text: heard.text ?? "" };
  } catch {
    return { status: 0, body: null, text: "" };
  }
}
