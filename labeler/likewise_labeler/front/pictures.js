// Pictures of the next screens: loaded and decoded before they are needed, forgotten after.

const TRIES = 4;

/** Addresses of the pictures without which a screen cannot be shown. */
function addresses(screen) {
  if (screen.kind === "pair") return [screen.anchor.full, ...screen.candidates.map((each) => each.full)];
  const first = screen.kind === "strip" ? [screen.candidates[0].full] : []; // shown large at once
  return [screen.anchor.full, ...screen.candidates.map((each) => each.tile), ...first,
    ...screen.candidates.flatMap((each) => each.further ?? []).map((each) => each.thumb),
    ...(screen.context ?? []).map((each) => each.tile)];
}

class Preloaded {
  /** changed(): a picture came or failed for good. */
  constructor(changed) {
    this.changed = changed;
    this.kept = new Map();
  }

  /** Keep the pictures of these screens, first first, and no others. */
  keep(screens) {
    const wanted = new Set(screens.flatMap(addresses));
    for (const address of this.kept.keys()) if (!wanted.has(address)) this.kept.delete(address);
    for (const address of wanted) {
      if (!this.kept.has(address)) this._load(address, { state: "loading", image: null, tries: 0 });
    }
  }

  /** Whether a screen can be shown: each picture is decoded, or will not come. */
  isReady(screen) {
    return addresses(screen).every((each) => (this.kept.get(each)?.state ?? "loading") !== "loading");
  }

  /** The decoded ``<img>``, or null where it will not come. */
  image(address) {
    return this.kept.get(address)?.image ?? null;
  }

  /** Images of a screen that cannot be seen. */
  broken(screen) {
    const at = screen.kind === "pair" ? "full" : "tile";
    return new Set(screen.candidates.filter((each) => !this.image(each[at])).map((each) => each.id));
  }

  /** Try those that failed again. */
  retry() {
    for (const [address, entry] of this.kept) {
      if (entry.state === "failed") this._load(address, { ...entry, state: "loading", tries: 0 });
    }
  }

  async _load(address, entry) {
    this.kept.set(address, entry);
    const image = new Image();
    image.decoding = "sync"; // it is decoded: paint it with the frame that it belongs to
    image.draggable = false;
    image.src = address;
    try {
      await image.decode();
      Object.assign(entry, { state: "ready", image });
    } catch {
      entry.tries += 1;
      if (entry.tries < TRIES) {
        setTimeout(() => this.kept.get(address) === entry && this._load(address, entry), 300 * 2 ** entry.tries);
        return;
      }
      entry.state = "failed";
    }
    if (this.kept.get(address) === entry) this.changed();
  }
}
