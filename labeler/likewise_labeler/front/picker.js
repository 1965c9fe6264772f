// A sheet of images. The marks live here while the sheet is shown; the server is told of each.

const sheets = new WeakMap(); // element: whose marks they are, and which

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector(".sheet");
  const kept = sheets.get(root);
  const marks = kept?.sheet === data.sheet ? kept.marks : new Set(data.selected);
  sheets.set(root, { sheet: data.sheet, marks });
  const shown = new Set(data.cards.map((card) => card.id));
  for (const id of marks) if (!shown.has(id)) marks.delete(id);
  root.onclick = (event) => {
    const card = event.target.closest("button");
    if (!card) return;
    const id = card.dataset.id;
    if (!data.many) {
      setTriggerValue("opened", id);
      return;
    }
    if (!marks.delete(id)) marks.add(id);
    card.setAttribute("aria-pressed", String(marks.has(id)));
    setStateValue("chosen", [...marks]);
  };
  const drawn = JSON.stringify([data.sheet, data.cards, data.many]);
  if (root.drawn === drawn) return;
  root.drawn = drawn;
  root.replaceChildren(...data.cards.map((card) => button(card, data.many, marks)));
}

function button(card, many, marks) {
  const element = document.createElement("button");
  element.type = "button";
  element.dataset.id = card.id;
  element.title = card.caption ? `${card.name}\n${card.caption}` : card.name;
  if (many) element.setAttribute("aria-pressed", String(marks.has(card.id)));
  element.append(card.mosaic ? mosaic(card) : picture(card.tile, card), line("name", card.name));
  if (card.caption) element.append(line("caption", card.caption));
  return element;
}

function mosaic(card) {
  const element = document.createElement("span");
  element.className = "mosaic";
  element.append(...card.mosaic.map((address) => picture(address, card)));
  return element;
}

function picture(address, card) {
  const image = document.createElement("img");
  image.src = address;
  image.alt = card.name;
  image.loading = "lazy";
  image.draggable = false;
  image.classList.toggle("tiny", Boolean(card.tiny));
  return image;
}

function line(kind, text) {
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = text;
  return element;
}
