"""Vectors come, go and are replaced, of several models in turn: found as by a slow loop."""

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float32

from likewise.neighbours.faiss_index import FaissIndex
from likewise.neighbours.searcher import Searcher
from likewise.neighbours.vector_index import keys_of
from likewise.neighbours.vectors import INDEX, Embeddings, load_embeddings, renew, write_embeddings
from likewise.workspace import Workspace
from tests.breaking import Figure, times

DIM, MODELS, AT_ONCE = 16, ("model-a", "model-b", "model-c"), 20
NEAREST = 5


def vector_of(model: str, image: str) -> Float32[np.ndarray, " D"]:
    """What a model makes of an image: always the same, and of each model another."""
    seed = hashlib.blake2b(f"{model} {image}".encode(), digest_size=8).digest()
    drawn = np.random.default_rng(int.from_bytes(seed)).normal(size=DIM)
    return np.asarray(drawn / np.linalg.norm(drawn), np.float32)


class Images:
    """What should be true: the images that are there, and what each model's vectors are of."""

    def __init__(self, workspace: Workspace, seed: int) -> None:
        self.workspace, self.dice = workspace, random.Random(seed)
        self.there = [self.new() for _ in range(60)]
        self.embedded: dict[str, list[str]] = {}
        self.newest = ""
        self.done = self.searches = self.mismatches = 0
        self.opened: dict[str, Searcher] = {}

    def new(self) -> str:
        return f"{self.dice.getrandbits(128):032x}"

    def turn(self) -> None:
        """Some images come, go or change; a model is embedded; some questions are asked."""
        for _ in range(self.dice.randint(1, AT_ONCE)):
            self.change()
        model = self.dice.choice(MODELS)
        if model in self.embedded and self.dice.random() < 0.2:
            renew(self.workspace, model, "run")  # as it was, and yet the newest
        else:
            self.embed(model)
        self.newest = model
        for _ in range(AT_ONCE // 2):
            self.ask(self.dice.choice([*self.embedded]))

    def change(self) -> None:
        self.done += 1
        kind = self.dice.choice(["add", "remove", "replace"])
        if kind != "add" and len(self.there) > 30:
            self.there.pop(self.dice.randrange(len(self.there)))
        if kind != "remove":  # the content of a file changed: another image
            self.there.insert(self.dice.randrange(len(self.there) + 1), self.new())

    def embed(self, model: str) -> None:
        self.embedded[model] = list(self.there)
        vectors = np.stack([vector_of(model, each) for each in self.there])
        write_embeddings(self.workspace, [vectors], np.array(self.there), DIM, model, "run")
        self.opened.pop(model, None)

    def ask(self, model: str) -> None:
        """The nearest of an image that is there, or of none."""
        self.done += 1
        self.searches += 1
        if model not in self.opened or self.dice.random() < 0.1:
            self.opened[model] = Searcher(load_embeddings(self.workspace, model))
        asked = vector_of(model, self.dice.choice([*self.embedded[model], self.new()]))
        rows, near = self.opened[model].search(asked, NEAREST)
        ids = [str(self.opened[model].embeddings.ids[row]) for row in rows]
        slowly = sorted(
            ((float(vector_of(model, each) @ asked), each) for each in self.embedded[model]),
            reverse=True,
        )[:NEAREST]
        same = ids == [each for _, each in slowly]
        if not same or not np.allclose(near, [each for each, _ in slowly], atol=1e-5):
            self.mismatches += 1

    def compare(self) -> None:
        """All that lies on disk, of every model."""
        assert load_embeddings(self.workspace).fingerprint == self.newest
        for model, ids in self.embedded.items():
            embeddings = load_embeddings(self.workspace, model)
            vectors = np.stack([vector_of(model, each) for each in ids])
            assert [str(each) for each in embeddings.ids] == ids
            assert np.array_equal(embeddings.vectors, vectors), "of this model alone"
            rows, _ = embeddings.neighbours()
            products = vectors @ vectors.T
            np.fill_diagonal(products, -2)
            assert np.array_equal(rows[:, :NEAREST], np.argsort(-products)[:, :NEAREST])
            assert_index(embeddings, products)


def assert_index(embeddings: Embeddings, products: Float32[np.ndarray, "N N"]) -> None:
    """FAISS's own file answers in the keys of these images."""
    if embeddings.place is None:
        found, _ = FaissIndex(embeddings.folder / INDEX).search(embeddings.vectors[:], 2)
        keys = keys_of(embeddings.ids)
        assert np.array_equal(found, np.stack([keys, keys[products.argmax(axis=1)]], axis=1))


@pytest.mark.breaking
@pytest.mark.parametrize("kind", ["FAISS", "Milvus Lite"])
@times(reduced=60, full=10_000)
def test_random_changes_and_searches_are_those_of_a_slow_loop(
    workspace: Workspace, milvus_file: Path, figure: Figure, kind: str, times: int
) -> None:
    workspace.create()
    if kind == "Milvus Lite":
        workspace.update(vectors=str(milvus_file))
    images, turns = Images(workspace, seed=times), 0
    while images.done < times:
        images.turn()
        turns += 1
        if turns % 25 == 1:
            images.compare()
    images.compare()
    figure(
        f"{kind}, {len(MODELS)} models in turn: {images.done:,} operations, {images.searches:,} "
        f"of them searches: {images.mismatches} mismatches"
    )
    assert images.mismatches == 0
