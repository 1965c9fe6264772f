// What is drawn: points when far, pictures when near enough.

const PALETTE = [
  "#0d9488", "#e11d48", "#6366f1", "#d97706", "#0ea5e9", "#65a30d",
  "#c026d3", "#a16207", "#f97316", "#4f8a8b", "#f472b6", "#64748b", "#8b98ab",
];
const ANTIALIASED = 5000; // points; more are written as pixels, which is faster
const SMALLEST = 40; // pixels, of a picture
const LARGEST = 96;
const PLAIN = 12; // the mark of images that belong to nothing
const BOLD = 1.3; // by how much the others' points are larger
const CROWD = 5; // points to a picture's place: with more no pictures are shown

class Ink {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.shown = []; // pictures on the screen: row, left, top, size
  }

  resize(width, height) {
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    this.canvas.width = Math.max(1, Math.round(width * this.ratio));
    this.canvas.height = Math.max(1, Math.round(height * this.ratio));
    this.pixels = null;
  }

  // Returns the rows whose pictures are wanted on the screen.
  draw(points, view, state) {
    const rows = points.within(...view.part(LARGEST / 2)).slice();
    this.pen.setTransform(1, 0, 0, 1, 0, 0);
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const room = (view.width * view.height) / Math.max(1, rows.length);
    const radius = bounded(0.16 * Math.sqrt(room), 0.9, 5);
    if (rows.length > ANTIALIASED) this.writePixels(points, view, rows, radius, state);
    this.pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    if (rows.length <= ANTIALIASED) this.drawDiscs(points, view, rows, radius, state);
    this.drawRings(points, view, radius, state, false);
    const wanted = this.drawPictures(points, view, rows, state);
    this.drawRings(points, view, radius, state, true);
    return wanted;
  }

  drawDiscs(points, view, rows, radius, state) {
    const byMark = new Map();
    for (const row of rows) {
      const mark = points.marks[row];
      if (!byMark.has(mark)) byMark.set(mark, []);
      byMark.get(mark).push(row);
    }
    for (const mark of [...byMark.keys()].sort((one, other) => other - one)) {
      this.pen.globalAlpha = faint(mark, state) ? 0.13 : mark === PLAIN ? 0.65 : 0.9;
      this.pen.fillStyle = PALETTE[mark];
      this.pen.beginPath();
      const reach = mark < PLAIN ? radius * BOLD : radius;
      for (const row of byMark.get(mark)) {
        const [left, top] = [view.left(points.x[row]), view.top(points.y[row])];
        this.pen.moveTo(left + reach, top);
        this.pen.arc(left, top, reach, 0, 7);
      }
      this.pen.fill();
    }
    this.pen.globalAlpha = 1;
  }

  writePixels(points, view, rows, radius, state) {
    const { width, height } = this.canvas;
    this.pixels ??= this.pen.createImageData(width, height);
    const words = new Uint32Array(this.pixels.data.buffer);
    words.fill(0);
    const sides = [1, BOLD].map((times) => Math.max(1, Math.round(2 * radius * times * this.ratio)));
    const ink = PALETTE.map((colour, mark) => word(colour, faint(mark, state) ? 34 : 225));
    for (const back of [true, false]) {
      for (const row of rows) {
        const mark = points.marks[row];
        if ((mark === PLAIN || faint(mark, state)) !== back) continue;
        const side = sides[mark === PLAIN ? 0 : 1];
        const left = Math.round(view.left(points.x[row]) * this.ratio - side / 2);
        const top = Math.round(view.top(points.y[row]) * this.ratio - side / 2);
        if (left < 0 || top < 0 || left + side > width || top + side > height) continue;
        for (let line = top * width + left; line < (top + side) * width; line += width) {
          for (let place = line; place < line + side; place++) words[place] = ink[mark];
        }
      }
    }
    this.pen.putImageData(this.pixels, 0, 0);
  }

  drawPictures(points, view, rows, state) {
    this.shown = [];
    const size = bounded((0.9 * view.scale) / Math.sqrt(points.count), SMALLEST, LARGEST);
    if (rows.length * size * size > CROWD * view.width * view.height) return [];
    const wanted = [];
    const taken = new Map(); // places of pictures, by squares of their size
    const first = rows.indexOf(state.chosen) >= 0 ? [state.chosen] : [];
    for (const row of [...first, ...rows.sort()]) {
      if (faint(points.marks[row], state) && row !== state.chosen) continue;
      const [x, y] = [points.x[row] * view.scale, points.y[row] * view.scale];
      if (!claim(taken, x, y, size)) continue;
      wanted.push(row);
      const picture = state.pictures.get(row);
      if (picture?.complete && picture.naturalWidth) {
        const [left, top] = [view.left(points.x[row]), view.top(points.y[row])];
        this.drawPicture(picture, left, top, size - 6, PALETTE[points.marks[row]], state.tiny(row));
        this.shown.push([row, left, top, size - 6]);
      }
    }
    return wanted;
  }

  drawPicture(picture, left, top, size, colour, tiny) {
    const scale = size / Math.max(picture.naturalWidth, picture.naturalHeight);
    const [width, height] = [picture.naturalWidth * scale, picture.naturalHeight * scale];
    this.pen.imageSmoothingEnabled = !tiny;
    this.pen.fillStyle = colour;
    this.pen.beginPath();
    this.pen.roundRect(left - width / 2 - 2, top - height / 2 - 2, width + 4, height + 4, 3);
    this.pen.fill();
    this.pen.drawImage(picture, left - width / 2, top - height / 2, width, height);
  }

  // Around the images that were found, and the chosen one: points, then pictures on top of them.
  drawRings(points, view, radius, state, onPictures) {
    const held = new Map(onPictures ? this.shown.map((each) => [each[0], each[3]]) : []);
    this.pen.strokeStyle = state.text;
    for (const row of [...state.near, state.chosen]) {
      if (row < 0 || row >= points.count || points.marks[row] === 255) continue;
      if (onPictures && !held.has(row) && row !== state.chosen) continue;
      const [left, top] = [view.left(points.x[row]), view.top(points.y[row])];
      this.pen.lineWidth = row === state.chosen ? 3 : 1.25;
      this.pen.beginPath();
      if (held.has(row)) {
        const reach = held.get(row) / 2 + 3;
        this.pen.roundRect(left - reach, top - reach, 2 * reach, 2 * reach, 5);
      } else {
        this.pen.arc(left, top, radius + (row === state.chosen ? 5 : 2), 0, 7);
      }
      this.pen.stroke();
    }
  }
}

// Whether a picture fits in without covering another one; takes the place if so.
function claim(taken, x, y, size) {
  const [column, line] = [Math.floor(x / size), Math.floor(y / size)];
  for (let across = column - 1; across <= column + 1; across++) {
    for (let down = line - 1; down <= line + 1; down++) {
      for (const [otherX, otherY] of taken.get(`${across} ${down}`) ?? []) {
        if (Math.abs(otherX - x) < size && Math.abs(otherY - y) < size) return false;
      }
    }
  }
  const key = `${column} ${line}`;
  taken.set(key, [...(taken.get(key) ?? []), [x, y]]);
  return true;
}

function faint(mark, state) {
  return state.only !== null && state.only !== mark;
}

function word(colour, alpha) {
  const part = (start) => parseInt(colour.slice(start, start + 2), 16);
  return ((alpha << 24) | (part(5) << 16) | (part(3) << 8) | part(1)) >>> 0;
}
