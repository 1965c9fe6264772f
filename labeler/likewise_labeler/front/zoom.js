// Zooming and moving all pictures of a stage in step: wheel, two fingers, drag, keys.

const CLOSEST = 16;

class Zoom {
  /** stage: the element that is touched. */
  constructor(stage) {
    this.stage = stage;
    this.pointers = new Map();
    stage.addEventListener("wheel", (event) => this._wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this._down(event));
    stage.addEventListener("pointermove", (event) => this._move(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      stage.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    this.reset();
  }

  reset() {
    this._set(1, 0, 0);
  }

  /** Zoom about the middle of each picture. */
  by(factor) {
    this._about(factor, 0, 0);
  }

  /** About a point, in parts of the frame's size from its middle: it stays where it is. */
  _about(factor, x, y) {
    const scale = Math.min(CLOSEST, Math.max(1, this.scale * factor));
    const ratio = scale / this.scale;
    this._set(scale, x - (x - this.x) * ratio, y - (y - this.y) * ratio);
  }

  _set(scale, x, y) {
    const far = (scale - 1) / 2; // the picture's edge never leaves the frame's
    this.scale = scale;
    this.x = Math.max(-far, Math.min(far, x));
    this.y = Math.max(-far, Math.min(far, y));
    const style = this.stage.style;
    style.setProperty("--zoom", String(scale));
    style.setProperty("--x", `${100 * this.x}%`);
    style.setProperty("--y", `${100 * this.y}%`);
    this.stage.classList.toggle("zoomed", scale > 1);
  }

  _wheel(event) {
    const frame = event.target.closest(".frame");
    if (!frame) return;
    event.preventDefault();
    this._about(Math.exp(-event.deltaY / 400), ...within(frame, event));
  }

  _down(event) {
    const frame = event.target.closest(".frame");
    if (!frame || event.button !== 0) return;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.frame = frame;
    if (this.scale > 1 || this.pointers.size > 1) this.stage.setPointerCapture(event.pointerId);
  }

  _move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const box = this.frame.getBoundingClientRect();
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (other) {
      const middle = { clientX: (now.x + other.x) / 2, clientY: (now.y + other.y) / 2 };
      this._about(distance(now, other) / Math.max(1, distance(before, other)), ...within(this.frame, middle));
    } else {
      this._set(this.scale, this.x + (now.x - before.x) / box.width, this.y + (now.y - before.y) / box.height);
    }
  }
}

function within(frame, event) {
  const box = frame.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width - 0.5, (event.clientY - box.top) / box.height - 0.5];
}

function distance(one, other) {
  return Math.hypot(one.x - other.x, one.y - other.y);
}
