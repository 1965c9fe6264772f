"""The inverted lists of a large index (Jegou et al. 2011), visited one question at a time."""

from typing import Any

import faiss
import numpy as np
from jaxtyping import Float32, Int64

_WIDER = 2
"""So many times the lists of a bulk query are visited: there is time, and fewer are missed."""

_native: Any = faiss
"""For what FAISS's type stubs have wrong."""


class InvertedLists:
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
