"""The neighbour index on this machine: FAISS behind an id map, its kind chosen from the number."""

import functools
import math
from pathlib import Path

import faiss
import numpy as np
from jaxtyping import Float32, Int64

from likewise.errors import LikewiseError
from likewise.files import reason_of, replacing
from likewise.neighbours.vector_index import FLAT_UP_TO, Found, check_questions, check_vectors

_PROBED_SHARE = 1 / 64
"""Share of an inverted index's lists that a query visits."""


class FaissIndex:
    """An index in a file, or in memory alone. It is made anew whenever it is filled."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file

    @functools.cached_property
    def native(self) -> faiss.Index:
        """FAISS's own index, read when it is first needed.

        Raises:
            LikewiseError: the file is missing or cannot be read.
        """
        if self.file is None or not self.file.is_file():
            raise LikewiseError("there is no neighbour index yet; run `likewise embed`")
        return load_index(self.file)

    def fill(self, keys: Int64[np.ndarray, " N"], vectors: Float32[np.ndarray, "N D"]) -> None:
        """Hold these vectors and no others; see `VectorIndex`."""
        index = build_index(vectors, keys)
        if self.file is not None:
            save_index(index, self.file)
        self.native = index

    def count(self) -> int:
        """How many vectors are there."""
        if self.file is not None and not self.file.is_file():
            return 0
        return int(self.native.ntotal)

    def search(self, questions: Float32[np.ndarray, "Q D"], k: int) -> Found:
        """The ``k`` nearest of each question; see `VectorIndex`."""
        check_questions(questions, self.native.d, k)
        similarities, keys = self.native.search(np.ascontiguousarray(questions), k)
        return keys, np.where(keys < 0, np.float32(-1), similarities)

    def described(self, count: int) -> str:
        """Which index this is, in words."""
        return describe(count)


def describe(count: int) -> str:
    """Which index `build_index` makes for ``count`` vectors, in words."""
    if count <= FLAT_UP_TO:
        return f"exact (flat; {count:,} vectors)"
    return f"approximate (IVF, {_lists(count):,} lists, 8 bits a number; {count:,} vectors)"


def build_index(vectors: Float32[np.ndarray, "N D"], keys: Int64[np.ndarray, " N"]) -> faiss.Index:
    """An inner-product index of unit vectors (so similarities are cosines) that answers in keys.

    Raises:
        LikewiseError: a vector is not finite or not of length 1, or a key comes twice.
    """
    check_vectors(keys, vectors)
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
