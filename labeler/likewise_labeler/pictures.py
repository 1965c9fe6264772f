"""Images as the browser gets them: at display size, encoded once, kept within a bound."""

import base64
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from PIL import Image

from likewise.errors import LikewiseError
from likewise.images.decode import load
from likewise.images.manifest import display
from likewise.images.store import Images

SHORT_SIDE = 720
LONG_SIDE = 1280
"""Of a picture on the screen, in pixels, at most."""
TINY = 160
"""Up to this long side a picture is sent losslessly and enlarged without smoothing."""
BOUND = 64 * 2**20
"""Bytes that are kept, for all sessions together."""


@dataclass(frozen=True)
class Picture:
    """An image ready for an ``<img>``."""

    url: str
    """Its bytes, as a data URL: no second request, nothing that a stranger could fetch."""
    name: str
    """Of its file, without the folder."""
    tiny: bool
    """To be enlarged without smoothing."""
    gone: bool
    """The file is gone; this is the smaller prepared copy."""


class Pictures:
    """Pictures of a workspace's images; may be shared by threads."""

    def __init__(self, images: Images, bound: int = BOUND) -> None:
        self._images, self._bound = images, bound
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def picture(self, image: str) -> Picture:
        """The picture of an image id.

        Raises:
            KeyError: the workspace has no such image.
        """
        with self._lock:
            if image in self._kept:
                self._kept.move_to_end(image)
                return self._kept[image]
        made = self._make(self._images.positions[image])
        with self._lock:
            if image not in self._kept:
                self._kept[image] = made
                self._bytes += len(made.url)
            while self._bytes > self._bound and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1].url)
        return made

    def _make(self, row: int) -> Picture:
        path = self._images.path(row)
        try:
            pixels, gone = load(path, short_side=SHORT_SIDE), False
        except LikewiseError:
            pixels, gone = self._images[row], True
        image = Image.fromarray(np.asarray(pixels))
        image.thumbnail((LONG_SIDE, LONG_SIDE))
        tiny = max(image.size) <= TINY
        data = io.BytesIO()
        if tiny:
            image.save(data, "PNG")
        else:
            image.save(data, "JPEG", quality=88)
        kind = "png" if tiny else "jpeg"
        url = f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
        return Picture(url, display(path.name), tiny, gone)
