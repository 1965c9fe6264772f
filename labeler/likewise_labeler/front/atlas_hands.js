// What the hands do on the map: wheel, drag, pinch, keys, hover, click.

const CLICK = 5; // pixels that a click may move

Object.assign(Atlas.prototype, {
  listen() {
    this.fingers = new Map();
    const on = (name, does) => this.canvas.addEventListener(name, does.bind(this));
    this.canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.lift);
    on("pointerleave", this.leave);
    on("keydown", this.key);
    this.root.querySelector(".zooms").onclick = (event) => {
      const { zoom } = event.target.dataset;
      if (zoom === undefined) return;
      if (zoom === "0") this.view.fit();
      else this.view.zoom(Number(zoom));
      this.paint();
    };
    this.root.querySelector(".wait button").onclick = () => {
      this.wait({ state: "working" });
      this.load(true);
    };
  },

  wheel(event) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 30 : 1);
    this.view.zoom(Math.exp(-bounded(pixels, -300, 300) * 0.0022), event.offsetX, event.offsetY);
    this.paint();
  },

  down(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (this.fingers.size === 1) this.pressed = [event.offsetX, event.offsetY];
    else this.pressed = null;
    this.hover(-1);
  },

  move(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.hover(this.hit(event), event);
      return;
    }
    const now = [event.offsetX, event.offsetY];
    const others = [...this.fingers].filter(([id]) => id !== event.pointerId);
    this.fingers.set(event.pointerId, now);
    if (this.pressed && apart(this.pressed, now) > CLICK) this.pressed = null;
    if (this.pressed) return;
    if (others.length) {
      const [[, still]] = others;
      this.view.zoom(apart(still, now) / Math.max(1, apart(still, before)), ...still);
    } else {
      this.view.move(now[0] - before[0], now[1] - before[1]);
    }
    this.canvas.classList.add("dragged");
    this.paint();
  },

  up(event) {
    const row = this.pressed && this.fingers.size === 1 ? this.hit(event) : -1;
    this.lift(event);
    if (row >= 0) this.trigger("opened", row);
  },

  lift(event) {
    this.fingers.delete(event.pointerId);
    this.canvas.classList.remove("dragged");
    this.pressed = null;
  },

  leave() {
    this.hover(-1);
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = Math.min(this.view.width, this.view.height) / 6;
    const deeds = {
      "+": () => this.view.zoom(1.4),
      "=": () => this.view.zoom(1.4),
      "-": () => this.view.zoom(1 / 1.4),
      0: () => this.view.fit(),
      ArrowLeft: () => this.view.move(step, 0),
      ArrowRight: () => this.view.move(-step, 0),
      ArrowUp: () => this.view.move(0, step),
      ArrowDown: () => this.view.move(0, -step),
      Enter: () => this.openMiddle(),
    };
    if (!(event.key in deeds)) return;
    event.preventDefault();
    event.stopPropagation();
    deeds[event.key]();
    this.paint();
  },

  openMiddle() {
    const row = this.points?.nearest(this.view.x, this.view.y, 1) ?? -1;
    if (row >= 0) this.trigger("opened", row);
  },

  // The image under the pointer: a picture if there is one, else the nearest point.
  hit(event) {
    if (!this.points) return -1;
    const [left, top] = [event.offsetX, event.offsetY];
    for (const [row, x, y, size] of this.ink.shown.toReversed()) {
      if (Math.abs(left - x) <= size / 2 && Math.abs(top - y) <= size / 2) return row;
    }
    return this.points.nearest(...this.view.at(left, top), REACH / this.view.scale);
  },

  hover(row, event) {
    this.hovered = row;
    this.canvas.style.cursor = row < 0 ? "" : "pointer";
    if (event) this.pointer = [event.offsetX, event.offsetY];
    if (row >= 0) this.want([row]);
    this.tell();
  },

  // Picture and name of the hovered image, beside the pointer.
  tell() {
    const box = this.root.querySelector(".hover");
    const about = this.abouts.get(this.hovered);
    box.hidden = !about;
    if (!about) return;
    const picture = box.querySelector("img");
    if (picture.getAttribute("src") !== about.tile) picture.src = about.tile;
    picture.classList.toggle("tiny", Boolean(about.tiny));
    box.querySelector("span").textContent = about.name;
    const [left, top] = this.pointer;
    const flipped = [left > this.view.width - 170, top > this.view.height - 190];
    box.style.left = flipped[0] ? "" : `${left + 14}px`;
    box.style.right = flipped[0] ? `${this.view.width - left + 14}px` : "";
    box.style.top = flipped[1] ? "" : `${top + 14}px`;
    box.style.bottom = flipped[1] ? `${this.view.height - top + 14}px` : "";
  },
});

function apart(one, other) {
  return Math.hypot(one[0] - other[0], one[1] - other[1]);
}

const maps = new WeakMap();

export default function (component) {
  const root = component.parentElement.querySelector(".atlas");
  if (!maps.has(root)) maps.set(root, new Atlas(root));
  maps.get(root).update(component);
}
