"""The neighbour index: FAISS behind an id map, its kind chosen from the number of vectors."""

import math
from pathlib import Path

import faiss
import numpy as np
from jaxtyping import Float32, Int64, Shaped

from likewise.errors import LikewiseError
from likewise.files import reason_of, replacing

FLAT_UP_TO = 200_000
"""Up to this many vectors the search is exact."""
_PROBED_SHARE = 1 / 64
"""Share of an inverted index's lists that a query visits."""


def describe(count: int) -> str:
    """Which index `build_index` makes for ``count`` vectors, in words."""
    if count <= FLAT_UP_TO:
        return f"exact (flat; {count:,} vectors)"
    return f"approximate (IVF, {_lists(count):,} lists, 8 bits a number; {count:,} vectors)"


def build_index(vectors: Float32[np.ndarray, "N D"], keys: Int64[np.ndarray, " N"]) -> faiss.Index:
    """An inner-product index of unit vectors (so similarities are cosines) that answers in keys.

    Raises:
        LikewiseError: a vector is not finite, or a key comes twice (FAISS would take both).
    """
    if len(np.unique(keys)) != len(keys):
        raise LikewiseError("two images have the same key in the neighbour index")
    if not np.isfinite(vectors).all():
        bad = int((~np.isfinite(vectors)).any(axis=1).sum())
        raise LikewiseError(
            f"{bad} embedding(s) are not finite; train the model again, or embed with "
            "--precision float32"
        )
    dim = vectors.shape[1]
    if len(vectors) <= FLAT_UP_TO:
        index: faiss.Index = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
    else:
        index = faiss.index_factory(
            dim, f"IDMap2,IVF{_lists(len(vectors))},SQ8", faiss.METRIC_INNER_PRODUCT
        )
        faiss.extract_index_ivf(index).nprobe = max(8, round(_lists(len(vectors)) * _PROBED_SHARE))
        sample = np.random.default_rng(0).permutation(len(vectors))[: 64 * _lists(len(vectors))]
        index.train(np.ascontiguousarray(vectors[np.sort(sample)]))
    for start in range(0, len(vectors), 65_536):
        part = slice(start, start + 65_536)
        index.add_with_ids(np.ascontiguousarray(vectors[part]), keys[part])
    return index


def _lists(count: int) -> int:
    return int(2 ** round(math.log2(4 * math.sqrt(count))))


def key_of(image_id: str) -> int:
    """The 63-bit key of an image in the index: the first bits of its id."""
    return int(image_id[:16], 16) >> 1


def keys_of(ids: Shaped[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """The keys of many images."""
    return np.array([key_of(str(each)) for each in ids], dtype=np.int64)


def save_index(index: faiss.Index, file: Path) -> None:
    """Write an index, whole or not at all.

    Raises:
        LikewiseError: the file could not be written.
    """
    with replacing(file) as temporary:
        faiss.write_index(index, str(temporary))


def load_index(file: Path) -> faiss.Index:
    """Read an index (check the file's digest before: FAISS loads many damaged files).

    Raises:
        LikewiseError: the file cannot be read.
    """
    try:
        return faiss.read_index(str(file))
    except RuntimeError as error:
        raise LikewiseError(f"could not read the index {file}: {reason_of(error)}") from error


def neighbour_graph(
    vectors: Float32[np.ndarray, "N D"], index: faiss.Index, keys: Int64[np.ndarray, " N"], k: int
) -> tuple[Int64[np.ndarray, "N k"], Float32[np.ndarray, "N k"]]:
    """The k nearest other images of every image: rows and cosine similarities, nearest first.

    Rows are positions in ``vectors``; places that nothing fills hold row -1, similarity -1.
    """
    order = np.argsort(keys)
    rows = np.full((len(vectors), k), -1, np.int64)
    similarities = np.full((len(vectors), k), -1.0, np.float32)
    for start in range(0, len(vectors), 4096):
        part = np.ascontiguousarray(vectors[start : start + 4096])
        near, found = index.search(part, k + 1)
        position = order[np.searchsorted(keys[order], found).clip(max=len(keys) - 1)]
        position[found < 0] = -1
        for offset, (line, cosines) in enumerate(zip(position, near, strict=True)):
            others = (line != start + offset) & (line >= 0)
            kept = int(min(others.sum(), k))
            rows[start + offset, :kept] = line[others][:k]
            similarities[start + offset, :kept] = cosines[others][:k]
    return rows, similarities
