// Marks for whoever measures: when a key came, when the next screen was painted.

const marks = new Map();

/** Leave a mark; old ones are dropped, so that a long session stays small. */
function mark(name, at) {
  marks.set(name, (marks.get(name) ?? 0) + 1);
  if (marks.get(name) % 1000 === 0) performance.clearMarks(name);
  performance.mark(name, at === undefined ? {} : { startTime: at });
}
