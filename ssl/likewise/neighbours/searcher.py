"""One question after another about the same embeddings, with their index kept open.

An index proposes `CANDIDATES` rows, and the vectors themselves put these in order, so similarities
are exact and only a row may be missed. Here that is an inverted index (Jegou et al. 2011), and up
to `likewise.neighbours.vector_index.FLAT_UP_TO` vectors none at all: then every search is exact. Or
it is Milvus. FAISS is imported only for the former: it is not for the app's process, which asks
Milvus, or else reads all vectors (`find`).
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64

from likewise.errors import LikewiseError
from likewise.neighbours.milvus_place import Place
from likewise.neighbours.search import check_vector, distinct, in_order, search
from likewise.neighbours.vector_index import MOST, Rows, VectorIndex, keys_of
from likewise.neighbours.vectors import INDEX, Embeddings

CANDIDATES = 100
"""Rows that an index proposes at least; four times as many as are wanted."""
FEW = 20_000
"""Among so few rows the search reads their vectors, which is exact and as quick."""

Found = tuple[Int64[np.ndarray, " k"], Float32[np.ndarray, " k"]]


@runtime_checkable
class _Proposer(Protocol):
    """Knows rows that are near to a vector."""

    def propose(
        self,
        vector: Float32[np.ndarray, " D"],
        count: int,
        among: Int64[np.ndarray, " M"] | None,
    ) -> Int64[np.ndarray, " p"]:
        """About the ``count`` best rows, in order of row; fewer if it finds no more."""
        ...


class Searcher:
    """Finds the images nearest to a vector. With FAISS for one thread at a time."""

    def __init__(self, embeddings: Embeddings) -> None:
        """Open the index, if there is more than a flat one.

        Raises:
            LikewiseError: the index cannot be read or reached, or is not that of the vectors.
        """
        self.embeddings = embeddings
        place = embeddings.place
        self._index = _in_lists(embeddings) if place is None else _on_milvus(embeddings, place)

    @property
    def exact(self) -> bool:
        """Whether every search compares all vectors, here."""
        return self._index is None

    def search(
        self,
        vector: Float32[np.ndarray, " D"],
        k: int,
        among: Int64[np.ndarray, " M"] | None = None,
    ) -> Found:
        """The ``k`` images most similar to a unit vector; see `likewise.neighbours.search.search`.

        As many come back as there: k, or all of ``among`` where these are fewer.

        Raises:
            UsageError: the vector is of another dimension.
            LikewiseError: the vector is not finite, or Milvus does not answer.
        """
        check_vector(self.embeddings, vector)
        rows = None if among is None else distinct(among, len(self.embeddings.vectors))
        if self._index is None or k < 1 or (rows is not None and len(rows) <= max(FEW, 4 * k)):
            return search(self.embeddings, vector, k, rows)
        proposed = self._index.propose(vector, max(CANDIDATES, 4 * k), rows)
        if len(proposed) < k:  # k is more than the index finds
            return search(self.embeddings, vector, k, rows)
        near = np.asarray(self.embeddings.vectors[proposed] @ vector, np.float32)
        best = in_order(proposed, near, k)
        return proposed[best], near[best]


def find(
    embeddings: Embeddings,
    vector: Float32[np.ndarray, " D"],
    k: int,
    among: Int64[np.ndarray, " M"] | None = None,
) -> Found:
    """The same for a single question: a server of Milvus is asked, or all vectors are read.

    A file of Milvus Lite is left to the commands, which it can serve only one at a time.

    Raises:
        UsageError: the vector is of another dimension.
        LikewiseError: the vector is not finite, or Milvus does not answer.
    """
    if embeddings.place is None or embeddings.place.is_file:
        return search(embeddings, vector, k, among)
    return embeddings.searcher.search(vector, k, among)


class _Remote:
    """What is asked of an index that answers in keys."""

    def __init__(self, index: VectorIndex, rows: Rows) -> None:
        self._index, self._rows = index, rows

    def propose(
        self,
        vector: Float32[np.ndarray, " D"],
        count: int,
        among: Int64[np.ndarray, " M"] | None,
    ) -> Int64[np.ndarray, " p"]:
        """About the ``count`` best rows, in order of row.

        With ``among`` the best of all are sought, ever more of them, and the others left out.
        """
        question = np.asarray(vector, np.float32)[None]
        asked = min(count, MOST)
        while True:
            keys, _ = self._index.search(question, asked)
            rows = self._rows.of(keys[0])
            rows = rows[rows >= 0]  # images that another job is adding are not ours yet
            if among is not None:
                rows = rows[np.isin(rows, among)]
            if among is None or len(rows) >= count or asked == MOST:
                return np.sort(rows)
            asked = min(8 * asked, MOST)


def _on_milvus(embeddings: Embeddings, place: Place) -> _Proposer:
    from likewise.neighbours.milvus_index import MilvusIndex

    index = MilvusIndex(place)
    there = index.count()
    if there < len(embeddings.ids):
        raise LikewiseError(
            f"Milvus at {place.shown} has {there:,} of {len(embeddings.ids):,} vectors in "
            f"{place.collection}; run `likewise embed`, which sends the others"
        )
    return _Remote(index, Rows(keys_of(embeddings.ids)))


def _in_lists(embeddings: Embeddings) -> _Proposer | None:
    import faiss

    from likewise.neighbours.faiss_index import load_index
    from likewise.neighbours.inverted_lists import InvertedLists

    file = embeddings.folder / INDEX
    if not file.is_file():
        raise LikewiseError(
            f"{embeddings.folder} was indexed on Milvus, and no URL of it is given now; set "
            "LIKEWISE_VECTORS_URL, or run `likewise embed`"
        )
    index = load_index(file)
    if (index.ntotal, index.d) != embeddings.vectors.shape:
        raise LikewiseError(
            f"{file} is not the index of its vectors; remove {embeddings.folder} and run "
            "`likewise embed`"
        )
    return None if faiss.try_extract_index_ivf(index) is None else InvertedLists(index)
