"""One run: a session of questions and answers, and what each budget of it is worth."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from benchmarks.answers.arms import Arm, pool_embeddings, proposer_of
from benchmarks.answers.datasets import Data
from benchmarks.answers.figures import MOST, Compared, compare, embedding_figures, grouping
from benchmarks.answers.learners import Learnt, Refresh, all_labels, learnt, untouched
from benchmarks.answers.simulation import (
    Annotator,
    seconds_as_pairs,
    seconds_as_strips,
    session,
)
from likewise.answers.calibrating import draw_weights, pair_sample, similarity_sample
from likewise.answers.pool import Pool, pool_of
from likewise.answers.reserved import reserved, unspoilt
from likewise.answers.standing import Answer
from likewise.evaluation.calibration import calibrate, calibration_error, levels_of
from likewise.evaluation.metrics import retrieval
from likewise.neighbours.vectors import Embeddings

Record = dict[str, Any]
NONE, ALL = "no answers", "all labels"
MAIN = "inductive"


@dataclass(frozen=True)
class Bench:
    """A data set with its pool, ready to be asked about."""

    data: Data
    embeddings: Embeddings
    pool: Pool

    @cached_property
    def classes(self) -> dict[str, str]:
        """The class of each image of the pool."""
        rows = self.data.parts.pool
        ids, names = self.data.ids[rows].tolist(), self.data.classes[rows].tolist()
        return dict(zip(ids, names, strict=True))

    @cached_property
    def sampled(self) -> Int64[np.ndarray, " n"]:
        """Rows of the pool's images whose pairs stand for all."""
        first, second, _ = pair_sample(np.asarray(self.embeddings.vectors), self.pool.every)
        return np.union1d(first, second)

    @cached_property
    def drawn_from(self) -> Float64[np.ndarray, " P"]:
        """Similarities, rising, of the pairs from which those to calibrate are drawn."""
        vectors = np.asarray(self.embeddings.vectors)
        return similarity_sample(vectors, self.pool.every, self.pool.reserve)

    def similarities_in(self, told: Learnt) -> Float64[np.ndarray, " P"]:
        """Those of the sampled pairs in a learnt embedding, rising."""
        made = told.embed(np.asarray(self.embeddings.vectors)[self.sampled])
        return similarity_sample(made, np.arange(len(made)))

    @property
    def kinds(self) -> dict[str, Int64[np.ndarray, " n"]]:
        """Rows that are measured, by what they are; kinds without images are left out."""
        parts = self.data.parts
        every = {MAIN: parts.held, "transductive": parts.pool, "unseen": parts.unseen}
        return {kind: rows for kind, rows in every.items() if len(rows)}


def bench_of(data: Data, cache: Path) -> Bench:
    """Prepare what all arms share."""
    embeddings = pool_embeddings(data, cache)
    return Bench(data, embeddings, pool_of(embeddings, ()))


def references(bench: Bench, seed: int) -> Iterator[Record]:
    """The embedding without answers, and our head with all labels at its best part."""
    classes = bench.data.classes[bench.data.parts.pool]
    yield {"arm": NONE, "budget": 0, **_figures(bench, untouched(), ())}
    told = _best(bench, list(all_labels(bench.embeddings, classes, seed)))
    yield {"arm": ALL, "budget": 0, **_figures(bench, told, ())}


def run(
    bench: Bench, arm: Arm, annotator: Annotator, seed: int, budgets: Sequence[int]
) -> Iterator[Record]:
    """Ask as many questions as the greatest budget has, and measure after each budget.

    Where there is nothing left to ask, the further budgets have fewer answers than they allow.
    """
    refresh = Refresh(bench.embeddings, bench.pool, seed)
    proposer = proposer_of(arm.asks, bench.embeddings, seed, lambda: refresh.rivals)
    done = session(proposer, annotator, bench.classes, max(budgets), seed, refresh)
    for budget in sorted(budgets):
        answers = done.answers[:budget]
        began = time.perf_counter()
        tried = list(learnt(arm, bench.embeddings, bench.pool, answers, seed))
        taken = time.perf_counter() - began
        yield {
            "arm": arm.name,
            "budget": budget,
            "answers": len(answers),
            "similar": sum(each.verdict == "similar" for each in answers),
            "reserved": len(reserved(answers)),
            "wrong": _wrong(answers, bench),
            "seconds as pairs": seconds_as_pairs(len(answers)),
            "seconds as strips": seconds_as_strips([each.pair for each in answers]),
            "proposing": round(done.proposing * len(answers) / max(len(done.answers), 1), 3),
            "learning": round(taken, 3),
            **_figures(bench, _best(bench, tried), answers),
        }


def _best(bench: Bench, tried: Sequence[Learnt]) -> Learnt:
    """The setting with the best MAP@R on held-out images; untouched where nothing was learnt.

    Ours has one setting, so nothing is chosen there.
    """
    if len(tried) < 2:
        return tried[0] if tried else untouched()
    vectors, classes = bench.data.part(_some(bench.kinds[MAIN]))

    def quality(each: Learnt) -> float:
        found = retrieval(each.embed(vectors), classes, ks=(1,)).average_precision_at_r
        return float(np.nanmean(found))

    return max(tried, key=quality)


def _figures(bench: Bench, told: Learnt, answers: Sequence[Answer]) -> Record:
    result: Record = {"setting": told.setting}
    for kind, rows in bench.kinds.items():
        vectors, classes = bench.data.part(_some(rows))
        made = told.embed(vectors)
        compared = compare(made, classes)
        result[kind] = embedding_figures(made, classes, compared)
        if kind == MAIN:
            result[kind]["ece"] = _calibration(bench, told, answers, compared)
    names = bench.data.classes[bench.data.parts.pool]
    for kind, groups in (("grouping", told.groups), ("placed", told.placed)):
        if groups is not None:
            result[kind] = asdict(grouping(groups, names))
    return result


def _calibration(
    bench: Bench,
    told: Learnt,
    answers: Sequence[Answer],
    held: Compared,
) -> float:
    """How far the chance of "same" that the reserved answers teach is off on held-out pairs."""
    kept = [each for each in unspoilt(answers) if each.score is not None]
    if not kept:
        return float("nan")
    ends = np.array([[bench.pool.positions[image] for image in each.pair] for each in kept])
    vectors = np.asarray(bench.embeddings.vectors)
    similarity = np.einsum(
        "pd,pd->p", told.embed(vectors[ends[:, 0]]), told.embed(vectors[ends[:, 1]])
    ).astype(np.float64)
    asked = np.array([each.score for each in kept], dtype=np.float64)
    weights = draw_weights(asked, bench.drawn_from)
    verdicts = np.array([each.verdict == "similar" for each in kept])
    levels = levels_of(bench.similarities_in(told))
    found = calibrate(similarity, verdicts, levels, weights=weights)
    if found is None:
        return float("nan")
    chances = found.probability(held.scores.astype(np.float64))
    return calibration_error(chances, held.same, held.weights)


def _some(rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
    """At most `MOST` of the rows, evenly spaced."""
    if len(rows) <= MOST:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST).round().astype(np.int64)]


def _wrong(answers: Sequence[Answer], bench: Bench) -> int:
    """How many answers differ from the truth."""
    return sum(
        (each.verdict == "similar") != (bench.classes[each.a] == bench.classes[each.b])
        for each in answers
    )
