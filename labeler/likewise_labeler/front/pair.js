// Two images: side by side, one over the other (flicker), or their difference.

const BLINK = 400; // ms; slower than three flashes a second

class PairScene {
  constructor() {
    this.left = figure("left");
    this.right = figure("right");
    this.root = make("div", { class: "pair" }, this.left.root, this.right.root);
    this.zoom = new Zoom(this.root);
    this.ways = new Set();
  }

  show(screen, pictures, past) {
    this.left.fill(screen.anchor, pictures.image(screen.anchor.full));
    this.right.fill(screen.candidates[0], pictures.image(screen.candidates[0].full));
    this.root.dataset.said = past ? past.answers[0].verdict : "";
    this.zoom.reset();
    this.over("flicker", false);
    this.over("difference", false);
  }

  /** Show one picture over the other: blinking ("flicker") or subtracted ("difference"). */
  over(way, on) {
    if (on) this.ways.add(way);
    else this.ways.delete(way);
    this.root.classList.toggle("over", this.ways.size > 0);
    this.root.classList.toggle("difference", this.ways.has("difference") && !this.ways.has("flicker"));
    clearInterval(this.blinking);
    this.root.classList.remove("first");
    if (this.ways.has("flicker") && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.blinking = setInterval(() => this.root.classList.toggle("first"), BLINK);
    }
  }

  toggle(way) {
    this.over(way, !this.ways.has(way));
    return this.ways.has(way);
  }

  leave() {
    clearInterval(this.blinking);
  }
}

/** A frame with an image and its name below. */
function figure(place) {
  const frame = make("div", { class: "frame" });
  const caption = make("figcaption");
  const root = make("figure", { class: place }, frame, caption);
  const fill = (about, image, tail = "") => {
    frame.replaceChildren(picture(about, image));
    caption.textContent = (about.gone ? `${about.name} (file gone; stored copy)` : about.name) + tail;
    caption.title = about.name;
  };
  return { root, frame, fill };
}

/** The decoded image, or words where it will not come. */
function picture(about, image) {
  if (!image) return make("p", { class: "broken" }, "This picture cannot be shown");
  image.alt = about.name;
  image.className = about.tiny ? "tiny" : "";
  return image;
}
