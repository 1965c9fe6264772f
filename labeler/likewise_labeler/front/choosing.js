// Answering a strip: one key says which group, or none; more than one takes Enter.

/** A group was chosen, by its place; or "none" of them; or "unsure". */
function choose(labeler, choice) {
  const { screen } = labeler.item ?? {};
  if (screen?.kind !== "strip" || !labeler.key) return;
  const group = screen.candidates[choice];
  if (Number.isInteger(choice) && !group) labeler.tell(`There is no group ${choice + 1} here.`);
  else if (group && labeler.several && !labeler.looking) labeler.toggle(group.id);
  else answerStrip(labeler, new Set(group ? [group.id] : []), choice === "unsure");
}

/** Begin to choose more than one group, or stop it. */
function severally(labeler, on = !labeler.several) {
  const { screen } = labeler.item ?? {};
  if (screen?.kind !== "strip" || screen.candidates.length < 2 || labeler.looking || !labeler.key) return;
  [labeler.marked, labeler.several] = [new Set(), on];
  labeler.view?.marks(labeler);
  labeler.view?.status(labeler);
}

/** The image belongs to the groups of these images and to no other shown; or unsure of all. */
function answerStrip(labeler, chosen, unsure = false) {
  const { screen } = labeler.item;
  const broken = labeler._broken();
  const unseen = !labeler.preloaded.image(screen.anchor.full) || [...chosen].some((id) => broken.has(id));
  if (unseen && !unsure) {
    labeler.tell("That picture is missing: it cannot be judged.");
    return;
  }
  const verdicts = stripVerdicts(screen, chosen, broken, unsure);
  if (labeler.looking) labeler.correct(verdicts);
  else labeler.answer(verdicts);
}
