"""Which images are kept aside to measure with: whole components, so that nothing leaks."""

from collections.abc import Iterable, Sequence

import numpy as np

from likewise.answers.links import links_from
from likewise.answers.standing import Answer

Groups = Sequence[set[str]]


def components(answers: Iterable[Answer]) -> list[set[str]]:
    """The images that answers speak of, as connected components of the must-links.

    Largest first; an image without a must-link is a component of its own.
    """
    answers = list(answers)
    links = links_from(answers)
    grouped = [set(group) for group in links.groups()]
    known = {image for group in grouped for image in group}
    rest = sorted({image for each in answers for image in each.pair} - known)
    return grouped + [{image} for image in rest]


def split_answers(
    answers: Sequence[Answer], share: float, seed: int
) -> tuple[list[Answer], list[Answer]]:
    """Split into answers to train on and answers to measure with; no image is in both.

    Components go to one side as a whole (see `held_out_images` for which). An answer is held out
    when both its images are, trained on when neither is; one that crosses is dropped from both.
    About ``share`` of all answers (0 to 1) is held out.
    """
    if share <= 0 or not answers:
        return list(answers), []
    groups, rng = components(answers), np.random.default_rng(seed)
    held = held_out_images(answers, groups, share * len(answers), rng)
    ends = [(each.a in held) + (each.b in held) for each in answers]
    train = [each for each, inside in zip(answers, ends, strict=True) if inside == 0]
    return train, [each for each, inside in zip(answers, ends, strict=True) if inside == 2]


def held_out_images(
    answers: Sequence[Answer], groups: Groups, wanted: float, rng: np.random.Generator
) -> set[str]:
    """Images whose mutual answers are about ``wanted`` in number; each group is in or out.

    Groups of two or more images are held out smallest first (in random order among equals) while
    that brings the number nearer to ``wanted``. Single images then go where most of their answers
    are, so that few answers cross; where there are only single images, they are drawn at random.
    """
    partners = _partners(answers)
    cores = [group for group in groups if len(group) > 1] or list(groups)
    cores = sorted((cores[place] for place in rng.permutation(len(cores))), key=len)
    held: set[str] = set()
    missing = wanted
    for core in cores:
        others = [other for image in core for other in partners[image]]
        gain = sum(other in core for other in others) / 2 + sum(other in held for other in others)
        if abs(missing - gain) <= abs(missing):
            held |= core
            missing -= gain
    decided = set().union(*cores)
    for image in set().union(*groups) - decided:
        others = [other for other in partners[image] if other in decided]
        if 2 * sum(other in held for other in others) > len(others):
            held.add(image)
    return held


def _partners(answers: Sequence[Answer]) -> dict[str, list[str]]:
    partners: dict[str, list[str]] = {}
    for each in answers:
        partners.setdefault(each.a, []).append(each.b)
        partners.setdefault(each.b, []).append(each.a)
    return partners
