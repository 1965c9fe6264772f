// What is asked now, from what the server said last and the operations that it has not confirmed.
// Pure functions: a screen, a past answer or a hand comes in, a new one goes out.

const LETTERS = "ABDEFGHIJKLMNOPQSTUVWXYZ"; // without C and R, which Streamlit keeps for itself
const OPPOSITE = { similar: "dissimilar", dissimilar: "similar", unsure: "similar" };

/** The same for two screens that ask the same; a pair is the same pair whichever is left. */
function signature(screen) {
  const candidates = screen.candidates.map((each) => each.id);
  if (screen.kind === "pair") return ["pair", ...[screen.anchor.id, ...candidates].sort()].join(" ");
  return [screen.kind, screen.anchor.id].join(" ");
}

/** The open screens once the waiting operations are done. */
function handAfter(hand, waiting) {
  let open = [...hand];
  for (const { op, past, reopened } of waiting) {
    if (op.op === "answer") {
      const same = (each) => each.token === op.token
        || (reopened && signature(each) === signature(past.asked));
      open = open.filter((each) => !same(each));
    } else if (op.op === "undo") {
      const screen = screenOf(past);
      open = [{ ...screen, reopened: true, marked: marksOf(past) },
        ...open.filter((each) => signature(each) !== signature(screen))];
    }
  }
  return open;
}

/** One's own answered screens, newest first, once the waiting operations are done. */
function pastAfter(past, waiting) {
  let known = past.map((each) => ({ ...each, answers: each.answers.map((one) => ({ ...one })) }));
  for (const { op, past: added } of waiting) {
    if (op.op === "answer") {
      const others = known.filter((each) => each.screen !== op.token);
      known = added.answers.length ? [added, ...others] : others;
    } else if (op.op === "undo") {
      known = known.filter((each) => each.screen !== op.screen);
    } else if (op.op === "correct") {
      for (const { answers } of known) {
        for (const one of answers) {
          if (one.a === op.a && one.b === op.b) one.verdict = op.verdict;
        }
      }
    }
  }
  return known;
}

/** The counts once the waiting operations are done. */
function progressAfter(progress, waiting) {
  const sum = { ...progress };
  for (const { op, past } of waiting) {
    if (op.op === "correct") continue;
    const step = op.op === "answer" ? 1 : -1;
    for (const { verdict } of past.answers) {
      sum.today += step;
      sum.total += step;
      sum[verdict] += step;
    }
  }
  return sum;
}

/** The answered screen as it will be shown when one goes back to it. */
function answered(screen, verdicts, together, time) {
  const answers = screen.candidates.filter((each) => verdicts[each.id])
    .map((each) => pairAnswer(screen.anchor.id, each, verdicts[each.id]));
  const chain = together.map((id) => screen.candidates.find((each) => each.id === id));
  for (let at = 1; at < chain.length; at += 1) {
    answers.push(pairAnswer(chain[at - 1].id, chain[at], "similar"));
  }
  return { screen: screen.token, kind: screen.kind, time, anchor: screen.anchor, answers, asked: screen };
}

function pairAnswer(anchor, candidate, verdict) {
  const [a, b] = [anchor, candidate.id].sort();
  return { a, b, candidate, verdict };
}

/** A past answer as it was asked: the server tells the pairs, not which image was the anchor. */
function asAsked(past, asked) {
  if (!asked) return past;
  const { anchor, candidates } = asked;
  const answers = past.answers.map((each) => {
    const other = each.a === anchor.id ? each.b : each.a;
    return { ...each, candidate: candidates.find(({ id }) => id === other) ?? each.candidate };
  });
  return { ...past, anchor, answers, asked };
}

/** The screen on which an answered one was asked. */
function screenOf(past) {
  if (past.asked) return past.asked;
  const of = ({ a, b }) => a === past.anchor.id || b === past.anchor.id;
  const candidates = past.answers.filter(of).map((each) => each.candidate);
  return {
    token: past.screen, kind: past.kind, anchor: past.anchor, candidates, context: [],
    reason: "You took back this answer",
  };
}

/** The images that were marked when the screen was answered. */
function marksOf(past) {
  const marked = past.kind === "group" ? "dissimilar" : "similar";
  return past.answers.filter((each) => each.verdict === marked).map((each) => each.candidate.id);
}

/** Verdicts for a screen with marked images; `all` is Shift+Enter. Broken pictures get none. */
function verdictsOf(screen, marked, all, broken) {
  const verdicts = {};
  for (const { id } of screen.candidates) {
    if (broken.has(id)) continue;
    if (screen.kind === "group") verdicts[id] = marked.has(id) ? "dissimilar" : "similar";
    else if (marked.has(id)) verdicts[id] = "similar";
    else if (all) verdicts[id] = "dissimilar";
  }
  const together = screen.kind === "group" && all
    ? screen.candidates.map(({ id }) => id).filter((id) => marked.has(id)) : [];
  return { verdicts, together };
}

/**
 * Verdicts on a strip: of the groups of `chosen`, a set of images, and all others; or unsure of all.
 * Broken pictures get none, as nobody saw them.
 */
function stripVerdicts(screen, chosen, broken, unsure = false) {
  const seen = screen.candidates.filter(({ id }) => unsure || !broken.has(id));
  const said = ({ id }) => (chosen.has(id) ? "similar" : "dissimilar");
  return Object.fromEntries(seen.map((each) => [each.id, unsure ? "unsure" : said(each)]));
}

/** What was said of a strip: {verdict, text}. */
function choiceOf(past) {
  const at = ({ id }) => screenOf(past).candidates.findIndex((each) => each.id === id) + 1;
  const chosen = past.answers.filter((each) => each.verdict === "similar").map((each) => at(each.candidate));
  if (chosen.length) return { verdict: "similar", text: `group${chosen.length > 1 ? "s" : ""} ${chosen.join(", ")}` };
  if (past.answers.some((each) => each.verdict === "unsure")) return { verdict: "unsure", text: "unsure" };
  return { verdict: "dissimilar", text: "none of these" };
}

/** What tells a drawn screen from another one. */
function keyOfItem({ screen, past }) {
  if (!past) return screen.kind === "pair" ? signature(screen) : [signature(screen), ...screen.candidates.map((each) => each.id)].join(" ");
  return `past ${past.screen} ${past.answers.map((each) => each.verdict).join(" ")}`;
}

/** Columns in which `count` tiles come out largest in a space of that size. */
function columnsFor(count, width, height) {
  let [best, side] = [1, 0];
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const fits = Math.min(width / columns, height / rows);
    if (fits > side + 0.5) [best, side] = [columns, fits];
  }
  return best;
}
