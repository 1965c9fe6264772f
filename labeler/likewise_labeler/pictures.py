"""Images as the browser gets them: at display size, encoded once, at addresses that last."""

import hashlib
import hmac
import io
import os
import threading
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image

from likewise.images.decode import DecodeError, decode, size_if_upright
from likewise.images.manifest import display, read_table
from likewise.images.store import Images
from likewise.workspace import Workspace
from likewise_labeler.plain_jpeg import plain_jpeg

Size = Literal["full", "tile", "thumb"]
LONG_SIDES: dict[Size, int] = {"full": 1280, "tile": 320, "thumb": 96}
"""Of a picture on the screen, in pixels, at most."""
SHORT_SIDE = 720
"""Of a full picture, in pixels, at most."""
TINY = 160
"""Up to this long side an image is sent losslessly and enlarged without smoothing."""
MOST_PER_PIXEL = 0.5
"""Bytes a pixel of a file that is sent as it is, at most."""
BOUND = 96 * 2**20
"""Bytes that are kept, for all sessions together."""


@dataclass(frozen=True)
class Encoded:
    """The bytes of a picture."""

    data: bytes
    media: str
    """Media type."""
    lasting: bool
    """Whether the same address will always bring these bytes: not while a file is gone."""


_FACTS = 4096
"""Images of which what is told is remembered."""


class Pictures:
    """Pictures of a workspace's images; may be shared by threads.

    ``sizes`` are the heights and widths of the files, row by row of ``images``. Whoever knows
    ``key`` can make addresses.
    """

    def __init__(
        self, images: Images, sizes: Int32[np.ndarray, "N 2"], key: bytes, bound: int = BOUND
    ) -> None:
        self._images, self._sizes, self._key, self._bound = images, sizes, key, bound
        self._kept: OrderedDict[tuple[str, Size], Encoded] = OrderedDict()
        self._coming: dict[tuple[str, Size], Future[Encoded]] = {}
        self._bytes = 0
        self._lock = threading.Lock()
        self._facts = lru_cache(_FACTS)(self._facts_of)

    def address(self, image: str, size: Size) -> str:
        """Where the browser finds a picture; it is signed, so that none can be guessed."""
        return f"{self._address(image)}?size={size}"

    def signed(self, image: str, signature: str) -> bool:
        """Whether the signature belongs to the image."""
        return hmac.compare_digest(self._signature(image).encode(), signature.encode())

    def about(self, image: str) -> dict[str, Any]:
        """What the browser needs to show an image, ready for JSON; also of one that is gone."""
        path, facts = self._facts(image)
        return {**facts, "gone": path is None or not os.path.exists(path)}  # noqa: PTH110 (quick)

    def _facts_of(self, image: str) -> tuple[str | None, dict[str, Any]]:
        """Where an image's file was, and what stays true of it."""
        row, address = self._images.positions.get(image), self._address(image)
        path = None if row is None else self._images.path(row)
        height, width = (0, 0) if row is None else map(int, self._sizes[row])
        facts = {
            "id": image,
            "name": display(path.name) if path else "file gone",
            "full": f"{address}?size=full",
            "tile": f"{address}?size=tile",
            "thumb": f"{address}?size=thumb",
            "width": width,
            "height": height,
            "tiny": row is not None and self._tiny(row),
        }
        return None if path is None else str(path), facts

    def bytes_of(self, image: str, size: Size) -> tuple[bytes, str]:
        """The picture and its media type.

        Raises:
            KeyError: the workspace has no such image.
        """
        encoded = self.encoded(image, size)
        return encoded.data, encoded.media

    def encoded(self, image: str, size: Size) -> Encoded:
        """The picture; encoded once, however many ask at the same time.

        Raises:
            KeyError: the workspace has no such image.
        """
        wanted = (image, size)
        with self._lock:
            if wanted in self._kept:
                self._kept.move_to_end(wanted)
                return self._kept[wanted]
            coming = self._coming.get(wanted)
            if coming is None:
                mine = self._coming[wanted] = Future()
        if coming is not None:
            return coming.result()
        try:
            made = self._encode(image, size)
        except BaseException as error:
            with self._lock:
                del self._coming[wanted]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._coming[wanted]
            self._keep(wanted, made)
        mine.set_result(made)
        return made

    def _keep(self, wanted: tuple[str, Size], made: Encoded) -> None:
        if not made.lasting:
            return
        self._kept[wanted] = made
        self._bytes += len(made.data)
        while self._bytes > self._bound and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1].data)

    def _encode(self, image: str, size: Size) -> Encoded:
        row = self._images.positions.get(image)
        pixels, lasting = None, size != "full"
        if size == "full" and row is not None:
            file = self._file(row, image)
            plain = _as_it_is(file)
            if plain is not None:
                return Encoded(plain, "image/jpeg", lasting=True)
            pixels = _decoded(file)
            lasting = pixels is not None
        shown = Image.fromarray(np.asarray(self._images.find(image) if pixels is None else pixels))
        shown.thumbnail((LONG_SIDES[size], LONG_SIDES[size]))
        data = io.BytesIO()
        if row is not None and self._tiny(row):
            shown.save(data, "PNG")
            return Encoded(data.getvalue(), "image/png", lasting)
        shown.save(data, "JPEG", quality=88)
        return Encoded(data.getvalue(), "image/jpeg", lasting)

    def _file(self, row: int, image: str) -> bytes:
        """What is in the image's file; nothing where no file holds that image any more."""
        for path in self._images.paths(row):
            with suppress(OSError):
                data = path.read_bytes()
                if hashlib.blake2b(data, digest_size=16).hexdigest() == image:
                    return data
        return b""

    def _tiny(self, row: int) -> bool:
        return int(self._sizes[row].max()) <= TINY

    def _address(self, image: str) -> str:
        return f"/likewise/images/{image}.{self._signature(image)}"

    def _signature(self, image: str) -> str:
        data = image.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=12, key=self._key, person=b"picture").hexdigest()


def _as_it_is(file: bytes) -> bytes | None:
    """A JPEG file that need not be turned, shrunk or compressed, without a word about it."""
    size = size_if_upright(file)
    if size is None or min(size) > SHORT_SIDE or max(size) > LONG_SIDES["full"]:
        return None
    plain = plain_jpeg(file)
    light = plain is not None and len(plain) <= MOST_PER_PIXEL * size[0] * size[1]
    return plain if light else None


def _decoded(file: bytes) -> UInt8[np.ndarray, "H W 3"] | None:
    try:
        return decode(file, short_side=SHORT_SIDE)
    except DecodeError:
        return None


def full_sizes(workspace: Workspace, images: Images) -> Int32[np.ndarray, "N 2"]:
    """Height and width of each image's file, in pixels, upright; row by row of ``images``."""
    table, _ = read_table(workspace.manifest_file, ["id", "status", "width", "height"])
    usable = np.flatnonzero(table.column("status").to_numpy() == "ok")
    if table.column("id").to_numpy()[usable].tolist() != images.ids.tolist():
        return images.sizes  # ingested again a moment ago: nearly as good until the next look
    height, width = (table.column(name).to_numpy()[usable] for name in ("height", "width"))
    return np.stack([height, width], axis=1).astype(np.int32)
