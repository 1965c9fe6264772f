// Making elements. Text is always set as text, never as HTML: file names are anybody's.

/** An element: `make("button", {class: "x", on: {click: f}, "aria-label": "y"}, child, "text")`. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listen] of Object.entries(value)) element.addEventListener(event, listen);
    } else if (value !== undefined && value !== null && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children);
  return element;
}

/**
 * A button with its key on it. A mouse click never moves the focus there (Enter would press it
 * again), and the second click of a double click counts for nothing.
 */
function button(name, key, press, attributes = {}) {
  const label = make("span", { class: "name" }, name);
  const element = make("button", {
    type: "button",
    "aria-keyshortcuts": key || undefined,
    ...attributes,
    on: {
      mousedown: (event) => event.preventDefault(),
      click: (event) => event.detail < 2 && press(event),
    },
  }, label, ...(key ? [make("kbd", { "aria-hidden": "true" }, key)] : []));
  element.rename = (text) => { if (label.textContent !== text) label.textContent = text; };
  return element;
}

/** Show or hide. */
function reveal(element, visible) {
  element.hidden = !visible;
}

/** "1 answer", "3 answers". */
function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
