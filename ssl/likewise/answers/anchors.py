"""In which order images become the anchors of screens with many candidates."""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice

from likewise.answers.links import Links
from likewise.answers.placing import PATIENCE
from likewise.answers.pool import Pool

_LOOKED_AT_AGAIN = 64


class AnchorOrder:
    """An order of anchors that remembers which ones have a place, so as not to pass them again.

    With many answers most images of an order have a place. Those that had one are looked at again
    in turn, a few each time, as an undo may take it away.

    Args:
        images: Gives the images in order, and the same ones whenever it is called.
    """

    def __init__(self, images: Callable[[], Iterable[str]]) -> None:
        self._images = images
        self._open: dict[str, None] = {}
        self._placed: dict[str, None] = {}
        self._found: list[str] = []
        """Images in ``_open`` that have a place."""

    def read(self, links: Links) -> Iterator[str]:
        """The images: those without a place in order, then the others. One reader at a time."""
        self._tidy(links)
        for image in chain(list(self._open), self._further()):
            if _has_place(links, image):
                self._found.append(image)
            else:
                yield image
        yield from chain(list(self._placed), list(self._found))

    def _further(self) -> Iterator[str]:
        for image in islice(self._images(), len(self._open) + len(self._placed), None):
            self._open[image] = None
            yield image

    def _tidy(self, links: Links) -> None:
        again = list(islice(self._placed, _LOOKED_AT_AGAIN))
        for image in self._found:
            self._open.pop(image, None)
            self._placed[image] = None
        self._found = []
        for image in again:
            del self._placed[image]
        lost = [each for each in again if not _has_place(links, each)]
        self._placed |= dict.fromkeys(each for each in again if each not in lost)
        self._open = dict.fromkeys(lost) | self._open if lost else self._open


def _has_place(links: Links, image: str) -> bool:
    return bool(links.placed().get(image))


def anchors(
    pool: Pool, links: Links, busy: Collection[str], order: Iterable[str] | AnchorOrder, fewest: int
) -> Iterator[str]:
    """Images without a group; then those that wait, least asked first; then one of each group.

    An image waits after `likewise.answers.placing.PATIENCE` answers. Those that wait and groups
    come only with at least ``fewest`` other groups that nothing is known about.
    """
    waiting: list[str] = []
    groups: dict[str, str] = {}
    roots: set[str] = set()
    for image in order.read(links) if isinstance(order, AnchorOrder) else order:
        if image not in pool.positions:
            continue
        root = links.root(image)
        roots.add(root)
        if image in busy:
            continue
        if len(links.members(root)) > 1:
            groups.setdefault(root, image)
        elif links.asks[image] < PATIENCE:
            yield image
        else:
            waiting.append(image)
    waiting.sort(key=lambda image: links.asks[image])
    for image in [*waiting, *groups.values()]:
        denied = links.denied(links.root(image))
        if len(roots) - 1 - sum(other in roots for other in denied) >= fewest:
            yield image
