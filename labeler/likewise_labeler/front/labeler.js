// What one annotator sees and does: the hand, the answers behind it, the place in them.

const SHORTEST_VIEW = 0.3; // s; an answer that comes sooner was meant for the pair before
const PAST = 40; // answered screens to go back through
const PRELOADED = 8; // screens
const NOTICE = 4000; // ms
const STALE = "Not stored: it was answered before, or went to somebody else.";

class Labeler {
  /** name: of annotator and workspace; kind: the kind of screens to begin with. */
  constructor(name, kind) {
    this.kind = kind;
    this.base = { screens: [], past: [], progress: null, images: 0, model: "", state: "loading", text: "" };
    this.older = [];
    this.at = -1; // in the past; -1: at the open question
    this.marked = new Set();
    this.several = false; // more than one group of a strip is being chosen
    this.ways = {}; // what each way to ask is worth, and takes
    this.screens = new Map(); // answered here, by token; for going back
    this.renamed = new Map(); // tokens of reopened screens: the old one, the new one
    this.view = null;
    this.preloaded = new Preloaded(() => this.render());
    this.outbox = new Outbox(name, {
      ask: () => (this.asked = this._wanted()),
      prepare: (entry) => this._prepare(entry),
      heard: (result, sent, dropped) => this._heard(result, sent, dropped),
      tell: (text) => this.tell(text),
      changed: () => this.render(),
    });
    this.outbox.refresh();
  }

  get hand() {
    return handAfter(this.base.screens, this.outbox.entries).filter((each) => each.kind === this.kind
      || (each.kind === "pair" && (each.reopened || this.base.asked === this.kind))); // pairs come in between
  }
  get past() {
    const stored = [...this.base.past, ...this.older].map((each) => asAsked(each, this.screens.get(each.screen)));
    return pastAfter(stored, this.outbox.entries).slice(0, PAST);
  }
  get progress() { return this.base.progress && progressAfter(this.base.progress, this.outbox.entries); }
  get looking() { return this.at >= 0; }

  /** Draw what is to be seen now; what is there already stays. */
  render() {
    if (!this.view) return;
    const { hand, past } = this;
    this.at = Math.min(this.at, past.length - 1);
    const item = this.looking ? { past: past[this.at], screen: screenOf(past[this.at]) } : { screen: this._open(hand) };
    this.preloaded.keep([...(item.screen ? [item.screen] : []), ...hand.slice(0, PRELOADED)]);
    this.item = item;
    if (!item.screen) this._painted("", () => this.view.empty(this));
    else if (!this.preloaded.isReady(item.screen)) this._painted("", () => this.view.wait());
    else this._painted(keyOfItem(item), () => this.view.paint(item, this.preloaded, this));
    this.view.status(this);
  }

  /** The open screen: the one on display while it is in the hand, else the first. */
  _open(hand) {
    const same = hand.find((each) => signature(each) === this.open);
    if (!same && this.open && hand.length && !this.outbox.failing) {
      this.tell("That one was answered, or went to somebody else. Here is the next.");
    }
    const screen = same ?? hand[0];
    if (!same) [this.marked, this.several] = [new Set(screen?.marked ?? []), false];
    this.open = screen ? signature(screen) : null;
    return screen;
  }

  _painted(key, paint) {
    if (key && key === this.key) return;
    [this.key, this.seenFrom] = [key, null];
    paint();
    if (!key) return;
    requestAnimationFrame(() => setTimeout(() => {
      if (this.key !== key || this.seenFrom !== null) return;
      this.seenFrom = performance.now();
      mark("likewise:painted");
    }));
  }

  /** Seconds that the screen was seen; tells and returns 0 when it is too short. */
  _seen() {
    const seen = this.key && this.seenFrom !== null ? (performance.now() - this.seenFrom) / 1000 : 0;
    if (this.outbox.full) return 0; // the message says so
    if (seen >= SHORTEST_VIEW) return seen;
    if (this.key) this.tell("Too quick: not taken.");
    return 0;
  }

  answer(verdicts, together = []) {
    const { screen } = this.item;
    const seen = this._seen();
    if (!seen) return;
    const op = { op: "answer", token: screen.token, verdicts, together, seen: Math.round(seen * 1000) / 1000 };
    const past = answered(screen, verdicts, together, new Date().toISOString());
    this._remember(screen.token, screen);
    [this.open, this.notice, this.older] = [null, null, []];
    this.outbox.add({ op, past, reopened: screen.reopened ?? false });
    this.view?.said(past);
    this.render();
  }

  verdict(verdict) {
    if (!this.item?.screen || this.item.screen.kind !== "pair") return;
    if (this.looking) this.correct({ [this.item.screen.candidates[0].id]: verdict });
    else if (verdict !== "unsure" && this._broken().size) this.tell("One picture is missing: only unsure can be stored.");
    else this.answer({ [this.item.screen.candidates[0].id]: verdict });
  }

  confirm(all) {
    const { screen } = this.item ?? {};
    if (!screen || screen.kind === "pair" || this.looking) return;
    if (screen.kind === "strip") {
      if (this.several) answerStrip(this, this.marked);
      return;
    }
    if (screen.kind === "group" && all && this.marked.size < 2) {
      this.tell("A group of their own takes two marked images or more.");
      return;
    }
    const { verdicts, together } = verdictsOf(screen, this.marked, all, this._broken());
    this.answer(verdicts, together);
  }

  /** A tile was chosen: mark it, or change the answer that is looked at. */
  toggle(id) {
    if (!this.item?.screen || !this.key) return;
    if (this.looking) {
      const answer = this.item.past.answers.find((each) => each.candidate.id === id);
      if (answer) this.correct({ [id]: OPPOSITE[answer.verdict] });
      return;
    }
    if (this._broken().has(id)) return;
    if (!this.marked.delete(id)) this.marked.add(id);
    this.view?.marks(this);
  }

  /** Change the answers that are looked at to these verdicts, by image; "similar" comes last. */
  correct(verdicts) {
    if (!this._seen()) return;
    const changed = this.item.past.answers
      .map(({ a, b, candidate, verdict: before }) => ({ a, b, before, verdict: verdicts[candidate.id] ?? before }))
      .filter(({ before, verdict }) => verdict !== before)
      .sort((one, other) => (one.verdict === "similar") - (other.verdict === "similar"));
    for (const { a, b, verdict } of changed) {
      this.outbox.add({ op: { op: "correct", a, b, verdict, token: randomToken() } });
    }
    const [first] = changed;
    if (!first) this.tell("That is what you said.");
    else this.tell(changed.length > 1 ? "Changed." : `Changed to ${first.verdict}.`);
    this.render();
  }

  /** Take back the answers that are looked at, else the last ones. */
  undo() {
    if (this.outbox.full) return;
    const past = this.past[Math.max(0, this.at)];
    if (!past) {
      if (this.base.progress) this.tell("You have no answer to take back.");
      return;
    }
    const screen = screenOf(past);
    this.outbox.add({ op: { op: "undo", screen: past.screen }, past });
    [this.at, this.open, this.older] = [-1, null, []];
    this.tell("Taken back.");
    if (screen.kind !== "pair") this.use(screen.kind);
    this.render();
  }

  async back() {
    const { length } = this.past;
    if (this.at + 1 >= length && length < PAST) await this._older();
    if (this.at + 1 < this.past.length) this.at += 1;
    else this.tell(length >= PAST ? "Older answers are on the Review page." : "No earlier answers.");
    this.render();
  }

  forward(steps = 1) {
    this.at = Math.max(-1, this.at - steps);
    this.render();
  }

  use(kind) {
    if (kind === this.kind && !this.looking) return;
    const other = kind !== this.kind;
    [this.kind, this.at] = [kind, -1];
    if (other) {
      this.open = null;
      this.outbox.refresh();
    }
    this.view?.mode(kind);
    this.render();
  }

  tell(text) {
    this.notice = text;
    clearTimeout(this.forgetting);
    this.forgetting = setTimeout(() => { this.notice = null; this.view?.status(this); }, NOTICE);
    this.view?.status(this);
  }

  _remember(token, screen) {
    this.screens.set(token, screen);
    if (this.screens.size > PAST) this.screens.delete(this.screens.keys().next().value);
  }

  _broken() { return this.preloaded.broken(this.item.screen); }

  /** One more page of one's own answers. */
  async _older() {
    const before = [...this.base.past, ...this.older].at(-1)?.number;
    if (before === undefined || this.loading) return;
    this.loading = true;
    const { status, body } = await post("/likewise/history", this.outbox.pass, { before, count: 20 });
    this.loading = false;
    if (status === 200) this.older = [...this.older, ...body.past];
  }

  /** The operation as the server must get it: reopened screens have new tokens. */
  _prepare({ op, past, reopened }) {
    if (op.op === "undo") return { ...op, screen: this.renamed.get(op.screen) ?? op.screen };
    if (!reopened) return op;
    if (this.base.state === "loading") return undefined;
    const screen = this.base.screens.find((each) => signature(each) === signature(past.asked));
    if (!screen) return null;
    const there = new Set(screen.candidates.map((each) => each.id));
    this.renamed.set(op.token, screen.token);
    this._remember(screen.token, screen);
    return {
      ...op, token: screen.token, together: op.together.filter((id) => there.has(id)),
      verdicts: Object.fromEntries(Object.entries(op.verdicts).filter(([id]) => there.has(id))),
    };
  }

  /** The kind of screens to ask for: of one that was reopened and answered, until it has its token. */
  _wanted() {
    const reopened = this.outbox.entries.find((each) => each.reopened)?.past.kind ?? "pair";
    return reopened === "pair" ? this.kind : reopened;
  }

  _heard(result, sent, dropped) {
    this.base = { ...result, asked: this.asked };
    this.ways = result.ways ?? this.ways;
    if (!this.outbox.waiting) this.renamed.clear();
    const outcomes = (result.outcomes ?? []).filter((_, at) => !sent[at].adopted);
    if (dropped.length || outcomes.includes("stale")) this.tell(STALE);
    else if (outcomes.includes("too soon")) this.tell("Too quick: not taken.");
    else if (outcomes.includes("nothing")) this.tell("You have no answer to take back.");
    if (this.asked !== this.kind) this.outbox.wanted = true;
    this.preloaded.retry();
    this.render();
  }
}

function randomToken() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");
}
