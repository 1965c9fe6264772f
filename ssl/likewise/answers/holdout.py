"""Which images are kept aside to measure with: whole components, so that nothing leaks."""

from collections.abc import Sequence

import numpy as np

from likewise.answers.standing import Answer

Groups = Sequence[set[str]]


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
