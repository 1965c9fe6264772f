// What is told beside the pictures: the question, what happened, what is saved, how far it is.

const PATIENCE = 1500; // ms that an operation may wait before the screen says so
const QUESTIONS = {
  pair: "Are these two the same to you?",
  grid: "Which are the same as the anchor?",
  group: "Which do not belong with the anchor?",
  strip: "Which of these groups, or none?",
};
const HOW = {
  grid: "Mark them; the others stay open unless you say that they differ",
  group: "Mark them; the rest is stored as the same",
  strip: "Choose one, or none",
};
const SHAPES = { similar: "●", dissimilar: "▲", unsure: "■" };

/** The line under the question: {text, tone, reload}. */
function message({ outbox, notice, item, base, at, several }) {
  const { trouble, refused, age } = outbox;
  const waiting = answersIn(outbox);
  const kept = `${counted(waiting, "answer")} ${waiting === 1 ? "waits" : "wait"}`;
  if (refused) {
    const text = waiting ? `You are signed out. ${kept} in this browser.` : "You are signed out.";
    return { text, tone: "alarm", reload: true };
  }
  if (outbox.full) {
    const there = waiting ? ` ${kept} in this browser.` : "";
    return { text: `The disk is full: no answer is taken until there is space.${there}`, tone: "alarm" };
  }
  if (waiting && (age > PATIENCE || outbox.failures > 1)) {
    return { text: `Not saved yet: ${kept} for the connection. ${trouble}`, tone: "alarm" };
  }
  if (!waiting && outbox.failures > 1) {
    return { text: `No connection. ${trouble}`, tone: "alarm" };
  }
  if (notice) return { text: notice, tone: "notice" };
  if (at >= 0) return { text: lookingText(item.past, at), tone: "" };
  if (several) return { text: "Choose every group that it belongs to, then press Enter.", tone: "notice" };
  if (item?.screen && base.state === "ready") return { text: reasonText(item.screen), tone: "" };
  return { text: "\u00a0", tone: "" };
}

function reasonText(screen) {
  const reason = screen.reason.replace(/\.$/, "");
  if (screen.kind === "strip" && screen.candidates.length === 1) return `Choose it, or not. ${reason}.`;
  return HOW[screen.kind] ? `${HOW[screen.kind]}. ${reason}.` : `Why this pair: ${reason[0].toLowerCase()}${reason.slice(1)}.`;
}

function lookingText(past, at) {
  const before = at === 0 ? "Your last answer" : `${at + 1} answers back`;
  const another = past.kind === "pair" || past.kind === "strip";
  const change = another ? "another key changes it" : "choose an image to change its answer";
  return `${before}: ${change}, Esc returns to the open question.`;
}

/** The heading: what is asked, or what was said. */
function heading({ item, kind, at }) {
  if (at < 0) return item?.screen?.kind === "strip" && item.screen.candidates.length === 1
    ? "The same as this one, or not?" : QUESTIONS[item?.screen?.kind ?? kind];
  if (item.past.kind === "strip") return `You said ${choiceText(item.past)}`;
  if (item.past.kind !== "pair") return "You answered these";
  const { verdict } = item.past.answers[0];
  return `You said ${SHAPES[verdict]} ${verdict}`;
}

/** What was said of a strip, with its sign. */
function choiceText(past) {
  const { verdict, text } = choiceOf(past);
  return `${SHAPES[verdict]} ${text}`;
}

/** What a way to ask is worth, for its button: how many answers, and how long this person takes. */
function wayText(kind, way) {
  if (!way) return "";
  const most = kind === "pair" ? "1 answer" : `Up to ${counted(way.most, "answer")}`;
  const seconds = (value) => `${value.toFixed(value < 10 ? 1 : 0)} s`;
  if (!way.per_screen) return `${most} a screen`;
  const each = kind === "pair" ? "" : `, ${seconds(way.per_answer)} an answer`;
  return `${most} a screen; you take ${seconds(way.per_screen)}${each}`;
}

/** Answers that are not saved yet; to take some back or to change one counts as one. */
function answersIn({ entries }) {
  return entries.reduce((sum, { op, past }) => sum + (op.op === "answer" ? Math.max(1, past.answers.length) : 1), 0);
}

/** "All saved", or how many are on their way. */
function saved(outbox) {
  return outbox.waiting ? `Saving ${answersIn(outbox)}` : "All saved";
}

/** The line at the bottom. */
class ProgressLine {
  constructor() {
    this.today = make("b");
    this.total = make("b");
    this.groups = make("b");
    this.pace = make("b");
    this.paced = make("span", {}, this.pace, " a minute");
    this.parts = ["similar", "dissimilar", "unsure"].map((name) => make("i", { class: name }));
    this.bar = make("div", { class: "bar", role: "img" }, ...this.parts);
    this.shares = make("span", { class: "shares" });
    this.saved = make("span", { class: "saved", role: "status" });
    this.model = make("span", { class: "model" });
    this.root = make("div", { class: "line" }, make("span", {}, this.today, " today"),
      make("span", {}, this.total, " in all"), this.bar, this.shares,
      make("span", { title: "Groups of two or more images, by similar answers" }, this.groups, " groups of several"), this.paced, this.model, this.saved);
  }

  show({ progress, outbox, base }) {
    this.saved.textContent = saved(outbox);
    this.saved.classList.toggle("waits", outbox.waiting > 0);
    this.root.classList.toggle("unknown", !progress);
    if (!progress) return;
    const number = (value) => value.toLocaleString("en");
    this.today.textContent = number(progress.today);
    this.total.textContent = number(progress.total);
    this.groups.textContent = number(progress.groups);
    reveal(this.paced, Boolean(progress.per_minute));
    this.pace.textContent = Math.round(progress.per_minute ?? 0);
    this.model.textContent = `${number(base.images)} images, pairs by ${base.model}`;
    const shares = this.parts.map((part) => {
      const share = progress.total ? 100 * progress[part.className] / progress.total : 0;
      part.style.width = `${share}%`;
      return `${SHAPES[part.className]} ${Math.round(share)} % ${part.className}`;
    });
    this.shares.textContent = shares.join("  ");
    this.bar.setAttribute("aria-label", shares.join(", "));
  }
}
