// Answers as rows of pictures, verdicts and buttons. Python says what is in them; a click reports
// what the button does.

const DOUBLE_CLICK = 400; // ms: rows may have moved under the second click

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".board");
  const before = new Map([...root.children].map((child) => [child.drawnFrom, child]));
  root.replaceChildren(
    ...data.items.map((item) => {
      const from = JSON.stringify(item);
      const element = before.get(from) ?? draw(item);
      element.drawnFrom = from;
      return element;
    }),
  );
  for (const button of root.querySelectorAll("button")) button.disabled = false;
  root.onclick = (event) => {
    const button = event.target.closest("button");
    if (!button || performance.now() - (root.clicked ?? -Infinity) < DOUBLE_CLICK) return;
    root.clicked = performance.now();
    for (const each of button.closest("article").querySelectorAll("button")) each.disabled = true;
    setTriggerValue("act", button.deed);
  };
}

function draw(item) {
  const article = element("article", item.faded ? "faded" : "");
  for (const row of item.rows) {
    const line = element("div", row.label ? "row labelled" : "row");
    if (row.label) line.append(element("div", "label", row.label));
    const parts = element("div", "parts");
    parts.append(...row.parts.map(part));
    line.append(parts);
    article.append(line);
  }
  return article;
}

function part(each) {
  if (each.image) return figure(each.image, each.large);
  if (each.step) return step(each.step);
  if (each.lines) return lines(each.lines);
  const box = element("div", "buttons");
  box.append(...each.buttons.map(button));
  return box;
}

function figure(about, large) {
  const box = element("figure", large ? "large" : "");
  box.title = about.name;
  const address = large ? about.tile : about.thumb;
  if (address) {
    const image = element("img", about.tiny ? "tiny" : "");
    image.src = address;
    image.alt = about.name;
    image.loading = "lazy";
    box.append(image);
  } else {
    box.append(element("div", "lost", "image gone"));
  }
  if (large) box.append(element("figcaption", "", about.name));
  return box;
}

function step({ verdict, people, button: given }) {
  const box = element("div", "step");
  box.append(badge(verdict));
  if (people) box.append(element("div", "people", people));
  if (given) box.append(button(given));
  return box;
}

function lines(given) {
  const box = element("div", "lines");
  for (const { text, verdict, note } of given) {
    const line = element("div", note ? "note" : "");
    if (verdict) line.append(badge(verdict));
    line.append(document.createTextNode(text ?? ""));
    box.append(line);
  }
  return box;
}

function badge(verdict) {
  const sign = { similar: "=", dissimilar: "≠", unsure: "?" }[verdict];
  return element("span", `badge ${verdict}`, `${sign} ${verdict}`);
}

function button({ label, help, deed, kind }) {
  const made = element("button", kind ?? "", label);
  made.type = "button";
  made.title = help ?? "";
  made.deed = deed;
  return made;
}

function element(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
}
