"""The neighbour index on Milvus: a collection of one model's vectors, searched where they are.

Milvus (Wang et al. 2021) spreads a collection over machines. Up to `FLAT_UP_TO` vectors all are
compared, as here; beyond, each segment has a graph (HNSW: Malkov and Yashunin 2018). Milvus Lite
answers to the same client, from a file. pymilvus is imported when it is first needed.
"""

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from likewise.errors import LikewiseError
from likewise.files import reason_of
from likewise.neighbours.milvus_place import Place
from likewise.neighbours.vector_index import FLAT_UP_TO, Found, check_questions, check_vectors
from likewise.progress import progress

_CONNECT_SECONDS = 10
_SECONDS = 120
"""For which a call is tried again while the server does not answer; building may take longer."""
_BATCH_BYTES, _BATCH = 2**23, 4096
"""Sent at a time, at most: Milvus takes 64 MiB."""
_QUESTIONS = 512
"""Asked at a time, which bounds the memory of both sides."""
_KEYS = 16_384
"""Keys that are listed at a time."""
_GRAPH = {"M": 32, "efConstruction": 256}
"""Links of a vector, and how many are looked at to choose them."""
_LOOKED_AT = 512
"""Vectors that a search in the graph looks at, at least."""


class MilvusIndex:
    """The vectors of one model of one workspace on Milvus."""

    def __init__(self, place: Place) -> None:
        """Connect.

        Raises:
            LikewiseError: the server cannot be reached, or pymilvus is not installed.
        """
        self.place = place
        self._name = place.collection
        self._fresh = "Bounded"
        with _told(place):
            self._client = _client(place.server, place.token, place.database)
            if self._exists():
                self._client.load_collection(self._name)

    def fill(self, keys: Int64[np.ndarray, " N"], vectors: Float32[np.ndarray, "N D"]) -> None:
        """Hold these vectors and no others; those that are there are not sent again.

        See `VectorIndex`.
        """
        check_vectors(keys, vectors)
        with _told(self.place):
            self._fresh = "Strong"  # from now on searches see all that was written
            self._prepare(vectors.shape[1], len(keys))
            there = self._keys()
            self._remove(np.setdiff1d(there, keys))
            self._send(keys, vectors, np.flatnonzero(~np.isin(keys, there)))
            self._client.flush(self._name)

    def count(self) -> int:
        """How many vectors are there; 0 where there is no collection."""
        with _told(self.place):
            if not self._exists():
                return 0
            return int(self._query(output_fields=["count(*)"])[0]["count(*)"])

    def search(self, questions: Float32[np.ndarray, "Q D"], k: int) -> Found:
        """The ``k`` nearest of each question; see `VectorIndex`."""
        with _told(self.place):
            check_questions(questions, self._dim, k)
            keys = np.full((len(questions), k), -1, np.int64)
            similarities = np.full((len(questions), k), -1, np.float32)
            for start in range(0, len(questions), _QUESTIONS):
                found = self._client.search(
                    self._name,
                    data=list(questions[start : start + _QUESTIONS]),
                    limit=k,
                    output_fields=["id"],
                    search_params={"metric_type": "IP", "params": {"ef": max(_LOOKED_AT, k)}},
                    consistency_level=self._fresh,
                    timeout=_SECONDS,
                )
                for row, hits in enumerate(found, start):
                    keys[row, : len(hits)] = [hit["id"] for hit in hits]
                    similarities[row, : len(hits)] = [hit["distance"] for hit in hits]
        return keys, similarities

    def described(self, count: int) -> str:
        """Where the vectors are, and how they are searched, in words."""
        how = "exact (flat" if count <= FLAT_UP_TO else "approximate (HNSW"
        return f"Milvus at {self.place.shown}, {self._name}: {how}; {count:,} vectors)"

    @functools.cached_property
    def _dim(self) -> int:
        if not self._exists():
            raise LikewiseError(
                f"Milvus at {self.place.shown} has no collection {self._name}; run "
                "`likewise embed`, which makes it"
            )
        fields = self._client.describe_collection(self._name, timeout=_SECONDS)["fields"]
        return int(next(each["params"]["dim"] for each in fields if each["name"] == "vector"))

    def _exists(self) -> bool:
        return bool(self._client.has_collection(self._name, timeout=_SECONDS))

    def _prepare(self, dim: int, count: int) -> None:
        """Make the collection, or give it the kind of index that suits so many vectors."""
        from pymilvus import DataType, MilvusClient

        kind = "FLAT" if count <= FLAT_UP_TO else "HNSW"
        index = MilvusClient.prepare_index_params()
        index.add_index(
            "vector",
            index_name="vector",
            index_type=kind,
            metric_type="IP",
            params=_GRAPH if kind == "HNSW" else {},
        )
        if not self._exists():
            schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
            self._client.create_collection(
                self._name, schema=schema, index_params=index, timeout=_SECONDS
            )
        elif self._dim != dim:
            raise LikewiseError(
                f"collection {self._name} on Milvus at {self.place.shown} holds vectors of "
                f"{self._dim} numbers, not {dim}; drop it there, and run `likewise embed`"
            )
        elif self._kind() != kind:
            self._client.release_collection(self._name, timeout=_SECONDS)
            self._client.drop_index(self._name, "vector", timeout=_SECONDS)
            self._client.create_index(self._name, index)
        self._client.load_collection(self._name)

    def _kind(self) -> str:
        described = self._client.describe_index(self._name, "vector", timeout=_SECONDS) or {}
        return str(described.get("index_type"))

    def _query(self, **what: Any) -> Any:
        return self._client.query(
            self._name, filter="", consistency_level="Strong", timeout=_SECONDS, **what
        )

    def _keys(self) -> Int64[np.ndarray, " N"]:
        """All keys that are there, rising."""
        parts = self._client.query_iterator(
            self._name,
            batch_size=_KEYS,
            output_fields=["id"],
            consistency_level="Strong",
            timeout=_SECONDS,
        )
        found = [np.empty(0, np.int64)]
        while part := parts.next():
            found.append(np.array([each["id"] for each in part], np.int64))
        parts.close()
        return np.unique(np.concatenate(found))

    def _remove(self, keys: Int64[np.ndarray, " M"]) -> None:
        for start in range(0, len(keys), _BATCH):
            part = keys[start : start + _BATCH].tolist()
            self._client.delete(self._name, ids=part, timeout=_SECONDS)

    def _send(
        self,
        keys: Int64[np.ndarray, " N"],
        vectors: Float32[np.ndarray, "N D"],
        missing: Int64[np.ndarray, " M"],
    ) -> None:
        """Send some rows; the same again changes nothing, so a broken connection costs nothing."""
        batch = max(1, min(_BATCH, _BATCH_BYTES // (4 * vectors.shape[1])))
        with progress("Milvus", len(keys), "vectors", len(keys) - len(missing)) as advance:
            for start in range(0, len(missing), batch):
                part = missing[start : start + batch]
                rows = zip(keys[part].tolist(), np.asarray(vectors[part]), strict=True)
                self._client.upsert(
                    self._name,
                    data=[{"id": key, "vector": vector} for key, vector in rows],
                    timeout=_SECONDS,
                )
                advance(len(part))


@functools.cache
def _client(server: str, token: str, database: str) -> Any:
    """The connection to a server, one per process; a file stays open until the process ends."""
    from pymilvus import MilvusClient

    for name in ("pymilvus", "milvus_lite", "grpc"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they log what they raise
    return MilvusClient(server, token=token, db_name=database, timeout=_CONNECT_SECONDS)


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """What Milvus and its client complain of, in one line without credentials."""
    try:
        from grpc import RpcError
        from pymilvus.exceptions import MilvusException
    except ImportError as error:
        raise LikewiseError(
            f"vectors are searched on Milvus at {place.shown}, which needs pymilvus: "
            "`pip install 'likewise[milvus]'`"
        ) from error
    try:
        yield
    except (MilvusException, RpcError) as error:
        said = str(getattr(error, "message", "") or reason_of(error)).strip().partition("\n")[0]
        todo = (
            "another process may have it open (`milvus-lite server` serves several)"
            if place.is_file
            else "is it running, and is this its URL in `vectors` of workspace.toml or in "
            "LIKEWISE_VECTORS_URL?"
        )
        raise LikewiseError(f"Milvus at {place.shown}: {said}; {todo}") from error
