// Grid and group: an anchor, up to 24 candidates with letters, one of them large beside it.

const KNOWN = 6; // images of the group that are shown
const LOOK_AFTER = 350; // ms of pointing at a tile

class TilesScene {
  /** toggle(id): a tile was clicked. labels: a key for each candidate. */
  constructor(toggle, labels = LETTERS) {
    this.toggle = toggle;
    this.labels = labels;
    this.aspect = 1; // of a tile, width by height
    this.anchor = figure("anchor");
    this.beside = figure("beside");
    this.hint = make("p", { class: "hint" });
    this.context = make("div", { class: "context" });
    this.tiles = make("div", { class: "tiles", role: "group", "aria-label": "Candidates" });
    this.root = make("div", { class: "grid" },
      make("div", { class: "aside" }, this.anchor.root, this.context, this.beside.root), this.tiles);
    new ResizeObserver(() => this._fit()).observe(this.tiles);
  }

  show(screen, pictures, past) {
    this.screen = screen;
    this.pictures = pictures;
    this.root.classList.toggle("group", screen.kind === "group");
    this.anchor.fill(screen.anchor, pictures.image(screen.anchor.full));
    const known = (screen.context ?? []).filter((each) => pictures.image(each.tile));
    const few = known.slice(0, KNOWN).map((each) => picture(each, pictures.image(each.tile)));
    this.context.replaceChildren(make("span", {}, "Known to belong"), ...few);
    reveal(this.context, known.length > 0);
    this.lookAt(null);
    this.buttons = new Map(screen.candidates.map((each, at) => [each.id, this._tile(each, this.labels[at])]));
    this.tiles.replaceChildren(...this.buttons.values());
    this._fit();
    if (past) this._said(past);
  }

  /** Show which are marked. */
  mark(marked) {
    for (const [id, tile] of this.buttons) {
      tile.setAttribute("aria-pressed", String(marked.has(id)));
      tile.classList.toggle("marked", marked.has(id));
    }
  }

  /** Show a candidate large beside the anchor; null: none. */
  lookAt(id) {
    clearTimeout(this.pointing);
    const about = this.screen.candidates.find((each) => each.id === id);
    this.beside.root.classList.toggle("empty", !about);
    if (!about) {
      this.beside.frame.replaceChildren(this.hint);
      this.hint.textContent = matchMedia("(hover: none)").matches ? "Hold an image to see it large here"
        : "Point at an image, or press Shift and its letter, to see it large here";
      this.beside.root.querySelector("figcaption").textContent = "\u00a0";
      return;
    }
    const ready = this.pictures.image(about.full);
    const shown = ready ?? this.pictures.image(about.tile)?.cloneNode();
    this.beside.fill(about, shown ?? null, `  ${this.labels[this.screen.candidates.indexOf(about)]}`);
    if (shown && shown !== ready && !about.tiny) shown.src = about.full;
  }

  leave() {
    clearTimeout(this.pointing);
  }

  _tile(about, letter) {
    const shown = picture(about, this.pictures.image(about.tile));
    const name = `${letter}: ${about.name}`;
    const tile = button("", "", () => !this.held && this.toggle(about.id), {
      class: "tile", "aria-label": name, "aria-pressed": "false", title: about.name, "data-image": about.id,
    });
    tile.append(shown, make("kbd", { "aria-hidden": "true" }, letter), make("i", { "aria-hidden": "true" }));
    tile.addEventListener("pointerenter", () => this._point(about.id));
    tile.addEventListener("pointerleave", () => clearTimeout(this.pointing));
    tile.addEventListener("pointerdown", (event) => {
      this.held = false;
      if (event.pointerType === "touch") this._point(about.id, () => { this.held = true; });
    });
    tile.addEventListener("pointerup", () => clearTimeout(this.pointing));
    tile.addEventListener("contextmenu", (event) => event.preventDefault());
    return tile;
  }

  _point(id, then = () => {}) {
    clearTimeout(this.pointing);
    this.pointing = setTimeout(() => { this.lookAt(id); then(); }, LOOK_AFTER);
  }

  /** Verdicts given before: a word on each tile. */
  _said(past) {
    for (const { candidate, verdict } of past.answers) {
      const tile = this.buttons.get(candidate.id);
      if (tile && !tile.dataset.said) tile.dataset.said = verdict;
    }
  }

  _fit() {
    if (!this.screen || !this.tiles.clientWidth) return;
    const { clientWidth, clientHeight } = this.tiles;
    const columns = columnsFor(this.screen.candidates.length, clientWidth / this.aspect, clientHeight);
    this.tiles.style.setProperty("--columns", String(columns));
    this.tiles.style.setProperty("--rows", String(Math.ceil(this.screen.candidates.length / columns)));
  }
}
