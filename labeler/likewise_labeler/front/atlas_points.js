// Points in the unit square, found by place; and the window through which they are seen.

const CELLS = 128; // a side

class Points {
  constructor(points, marks) {
    const flat = new Uint16Array(bytes(points).buffer);
    this.marks = bytes(marks);
    this.count = this.marks.length;
    this.x = new Float32Array(this.count);
    this.y = new Float32Array(this.count);
    for (let row = 0; row < this.count; row++) {
      this.x[row] = flat[2 * row] / 65535;
      this.y[row] = flat[2 * row + 1] / 65535;
    }
    this.sortIntoCells();
  }

  sortIntoCells() {
    const cell = (row) => at(this.y[row]) * CELLS + at(this.x[row]);
    this.starts = new Uint32Array(CELLS * CELLS + 1);
    for (let row = 0; row < this.count; row++) this.starts[cell(row) + 1]++;
    for (let each = 0; each < CELLS * CELLS; each++) this.starts[each + 1] += this.starts[each];
    const next = this.starts.slice();
    this.rows = new Uint32Array(this.count);
    for (let row = 0; row < this.count; row++) this.rows[next[cell(row)]++] = row;
    this.found = new Uint32Array(this.count);
  }

  // The rows in a rectangle, as a view on memory that the next call uses again.
  within(left, top, right, bottom) {
    let count = 0;
    for (let line = at(top); line <= at(bottom); line++) {
      const first = this.starts[line * CELLS + at(left)];
      const last = this.starts[line * CELLS + at(right) + 1];
      for (let place = first; place < last; place++) {
        const row = this.rows[place];
        const x = this.x[row];
        const y = this.y[row];
        if (this.marks[row] === 255 || x < left || x > right || y < top || y > bottom) continue;
        this.found[count++] = row;
      }
    }
    return this.found.subarray(0, count);
  }

  nearest(x, y, radius) {
    let best = -1;
    let least = radius * radius;
    for (const row of this.within(x - radius, y - radius, x + radius, y + radius)) {
      const away = (this.x[row] - x) ** 2 + (this.y[row] - y) ** 2;
      if (away <= least) [best, least] = [row, away];
    }
    return best;
  }
}

// Which part of the square is on the screen: the point in the middle, and pixels per unit.
class View {
  constructor() {
    [this.x, this.y, this.scale, this.width, this.height] = [0.5, 0.5, 0, 1, 1];
  }

  get whole() {
    return Math.min(this.width, this.height) * 0.9;
  }

  fit() {
    [this.x, this.y, this.scale] = [0.5, 0.5, this.whole];
  }

  resize(width, height) {
    const relative = this.scale / this.whole;
    [this.width, this.height] = [width, height];
    this.scale = relative > 0 ? relative * this.whole : this.whole;
  }

  left(x) {
    return (x - this.x) * this.scale + this.width / 2;
  }

  top(y) {
    return (y - this.y) * this.scale + this.height / 2;
  }

  at(left, top) {
    const x = this.x + (left - this.width / 2) / this.scale;
    return [x, this.y + (top - this.height / 2) / this.scale];
  }

  move(right, down) {
    this.x = bounded(this.x - right / this.scale, 0, 1);
    this.y = bounded(this.y - down / this.scale, 0, 1);
  }

  zoom(factor, left = this.width / 2, top = this.height / 2) {
    const [x, y] = this.at(left, top);
    this.scale = bounded(this.scale * factor, this.whole * 0.7, this.whole * 1000);
    this.x = bounded(x - (left - this.width / 2) / this.scale, 0, 1);
    this.y = bounded(y - (top - this.height / 2) / this.scale, 0, 1);
  }

  shows(x, y, margin) {
    const [left, top] = [this.left(x), this.top(y)];
    return left > margin && top > margin
      && left < this.width - margin && top < this.height - margin;
  }

  // The visible part of the square with a margin in pixels: left, top, right, bottom.
  part(margin) {
    return [
      ...this.at(-margin, -margin),
      ...this.at(this.width + margin, this.height + margin),
    ];
  }
}

function at(value) {
  return bounded(Math.floor(value * CELLS), 0, CELLS - 1);
}

function bounded(value, least, most) {
  return Math.min(most, Math.max(least, value));
}

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
