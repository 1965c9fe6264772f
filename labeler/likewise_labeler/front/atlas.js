// The map of all images: zoom, pan, look, click.

const REACH = 12; // pixels around a point in which it can be hit
const BATCH = 200; // pictures asked for at once
const KEPT = 3000; // pictures kept in memory
const COLOURINGS = [["groups", "Groups"], ["folders", "Folders"], ["none", "Plain"]];
const WAITING = "Drawing the map of all images. This is done once for each model.";

class Atlas {
  constructor(root) {
    this.root = root;
    root.innerHTML = `
      <div class="sheet">
        <canvas tabindex="0" role="img"></canvas>
        <div class="colours" role="group" aria-label="Colour by"></div>
        <div class="zooms">
          <button type="button" data-zoom="2" title="Nearer (+)" aria-label="Nearer">+</button>
          <button type="button" data-zoom="0.5" title="Farther (−)" aria-label="Farther">−</button>
          <button type="button" data-zoom="0" title="All (0)" aria-label="All">⤢</button>
        </div>
        <div class="hover" hidden><img alt=""><span></span></div>
      </div>
      <div class="legend" role="group" aria-label="Show only"></div>
      <div class="wait"><p></p><progress max="1" value="0"></progress>
        <button type="button" hidden>Try again</button></div>`;
    this.canvas = root.querySelector("canvas");
    this.view = new View();
    this.ink = new Ink(this.canvas);
    this.colour = recalled("likewise-atlas-colour", "groups");
    this.forget();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  forget() {
    this.points = null;
    this.abouts = new Map();
    this.state = {
      chosen: -1, near: [], only: null, pictures: new Map(), text: "#000",
      tiny: (row) => Boolean(this.abouts.get(row)?.tiny),
    };
    this.asked = new Set();
    this.hovered = -1;
  }

  update({ data, setTriggerValue }) {
    const before = this.data;
    [this.data, this.trigger] = [data, setTriggerValue];
    if (before?.fingerprint !== data.fingerprint) {
      this.forget();
      this.load();
    }
    const moved = this.state.chosen !== data.chosen;
    Object.assign(this.state, { chosen: data.chosen, near: data.near });
    if (moved) this.bringIntoView();
    this.paint();
  }

  async ask(message) {
    const answer = await fetch("/likewise/atlas", {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${this.data.pass}` },
      body: JSON.stringify({ fingerprint: this.data.fingerprint, ...message }),
    });
    const told = await answer.json();
    if (answer.status === 401) return { state: "failed", text: "Load the page again to sign in." };
    if (!answer.ok) return { state: "failed", text: told.text ?? "The app is in trouble." };
    if (told.state === "changed") this.trigger("changed", true);
    return told;
  }

  async load(again = false) {
    clearTimeout(this.waiting);
    const wanted = [this.data.fingerprint, this.colour].join();
    const current = () => wanted === [this.data.fingerprint, this.colour].join();
    let told;
    try {
      told = await this.ask({ op: "points", colour: this.colour, again });
    } catch {
      told = { state: "working", text: "The app does not answer. Trying again …" };
    }
    if (!current() || !this.root.isConnected) return;
    if (told.state === "ready") this.show(told);
    else this.wait(told);
    if (told.state === "working") this.waiting = setTimeout(() => this.load(), 700);
  }

  wait(told) {
    const box = this.root.querySelector(".wait");
    const failed = told.state === "failed";
    box.hidden = false;
    box.querySelector("p").textContent =
      failed ? `The map could not be drawn: ${told.text}` : told.text ?? WAITING;
    box.querySelector("progress").hidden = failed;
    box.querySelector("progress").value = told.share ?? 0;
    box.querySelector("button").hidden = !failed;
  }

  show(told) {
    this.root.querySelector(".wait").hidden = true;
    this.points = new Points(told.points, told.marks);
    this.state.only = null;
    this.canvas.ariaLabel = `Map of ${this.points.count.toLocaleString("en")} images. Plus and `
      + "minus zoom, arrows move, 0 shows all, Enter opens the image in the middle.";
    this.drawColours();
    this.drawLegend(told.legend);
    const kept = recalled(`likewise-atlas-${this.data.fingerprint}`, null, "sessionStorage");
    this.resize();
    if (!kept || !this.view.whole) this.view.fit();
    else Object.assign(this.view, { x: kept.x, y: kept.y, scale: kept.zoom * this.view.whole });
    this.bringIntoView();
    this.paint();
  }

  drawColours() {
    const buttons = COLOURINGS.map(([colour, text]) => {
      const button = element("button", "", text);
      button.type = "button";
      button.ariaPressed = String(colour === this.colour);
      button.onclick = () => {
        this.colour = colour;
        remember("likewise-atlas-colour", colour);
        this.drawColours();
        this.load();
      };
      return button;
    });
    this.root.querySelector(".colours").replaceChildren(...buttons);
  }

  drawLegend(entries) {
    const none = { groups: "in no group yet", folders: "elsewhere", none: "images" }[this.colour];
    const lines = entries.map(({ mark, label, count }) => {
      const button = element("button", "");
      button.type = "button";
      button.title = "Show only these";
      const dot = element("i", "");
      dot.style.background = PALETTE[mark];
      button.append(dot, element("span", "name", label || none),
        element("span", "count", count.toLocaleString("en")));
      button.onclick = () => {
        this.state.only = this.state.only === mark ? null : mark;
        for (const each of lines) each.ariaPressed = "false";
        button.ariaPressed = String(this.state.only === mark);
        this.paint();
      };
      return button;
    });
    this.root.querySelector(".legend").replaceChildren(...lines);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.view.resize(width, height);
    this.ink.resize(width, height);
    this.draw();
  }

  bringIntoView() {
    const { chosen } = this.state;
    if (!this.points || chosen < 0 || this.points.marks[chosen] === 255) return;
    const [x, y] = [this.points.x[chosen], this.points.y[chosen]];
    if (!this.view.shows(x, y, 40)) Object.assign(this.view, { x, y });
  }

  paint() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    if (!this.points) return;
    this.state.text = getComputedStyle(this.root).color;
    const wanted = this.ink.draw(this.points, this.view, this.state);
    this.root.dataset.pictures = String(this.ink.shown.length);
    this.want(wanted);
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => this.keep(), 300);
  }

  keep() {
    const { x, y, scale, whole } = this.view;
    const key = `likewise-atlas-${this.data.fingerprint}`;
    remember(key, { x, y, zoom: scale / whole }, "sessionStorage");
  }

  want(rows) {
    this.wanted = rows.filter((row) => !this.asked.has(row)).slice(0, BATCH);
    if (!this.wanted.length || this.fetching) return;
    this.fetching = setTimeout(() => this.fetchPictures(), 60);
  }

  async fetchPictures() {
    const rows = this.wanted;
    for (const row of rows) this.asked.add(row);
    try {
      const told = await this.ask({ op: "images", rows });
      (told.images ?? []).forEach((about, place) => this.receive(rows[place], about));
    } catch {
      for (const row of rows) this.asked.delete(row);
      await new Promise((done) => setTimeout(done, 2000));
    }
    this.fetching = 0;
    this.paint();
    this.tell();
  }

  receive(row, about) {
    const picture = new Image();
    picture.onload = () => this.paint();
    picture.src = about.thumb;
    this.abouts.set(row, about);
    this.state.pictures.set(row, picture);
    if (this.state.pictures.size > KEPT) {
      const [oldest] = this.state.pictures.keys();
      for (const each of [this.state.pictures, this.abouts, this.asked]) each.delete(oldest);
    }
  }
}

function element(kind, name, text = "") {
  return Object.assign(document.createElement(kind), { className: name, textContent: text });
}

function recalled(key, otherwise, place = "localStorage") {
  try {
    return JSON.parse(window[place].getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function remember(key, value, place = "localStorage") {
  try {
    window[place].setItem(key, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing shows the map as well.
  }
}
