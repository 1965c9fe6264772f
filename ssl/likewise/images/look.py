"""The pixels of images that results speak of, to be shown."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from likewise.images.reading import Reading, in_children
from likewise.images.scan import scan
from likewise.images.store import Images
from likewise.workspace import Workspace

_SMALL = 160
"""Short side, in pixels, of pictures that are read for this alone."""


class Look:
    """Shows the pictures of results: those of the workspace as it keeps them, others from disk."""

    def __init__(self, workspace: Workspace, images: Images) -> None:
        self._workspace, self._images = workspace, images

    def __call__(
        self, wanted: Sequence[tuple[str, Path]]
    ) -> list[UInt8[np.ndarray, "H W 3"] | None]:
        """The pixels of images, by id and file; None where the file is gone or not as it was."""
        found: dict[str, UInt8[np.ndarray, "H W 3"] | None] = {}
        files = []
        for image, path in wanted:
            try:
                found[image] = self._images.find(image)
            except KeyError:
                files += [path] if path.is_file() else []
        if files:
            listed = scan(dict.fromkeys(files), workspace=self._workspace.path).files
            for outcome in in_children(listed, Reading(_SMALL), 1):
                if outcome.image is not None:
                    found[outcome.id] = outcome.image.pixels
        return [found.get(image) for image, _ in wanted]
