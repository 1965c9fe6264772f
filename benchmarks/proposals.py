"""How long the next question takes to choose, with very many images and answers.

    python -m benchmarks.proposals [--images 1000000] [--answers 1000000] [--keep]

Vectors lie around the centres of so many groups. The answers are what placing asks: each image with
the exemplar of its group, or with that of another one. Then questions are drawn and answered, one
after the other, as the labeler does it between two clicks.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from benchmarks.answers.surroundings import described, today
from likewise.answers.ledger import Ledger
from likewise.answers.placing import CoverPlace
from likewise.answers.pool import Pool
from likewise.answers.standing import Answer, Verdict, pair_of
from likewise.neighbours.cells import quick_graph

RESULTS = Path(__file__).resolve().parent / "results"
DIM, GROUPS, SPREAD, NEIGHBOURS = 64, 300, 0.7, 10
SAME = 0.5
"""Share of the answers that are "similar"."""


@dataclass(frozen=True)
class Crowd:
    """Images with a known group each."""

    pool: Pool
    groups: Int64[np.ndarray, " N"]
    exemplars: Int64[np.ndarray, " G"]
    """One row of each group."""

    def answers(self, count: int, seed: int) -> Iterator[Answer]:
        """Right ones, about images and exemplars."""
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(self.groups))
        when = datetime(2026, 1, 1, tzinfo=UTC)
        for number in range(1, count + 1):
            row = int(rows[number % len(rows)])
            same = rng.random() < SAME
            group = self.groups[row] if same else rng.integers(GROUPS)
            other = int(self.exemplars[group])
            if other != row:
                yield self.answer(row, other, number, when + timedelta(seconds=number))

    def answer(self, one: int, two: int, number: int, when: datetime) -> Answer:
        """The right one."""
        a, b = pair_of(self.pool.ids[one], self.pool.ids[two])
        verdict: Verdict = "similar" if self.groups[one] == self.groups[two] else "dissimilar"
        score = float(self.pool.vectors[one] @ self.pool.vectors[two])
        return Answer(a, b, verdict, "anna", when, "cover-place-spread", score, "f", number)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--keep", action="store_true", help="into benchmarks/results, dated")
    given = parser.parse_args()
    lines = ["| step | seconds |", "|---|---|"]

    def told(step: str, seconds: float) -> None:
        lines.append(f"| {step} | {seconds:,.1f} |")
        print(lines[-1], flush=True)

    began = time.perf_counter()
    crowd = crowd_of(given.images)
    told(f"(make {given.images:,} images and their neighbours)", time.perf_counter() - began)
    began = time.perf_counter()
    ledger = Ledger()
    for each in crowd.answers(given.answers, 0):
        ledger.add(each)
    told(f"read {given.answers:,} answers", time.perf_counter() - began)
    began = time.perf_counter()
    proposer = CoverPlace(crowd.pool, 0)
    taken = set(ledger.answered())
    proposer.next(ledger, taken)
    told("first question", time.perf_counter() - began)
    milliseconds = []
    for number in range(given.questions):
        began = time.perf_counter()
        proposal = proposer.next(ledger, taken)
        milliseconds.append(1000 * (time.perf_counter() - began))
        assert proposal is not None
        ends = [crowd.pool.positions[image] for image in (proposal.a, proposal.b)]
        ledger.add(crowd.answer(ends[0], ends[1], given.answers + number + 1, datetime.now(UTC)))
        taken.add((proposal.a, proposal.b))
    ranked = sorted(milliseconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    summary = (
        f"Next question, of {given.questions}: median {statistics.median(ranked):.1f} ms, "
        f"p95 {ranked[int(0.95 * len(ranked))]:.1f} ms, longest {ranked[-1]:.1f} ms; "
        f"peak memory {peak:.1f} GB."
    )
    surroundings = described("", "benchmarks.proposals")
    text = "\n".join([f"# Next question, {today()}", "", surroundings, *lines, "", summary, ""])
    print(f"\n{summary}\n{surroundings}")
    if given.keep:
        (RESULTS / f"{today()}-proposals.md").write_text(text, encoding="utf-8")


def crowd_of(count: int) -> Crowd:
    """Images around the centres of `GROUPS` groups, with their neighbour graph."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((GROUPS, DIM), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    groups = rng.integers(GROUPS, size=count)
    vectors: Float32[np.ndarray, "N D"] = rng.standard_normal((count, DIM), np.float32)
    vectors *= np.float32(SPREAD / np.sqrt(DIM))
    vectors += centres[groups]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"{row:032x}" for row in range(count)]
    neighbours = quick_graph(vectors, NEIGHBOURS)[0]
    pool = Pool(
        ids, vectors, np.arange(count), {each: row for row, each in enumerate(ids)}, neighbours
    )
    _, exemplars = np.unique(groups, return_index=True)
    return Crowd(pool, groups, exemplars)


if __name__ == "__main__":
    main()
