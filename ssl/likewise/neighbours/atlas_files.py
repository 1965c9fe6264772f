"""The atlas on disk: beside the vectors that it is a map of."""

import contextlib
import io
import json
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from likewise.errors import LikewiseError
from likewise.files import digest, read_json, reason_of, sync_folder
from likewise.neighbours.vectors import VECTORS, Embeddings, read_meta

FORMAT = 1
ATLAS, ATLAS_META = "atlas.npy", "atlas.json"
SEED = 0


def load_atlas(embeddings: Embeddings) -> Float32[np.ndarray, "N 2"] | None:
    """The map of these embeddings; None where there is none that is whole and fits them."""
    file = embeddings.folder / ATLAS
    try:
        made_of = vectors_digest(embeddings.folder)
        if read_json(embeddings.folder / ATLAS_META) != _meta(embeddings, made_of, digest(file)):
            return None
        places: Float32[np.ndarray, "N 2"] = np.load(file)
    except (LikewiseError, OSError, ValueError, LookupError):
        return None
    return places if places.shape == (len(embeddings.ids), 2) else None


def vectors_digest(folder: Path) -> str:
    """The digest of a folder's vectors.

    Raises:
        LikewiseError: the folder's description cannot be read.
    """
    return str(read_meta(folder)["digests"][VECTORS])


def save_atlas(embeddings: Embeddings, places: Float32[np.ndarray, "N 2"], made_of: str) -> None:
    """Keep the map beside the vectors.

    ``made_of`` is their digest, read before they were: they may have been replaced meanwhile.

    Raises:
        LikewiseError: it cannot be written, or the vectors are no longer there.
    """
    data = io.BytesIO()
    np.save(data, places)
    _put(embeddings.folder / ATLAS, data.getvalue())
    described = json.dumps(_meta(embeddings, made_of, digest(embeddings.folder / ATLAS)), indent=2)
    _put(embeddings.folder / ATLAS_META, described.encode())


def _put(path: Path, data: bytes) -> None:
    """As `likewise.files.replacing`, but without making the folder again if it was removed."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        reason = reason_of(error, path.parent)
        raise LikewiseError(f"could not write {path}: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _meta(embeddings: Embeddings, made_of: str, atlas: str) -> dict[str, str | int]:
    """Of what the map was made, and its digest."""
    return {
        "format": FORMAT,
        "fingerprint": embeddings.fingerprint,
        "vectors": made_of,
        "atlas": atlas,
        "seed": SEED,
    }
