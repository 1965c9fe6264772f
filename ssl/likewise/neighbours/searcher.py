"""One question after another about the same embeddings, with the saved index kept open.

Up to `likewise.neighbours.index.FLAT_UP_TO` vectors every search is exact. Beyond, the inverted
index (Jegou et al. 2011) proposes `CANDIDATES` rows from the lists nearest to the question, and the
vectors themselves put these in order, so similarities are exact and only a row may be missed.
FAISS is imported here: not for the app's process, which reads all vectors instead (`search`).
"""

from typing import Any

import faiss
import numpy as np
from jaxtyping import Float32, Int64

from likewise.errors import LikewiseError
from likewise.neighbours.index import load_index
from likewise.neighbours.search import check_vector, distinct, in_order, search
from likewise.neighbours.vectors import INDEX, Embeddings

CANDIDATES = 100
"""Rows that the index proposes at least; four times as many as are wanted."""
FEW = 20_000
"""Among so few rows the search reads their vectors, which is exact and as quick."""
_WIDER = 2
"""So many times the lists of a bulk query are visited: there is time, and fewer are missed."""

_native: Any = faiss
"""For what FAISS's type stubs have wrong."""

Found = tuple[Int64[np.ndarray, " k"], Float32[np.ndarray, " k"]]


class Searcher:
    """Finds the images nearest to a vector. For one thread at a time."""

    def __init__(self, embeddings: Embeddings) -> None:
        """Load the index, if these are so many vectors that there is more than a flat one.

        Raises:
            LikewiseError: the index cannot be read, or is not that of the vectors.
        """
        self.embeddings = embeddings
        self._lists: _Lists | None = None
        index = load_index(embeddings.folder / INDEX)
        if (index.ntotal, index.d) != embeddings.vectors.shape:
            raise LikewiseError(
                f"{embeddings.folder / INDEX} is not the index of its vectors; remove "
                f"{embeddings.folder} and run `likewise embed`"
            )
        if faiss.try_extract_index_ivf(index) is not None:
            self._lists = _Lists(index)

    @property
    def exact(self) -> bool:
        """Whether every search compares all vectors."""
        return self._lists is None

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
            LikewiseError: the vector is not finite.
        """
        check_vector(self.embeddings, vector)
        rows = None if among is None else distinct(among, len(self.embeddings.vectors))
        if self._lists is None or k < 1 or (rows is not None and len(rows) <= max(FEW, 4 * k)):
            return search(self.embeddings, vector, k, rows)
        proposed = self._lists.propose(vector, max(CANDIDATES, 4 * k), rows)
        if len(proposed) < k:  # k is more than the visited lists hold
            return search(self.embeddings, vector, k, rows)
        near = np.asarray(self.embeddings.vectors[proposed] @ vector, np.float32)
        best = in_order(proposed, near, k)
        return proposed[best], near[best]


class _Lists:
    """The inverted lists of an index whose i-th vector is row i of the embeddings."""

    def __init__(self, index: Any) -> None:
        self._outer = index  # owns the rest
        self._ivf: Any = _native.downcast_index(index.index)
        self._centres = np.asarray(self._ivf.quantizer.reconstruct_n(0, self._ivf.nlist))
        self._probed = min(self._ivf.nlist, _WIDER * self._ivf.nprobe)
        self._list_of = np.empty(index.ntotal, np.int32)
        for number in range(self._ivf.nlist):
            count = self._ivf.invlists.list_size(number)
            if count:
                ids = faiss.rev_swig_ptr(self._ivf.invlists.get_ids(number), count)
                self._list_of[ids] = number

    def propose(
        self,
        vector: Float32[np.ndarray, " D"],
        count: int,
        among: Int64[np.ndarray, " M"] | None,
    ) -> Int64[np.ndarray, " p"]:
        """About the ``count`` best rows, in order of row.

        With ``among`` only lists that hold some of these rows are visited, and as many rows are
        looked at as otherwise: else a folder far from the question would seem to be empty.
        """
        near = self._centres @ np.asarray(vector)  # a memory map's operators warn
        if among is None:
            lists = np.argsort(-near)[: self._probed]
            sel = None
        else:
            held = np.bincount(self._list_of[among], minlength=len(near))
            lists = np.flatnonzero(held)
            lists = lists[np.argsort(-near[lists])]
            wanted = len(self._list_of) * self._probed / len(near)
            enough = int(np.searchsorted(held[lists].cumsum(), min(wanted, len(among)))) + 1
            lists = lists[: max(enough, self._probed)]
            chosen = np.zeros(len(self._list_of), bool)
            chosen[among] = True
            bits = np.packbits(chosen, bitorder="little")
            sel = _native.IDSelectorBitmap(bits)
        question = np.ascontiguousarray(vector, np.float32)
        return self._visit(question, lists, near[lists], count, sel)

    def _visit(
        self,
        vector: Float32[np.ndarray, " D"],
        lists: Int64[np.ndarray, " l"],
        near: Float32[np.ndarray, " l"],
        count: int,
        sel: Any,
    ) -> Int64[np.ndarray, " p"]:
        """The best rows of some lists; in C terms, as the wrapper takes no selector."""
        lists, near = np.ascontiguousarray(lists, np.int64), np.ascontiguousarray(near, np.float32)
        scores, found = np.empty(count, np.float32), np.empty(count, np.int64)
        self._ivf.search_preassigned_c(
            1,
            faiss.swig_ptr(vector),
            count,
            faiss.swig_ptr(lists),
            faiss.swig_ptr(near),
            faiss.swig_ptr(scores),
            faiss.swig_ptr(found),
            False,
            _native.SearchParametersIVF(nprobe=len(lists), sel=sel),
        )
        return np.sort(found[found >= 0])
