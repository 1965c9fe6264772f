// The label screen as Streamlit mounts it. Drawing the page again calls this again: the screen
// stays, and so do its answers on their way when somebody looks at another page.

const labelers = new Map();
const mounts = new WeakMap();
const KEEP_ALIVE = 60000; // ms; a reserved screen is kept for four minutes
const LOOK_AGAIN = 15000; // ms, while there is nothing to ask
const AWAY = 60000; // ms without a sign of life

class Mount {
  constructor(parent) {
    this.view = new View(parent, (action, argument) => this.act(action, argument));
    this.controller = new AbortController();
    this.touched = Date.now();
    const on = (target, event, listen) => target.addEventListener(event, listen, { signal: this.controller.signal, capture: true });
    on(window, "keydown", (event) => this._down(event));
    on(window, "keyup", (event) => keyOf(event) === "f" && this.act("flicker", false));
    on(window, "blur", () => this.act("flicker", false));
    for (const sign of ["pointerdown", "pointermove", "wheel"]) on(window, sign, () => { this.touched = Date.now(); });
    on(window, "resize", () => this.view.fit());
    on(document, "visibilitychange", () => document.visibilityState === "visible" && this.labeler?.outbox.refresh());
    this.dialogs = new MutationObserver(dismissConnectionError);
    this.dialogs.observe(document.body, { childList: true });
    this.watcher = new ResizeObserver(() => this.view.fit());
    this.watcher.observe(document.body);
    this.renewing = setInterval(() => this._renew(), KEEP_ALIVE);
    this.waiting = setInterval(() => this._lookAgain(), LOOK_AGAIN);
    this.telling = setInterval(() => this.labeler && this.view.status(this.labeler), 500);
  }

  use(labeler) {
    if (this.labeler && this.labeler !== labeler) this.labeler.view = null;
    this.labeler = labeler;
    labeler.view = this.view;
    labeler.key = null;
    this.view.mode(labeler.kind);
    labeler.render();
  }

  act(action, argument) {
    const { labeler, view } = this;
    switch (action) {
      case "verdict": return labeler.verdict(argument);
      case "confirm": return labeler.confirm(argument);
      case "choose": return choose(labeler, argument);
      case "several": return severally(labeler);
      case "toggle": return labeler.toggle(argument);
      case "letter": return this._candidate(argument, (id) => labeler.toggle(id));
      case "look": return this._candidate(argument, (id) => view.tiles.lookAt(id));
      case "undo": return labeler.undo();
      case "back": return labeler.back();
      case "forward": return labeler.forward();
      case "escape": return this._escape();
      case "refresh": return labeler.outbox.refresh();
      case "mode": return this._mode(argument);
      case "help": return view.help(undefined, labeler.item?.screen?.kind ?? labeler.kind);
      case "zoom": return argument ? view.pair.zoom.by(argument) : view.pair.zoom.reset();
      case "flicker": return this._flicker(argument ?? true);
      case "difference": return view.difference.setAttribute("aria-pressed", String(view.pair.toggle("difference")));
      default: throw new Error(`no action ${action}`);
    }
  }

  leave() {
    this.controller.abort();
    this.watcher.disconnect();
    this.dialogs.disconnect();
    for (const each of [this.renewing, this.waiting, this.telling]) clearInterval(each);
    if (this.labeler?.view === this.view) this.labeler.view = null;
    this.view.leave();
  }

  _down(event) {
    if (isTyping(event) || !this.labeler || isCovered()) return;
    const focused = event.composedPath()[0];
    if ((event.key === "Enter" || event.key === " ") && focused.closest?.("button, a")) return;
    const kind = this.labeler.item?.screen?.kind ?? this.labeler.kind;
    const found = actionOf(event, kind, this.labeler.looking, this.labeler.kind);
    if (!found) return;
    event.preventDefault();
    if (found[0] !== "escape") event.stopImmediatePropagation(); // it may close something else
    this.touched = Date.now();
    const again = ["zoom", "back", "forward"].includes(found[0]);
    if (event.repeat && !again) return;
    if (!this.view.helping.hidden && found[0] !== "help") {
      this.view.help(false);
      return;
    }
    mark("likewise:key", event.timeStamp);
    this.act(...found);
  }

  _candidate(at, act) {
    const found = this.labeler.item?.screen?.candidates[at];
    if (found && this.view.scene === this.view.tiles) act(found.id);
  }

  _escape() {
    if (this.labeler.looking) this.labeler.forward(Infinity);
    else if (this.labeler.several) severally(this.labeler, false);
    else if (this.view.scene === this.view.pair) this.view.pair.zoom.reset();
    else this.view.scene?.lookAt(null);
  }

  _mode(kind) {
    const address = new URL(location);
    address.searchParams.set("mode", kind);
    history.replaceState(history.state, "", address);
    try { localStorage.setItem("likewise:mode", kind); } catch { /* forbidden */ }
    this.labeler.use(kind);
  }

  _flicker(on) {
    if (this.view.scene !== this.view.pair) return;
    this.view.pair.over("flicker", on);
    this.view.flicker.setAttribute("aria-pressed", String(on));
  }

  _renew() {
    const here = document.visibilityState === "visible" && Date.now() - this.touched < AWAY;
    if (here) this.labeler?.outbox.refresh();
  }

  _lookAgain() {
    const idle = this.labeler && !this.labeler.item?.screen && !this.labeler.outbox.busy;
    if (idle && document.visibilityState === "visible") this.labeler.outbox.refresh();
  }
}

/**
 * Streamlit covers the page when its own connection is lost. Answering goes on without it, and the
 * screen says itself what is not saved.
 */
function dismissConnectionError() {
  for (const dialog of document.querySelectorAll("[data-testid=stDialog]")) {
    const title = dialog.querySelector("h1, h2, h3")?.textContent;
    if (title === "Connection error") dialog.querySelector("button[aria-label=Close]")?.click();
  }
}

/** Whether a dialog of the page lies over the screen. */
function isCovered() {
  return [...document.querySelectorAll("[role=dialog], dialog[open]")].some((each) => each.checkVisibility());
}

/** The kind of screens to begin with: of the address, else of last time, else pairs. */
function firstMode() {
  let last = null;
  try { last = localStorage.getItem("likewise:mode"); } catch { /* forbidden */ }
  const wanted = [new URL(location).searchParams.get("mode"), last];
  return wanted.find((each) => MODES.some(([kind]) => kind === each)) ?? "pair";
}

addEventListener("beforeunload", (event) => {
  if ([...labelers.values()].some((each) => each.outbox.waiting)) event.preventDefault();
});

/** data: {pass, annotator, workspace}. */
export default function label({ data, parentElement }) {
  const name = `${data.workspace}:${data.annotator}`;
  if (!labelers.has(name)) labelers.set(name, new Labeler(name, firstMode()));
  const labeler = labelers.get(name);
  labeler.outbox.use(data.pass);
  if (!mounts.has(parentElement)) mounts.set(parentElement, new Mount(parentElement));
  const mount = mounts.get(parentElement);
  if (mount.labeler !== labeler) mount.use(labeler);
  // Streamlit also calls this for a drawing that a newer one has overtaken.
  return () => setTimeout(() => {
    if (parentElement.isConnected) return;
    mounts.delete(parentElement);
    mount.leave();
  });
}
