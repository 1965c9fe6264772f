// What a key means. One meaning a key press: a held key counts once.

const VERDICT_KEYS = { s: "similar", d: "dissimilar", u: "unsure" };
const MODE_KEYS = { 1: "pair", 2: "grid", 3: "group", 4: "strip" };

/** The letter on the key, whatever alphabet the keyboard writes; else the key's name. */
function keyOf(event) {
  if (/^[a-z]$/i.test(event.key)) return event.key.toLowerCase();
  if (!/^[\x20-\x7e]$/.test(event.key) && event.key.length === 1) {
    return /^Key[A-Z]$/.test(event.code) ? event.code.slice(3).toLowerCase() : event.key;
  }
  return event.key;
}

/** The digit on the key, whatever the keyboard writes, shifted or not; else null. */
function digitOf(event) {
  const found = /^[0-9]$/.exec(event.key) ?? /(?<=^Digit)[0-9]$/.exec(event.code ?? "");
  return found ? Number(found[0]) : null;
}

/** Whether somebody is writing. */
function isTyping(event) {
  const [target] = event.composedPath();
  return Boolean(target?.closest?.("input, textarea, select, [contenteditable]:not([contenteditable=false])"));
}

/**
 * [action, argument] of a key press, or null for keys that are none of ours.
 * kind: of the screen on display; looking: at an earlier answer; mode: the way to ask, which may be
 * another one, as pairs come between screens of every kind.
 */
function actionOf(event, kind, looking, mode = kind) {
  const key = keyOf(event);
  if ((event.ctrlKey || event.metaKey) && key === "z" && !event.shiftKey && !event.altKey) return ["undo"];
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  if (key === "?") return ["help"];
  if (kind !== "strip" && mode !== "strip" && key in MODE_KEYS && !event.shiftKey) return ["mode", MODE_KEYS[key]];
  const plain = { ArrowLeft: "back", ArrowRight: "forward", Escape: "escape", Backspace: "undo" };
  if (key in plain) return [plain[key]];
  if (kind === "pair") return (mode === "strip" && shiftedMode(event, key)) || pairAction(key);
  if (kind === "strip") return stripAction(event, key, looking);
  if (key === "Enter") return looking ? ["escape"] : ["confirm", event.shiftKey];
  const at = LETTERS.indexOf(key.toUpperCase());
  if (key.length === 1 && at >= 0) return [event.shiftKey ? "look" : "letter", at];
  return null;
}

function pairAction(key) {
  if (key in VERDICT_KEYS) return ["verdict", VERDICT_KEYS[key]];
  const others = {
    z: ["undo"], f: ["flicker"], x: ["difference"],
    "+": ["zoom", 1.5], "=": ["zoom", 1.5], "-": ["zoom", 1 / 1.5], 0: ["zoom", 0],
  };
  return others[key] ?? null;
}

/** The way to ask of a shifted digit, in a mode where digits are groups; else null. */
function shiftedMode(event, key) {
  const digit = digitOf(event);
  return event.shiftKey && digit in MODE_KEYS && key !== String(digit) ? ["mode", MODE_KEYS[digit]] : null;
}

/** Digits are groups; shifted, the ways to ask. Where digits are written with Shift they are groups. */
function stripAction(event, key, looking) {
  const digit = digitOf(event);
  if (digit !== null && event.shiftKey && key !== String(digit)) return shiftedMode(event, key);
  if (digit !== null) return ["choose", digit ? digit - 1 : "none"];
  if (key === "Enter") return looking ? ["escape"] : ["confirm", false];
  const letters = { n: ["choose", "none"], u: ["choose", "unsure"], m: ["several"], z: ["undo"] };
  return letters[key] ?? null;
}

/** The keys, for people: [keys, what they do]. */
function keysOf(kind) {
  const all = [[kind === "strip" ? "Shift 1 2 3 4" : "1 2 3 4", "pair, grid, group, strip"],
    ["← →", "back and forward through your answers"],
    ["Esc", "to the open question"], ["?", "show or hide this list"]];
  if (kind === "strip") {
    return [["1 to 9", "the group it belongs to; it differs from the others shown"],
      ["0, N", "none of them: it differs from all"], ["U", "unsure about all"],
      ["M", "more than one: then their numbers, then Enter"], ["Z, Backspace", "undo"], ...all];
  }
  if (kind === "pair") {
    return [["S", "similar"], ["D", "dissimilar"], ["U", "unsure"], ["Z", "undo"],
      ["F", "hold: flicker, one over the other"], ["X", "difference"],
      ["+ − 0", "zoom in, out, whole; also wheel, drag, two fingers"], ...all];
  }
  const own = kind === "grid"
    ? [["A to Z", "mark an image that matches"], ["Enter", "store the marked ones as similar"],
      ["Shift Enter", "also store all others as dissimilar"]]
    : [["A to Z", "mark an image that does not belong"],
      ["Enter", "the rest is the same as the anchor, the marked ones are different"],
      ["Shift Enter", "likewise, and the marked ones are a group of their own"]];
  return [...own, ["Shift A to Z", "see an image large"], ["Backspace, Ctrl Z", "undo"], ...all];
}
