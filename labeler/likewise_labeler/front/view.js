// The screen's elements: heading, stage, buttons, progress. Decisions are made elsewhere.

const LOWEST = 420; // px; a lower window scrolls
const MODES = [["pair", "Pair", "1"], ["grid", "Grid", "2"], ["group", "Group", "3"], ["strip", "Strip", "4"]];

/** Names of the two buttons that store a screen with so many marked of so many. */
function confirmNames(kind, marked, all) {
  const rest = all - marked;
  if (kind === "strip") return [marked ? `${marked} similar, ${rest} differ` : "None of these", ""];
  if (kind === "grid") {
    return marked ? [`${marked} similar`, `${marked} similar, all others differ`] : ["None: next", "All differ"];
  }
  return [marked ? `${rest} belong, ${marked} differ` : "All belong",
    marked > 1 ? `${rest} belong, ${marked} are a group` : "The marked are a group"];
}

class View {
  /** act(action, argument): what a button does, in the words of `actionOf`. */
  constructor(parent, act) {
    this.act = act;
    this.pair = new PairScene();
    this.tiles = new TilesScene((id) => act("toggle", id));
    this.strip = new StripScene((at) => act("choose", at));
    this.line = new ProgressLine();
    this.stage = make("div", { class: "stage" });
    this.badge = make("div", { class: "badge", "aria-live": "polite" });
    this.root = make("div", { class: "lw" }, this._top(), make("div", { class: "around" }, this.stage, this.badge),
      this._answers(), this.line.root, this._help());
    parent.append(this.root);
    this.fit();
  }

  /** As high as the window leaves room for, so that nothing scrolls. */
  fit() {
    const main = this.root.getRootNode().host?.closest("[data-testid=stMain]") ?? document.scrollingElement;
    const top = this.root.getBoundingClientRect().top + main.scrollTop;
    const high = Math.max(LOWEST, innerHeight - Math.max(0, top) - 6);
    this.root.style.height = `${high}px`;
    const over = main.scrollHeight - main.clientHeight;
    if (over > 0) this.root.style.height = `${Math.max(LOWEST, high - over)}px`;
    main.scrollTop = 0;
  }

  mode(kind) {
    this.chosen = kind;
    for (const [name, each] of this.modes) each.setAttribute("aria-pressed", String(name === kind));
  }

  /** What each way to ask is worth, on its button. */
  ways(ways) {
    for (const [kind, each] of this.modes) each.title = wayText(kind, ways[kind]);
  }

  /** Put a screen, or an earlier answer, on the stage; its pictures are decoded. */
  paint(item, pictures, model) {
    const { screen, past } = item;
    const scene = { pair: this.pair, strip: this.strip }[screen.kind] ?? this.tiles;
    if (scene !== this.scene) this.scene?.leave();
    this.scene = scene;
    scene.show(screen, pictures, past);
    if (this.stage.firstChild !== scene.root) this.stage.replaceChildren(scene.root);
    if (scene !== this.pair) scene._fit();
    this._buttons(screen.kind, past);
    this.marks(model);
  }

  marks({ item, marked, looking, several }) {
    const { kind, candidates } = item.screen;
    if (kind === "pair") return;
    this.scene.mark(looking || (kind === "strip" && !several) ? new Set() : marked);
    const names = confirmNames(kind, marked.size, candidates.length);
    if (kind === "strip") {
      this.several.setAttribute("aria-pressed", String(several));
      reveal(this.some, several);
      for (const each of [this.none, this.verdicts.get("unsure")]) reveal(each, !several);
    }
    this.some.rename(names[0]);
    this.all.rename(names[1]);
    this.all.disabled = kind === "group" && marked.size < 2;
  }

  /** The next pictures are not here yet. */
  wait() {
    this._bare(make("div", { class: "skeleton", role: "status", "aria-label": "Loading" }, make("div"), make("div")));
  }

  /** There is no screen to show: say why. */
  empty(model) {
    const { outbox, base, kind } = model;
    if (outbox.refused) return this._say("You are signed out", "Reload the page to go on.", false);
    if (outbox.failing) return this._say("Waiting for the connection", "Your answers are kept in this browser and sent when it is back.", false);
    if (base.state === "loading" || outbox.busy || outbox.waiting) return this.wait();
    if (base.state !== "ready") return this._say("Something is in the way", base.text || "There is nothing to label yet.", true);
    if (base.images < 2) return this._say("Too few images", "A pair takes two images. Add some with `likewise ingest`, then run `likewise embed`.", true);
    if (kind !== "pair") return this._say(`No ${kind} to ask about now`, "The single pairs may have more.", true, ["Ask in pairs", kind === "strip" ? "⇧1" : "1", "pair"]);
    return this._say("Nothing left to ask", `The answers settle every pair of the ${base.images.toLocaleString("en")} images, or others are at the last ones. Next: fine-tune, on the Train page.`, true);
  }

  /** Heading, message and counts. */
  status(model) {
    const { text, tone, reload } = message(model);
    const title = heading(model);
    if (this.title.textContent !== title) this.title.textContent = title;
    if (this.told.textContent !== text) this.told.textContent = text;
    this.told.className = `told ${tone}`;
    reveal(this.reload, Boolean(reload));
    this.line.show(model);
    this.ways(model.ways);
    this.backward.disabled = !model.past.length;
    this.forward.disabled = !model.looking;
    this.undo.disabled = !model.past.length;
  }

  /** Confirm a verdict, on top of the next screen, in nobody's way. */
  said(past) {
    const { kind, answers } = past;
    const given = counted(answers.length, "answer");
    const verdict = { pair: () => answers[0].verdict, strip: () => choiceOf(past).verdict }[kind]?.() ?? "";
    if (kind === "strip") this.badge.textContent = `${choiceText(past)}: ${given}`;
    else this.badge.textContent = verdict ? `${SHAPES[verdict]} ${verdict}` : `${given} given`;
    this.badge.className = `badge ${verdict}`;
    void this.badge.offsetWidth; // begin the animation again
    this.badge.classList.add("shown");
  }

  help(visible = this.helping.hidden, kind = "pair") {
    const rows = keysOf(kind).flatMap(([keys, text]) => [make("dt", {}, keys), make("dd", {}, text)]);
    this.list.replaceChildren(...rows);
    reveal(this.helping, visible);
  }

  leave() {
    this.scene?.leave();
    this.root.remove();
  }

  _say(title, text, look, more) {
    const buttons = more ? [button(more[0], more[1], () => this.act("mode", more[2]), { class: "wide" })] : [];
    if (look) buttons.push(button("Look again", "", () => this.act("refresh"), { class: "wide" }));
    this._bare(make("div", { class: "state" }, make("b", {}, title), make("p", {}, text), ...buttons));
  }

  _bare(content) {
    this.scene?.leave();
    this.scene = null;
    this.stage.replaceChildren(content);
    this._buttons(null);
  }

  /** Which buttons there are, for a kind of screen; with an answer, which was given. */
  _buttons(kind, past) {
    this.root.dataset.kind = kind ?? "none";
    this.root.classList.toggle("looking", Boolean(past));
    const strip = kind === "strip";
    const said = past && (strip ? choiceOf(past).verdict : past.answers[0]?.verdict);
    for (const [verdict, each] of this.verdicts) {
      reveal(each, kind === "pair" || (strip && verdict === "unsure"));
      each.setAttribute("aria-pressed", String(said === verdict));
    }
    reveal(this.none, strip);
    this.none.rename(strip && this.strip.screen.candidates.length === 1 ? "Not this one" : "None of these");
    this.none.setAttribute("aria-pressed", String(strip && said === "dissimilar"));
    reveal(this.several, strip && !past && this.strip.screen.candidates.length > 1);
    for (const each of [this.some, this.all]) reveal(each, (kind === "grid" || kind === "group") && !past);
    const shifted = [kind, this.chosen].includes("strip"); // there digits are groups
    for (const [name, , key] of MODES) {
      this.modes.get(name).setAttribute("aria-keyshortcuts", shifted ? `Shift+${key}` : key);
      this.modes.get(name).querySelector("kbd").textContent = shifted ? `⇧${key}` : key;
    }
    reveal(this.home, kind !== "pair" && Boolean(past));
    this.views.classList.toggle("absent", kind !== "pair");
    for (const way of ["flicker", "difference"]) this[way].setAttribute("aria-pressed", "false");
    this.undoKey.textContent = kind === "pair" || strip ? "Z" : "⌫";
  }

  _top() {
    this.modes = new Map(MODES.map(([kind, name, key]) => [kind, button(name, key, () => this.act("mode", kind), { class: "mode" })]));
    this.title = make("b");
    this.told = make("span", { class: "told" });
    this.reload = button("Reload the page", "", () => location.reload(), { class: "reload" });
    const blink = (event) => event.detail === 0 && this.act("flicker", !this.pair.ways.has("flicker")); // by keyboard
    this.flicker = button("Flicker", "F", blink, { title: "Hold: one over the other", "aria-pressed": "false" });
    this.flicker.addEventListener("pointerdown", () => this.act("flicker", true));
    for (const end of ["pointerup", "pointerleave", "pointercancel"]) this.flicker.addEventListener(end, () => this.act("flicker", false));
    this.difference = button("Difference", "X", () => this.act("difference"), { title: "Where they differ is bright", "aria-pressed": "false" });
    this.whole = button("Whole", "0", () => this.act("zoom", 0), { title: "Show the whole pictures" });
    this.views = make("div", { class: "views" }, this.flicker, this.difference, this.whole);
    const question = button("?", "", () => this.act("help"), { class: "question", "aria-label": "Show all keys" });
    return make("div", { class: "top" },
      make("div", { class: "modes", role: "group", "aria-label": "How to ask" }, ...this.modes.values()),
      make("div", { class: "ask", "aria-live": "polite" }, this.title, make("div", {}, this.told, this.reload)),
      make("div", { class: "tools" }, this.views, question));
  }

  _answers() {
    const verdict = (name, key) => [name, button(name[0].toUpperCase() + name.slice(1), key, () => this.act(this.scene === this.strip ? "choose" : "verdict", name), { class: `verdict ${name}` })];
    this.verdicts = new Map([verdict("similar", "S"), verdict("dissimilar", "D"), verdict("unsure", "U")]);
    this.none = button("None of these", "0", () => this.act("choose", "none"), { class: "verdict none" });
    this.several = button("More than one", "M", () => this.act("several"), { class: "several", "aria-pressed": "false" });
    this.some = button("", "Enter", () => this.act("confirm", false), { class: "confirm" });
    this.all = button("", "Shift Enter", () => this.act("confirm", true), { class: "confirm all" });
    this.home = button("To the open question", "Esc", () => this.act("escape"), { class: "confirm" });
    this.undo = button("Undo", "Z", () => this.act("undo"), { class: "quiet undo" });
    this.undoKey = this.undo.querySelector("kbd");
    this.backward = button("Back", "←", () => this.act("back"), { class: "quiet" });
    this.forward = button("Forward", "→", () => this.act("forward"), { class: "quiet" });
    this.answers = make("div", { class: "answers" }, this.backward, this.none,
      ...this.verdicts.values(), this.several, this.some, this.all, this.home, this.undo, this.forward);
    return this.answers;
  }

  _help() {
    this.list = make("dl");
    this.helping = make("div", { class: "help", role: "dialog", "aria-label": "Keys", on: { click: () => this.help(false) } },
      make("div", {}, make("b", {}, "Keys"), this.list));
    reveal(this.helping, false);
    return this.helping;
  }
}
