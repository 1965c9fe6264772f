"""How often the intervals of the stop signal and of the threshold hold the truth.

    python -m benchmarks.forecast --data mnist orl omniglot --seeds 24

Simulated annotators answer the questions of a session on data whose classes are known. After 100,
200 and 400 answers, what `likewise status` would say is compared with the truth: the share of the
images that would be put among their own kind, now and after 100 more answers, and the error rates
of the threshold. Prints Markdown tables.
"""

import argparse
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64
from threadpoolctl import threadpool_limits

from benchmarks.answers.arms import DEFAULT, proposer_of
from benchmarks.answers.datasets import RECIPES, load
from benchmarks.answers.measure import Bench, bench_of
from benchmarks.answers.records import code_digest
from benchmarks.answers.simulation import ANNOTATORS, Annotator, session
from benchmarks.answers.surroundings import described
from likewise.answers.belief import Belief
from likewise.answers.calibrating import pair_sample
from likewise.answers.ledger import Ledger
from likewise.answers.links import Links
from likewise.answers.outlook import outlook
from likewise.answers.reserved import unspoilt
from likewise.answers.standing import Answer
from likewise.evaluation.forecast import MORE, Estimate, Forecast
from likewise.evaluation.prospects import belief_on, forecast_with, threshold_with
from likewise.evaluation.threshold import Rate, Threshold
from likewise.workspace import Workspace

BUDGETS = (100, 200, 400)
ROOT = Path(__file__).resolve().parents[1]
_HEAD = "data|annotator|answers|said"
_STOP = (
    f"{_HEAD}|now: truth|bias|holds|wide|after {MORE}: truth|bias|holds|wide|gain: truth|bias|holds"
    "|wide|stop|gain then|left then"
)
_RATES = f"{_HEAD}|FAR: truth|bias|holds|wide|FRR: truth|bias|holds|wide"


@dataclass(frozen=True)
class Said:
    """What was said at a budget of one session, and what is true."""

    forecast: Forecast
    now: float
    """Share of the images among their own kind, 0 to 1."""
    later: float
    """The same after `MORE` further answers."""
    threshold: Threshold | None
    rates: tuple[float, float]
    """Shares of different pairs that pass the threshold, and of same pairs that do not."""
    left: int | None
    """Estimated answers until every image has its place."""


@dataclass(frozen=True)
class Truth:
    """What is known of a data set."""

    bench: Bench

    @cached_property
    def kinds(self) -> np.ndarray:
        """The number of the class of each row of the pool's vectors."""
        names = [self.bench.classes[str(each)] for each in self.bench.embeddings.ids]
        return np.unique(names, return_inverse=True)[1]

    @cached_property
    def pairs(self) -> tuple[Float64[np.ndarray, " P"], Bool[np.ndarray, " P"]]:
        """Similarities of all pairs, or of many, and which are the same."""
        vectors = np.asarray(self.bench.embeddings.vectors)
        first, second, near = pair_sample(vectors, self.bench.pool.every)
        return near, self.kinds[first] == self.kinds[second]

    def quality(self, belief: Belief) -> float:
        """How many images are among their own kind if each is put with the nearest placed one."""
        placed, kinds = belief.placement(), self.kinds
        vectors = np.asarray(self.bench.embeddings.vectors)
        counts = np.zeros((placed.groups.max() + 1, kinds.max() + 1))
        np.add.at(counts, (placed.groups, kinds[placed.rows]), 1)
        rows = self.bench.pool.every
        group = placed.groups[(vectors[rows] @ vectors[placed.rows].T).argmax(axis=1)]
        group[np.searchsorted(rows, placed.rows)] = placed.groups
        return float((counts.argmax(axis=1)[group] == kinds[rows]).mean())

    def rates(self, at: Threshold | None) -> tuple[float, float]:
        """How many different pairs pass, and how many same ones do not."""
        if at is None:
            return float("nan"), float("nan")
        near, same = self.pairs
        passed = near >= at.similarity
        return float(passed[~same].mean()), float((~passed[same]).mean())


def said_in(truth: Truth, annotator: Annotator, seed: int) -> Iterator[tuple[int, Said]]:
    """What is said at each budget of one session, where there are as many answers."""
    bench = truth.bench
    asker = proposer_of(DEFAULT, bench.embeddings, seed)
    done = session(asker, annotator, bench.classes, max(BUDGETS) + MORE, seed).answers
    answers = [replace(each, fingerprint=bench.embeddings.fingerprint) for each in done]
    for budget in BUDGETS:
        if len(answers) < budget + MORE:
            return
        ledger = Ledger(answers[:budget])
        belief = belief_on(bench.embeddings, ledger, ())
        later = belief_on(bench.embeddings, Ledger(answers[: budget + MORE]), ())
        at = _threshold(bench, ledger.settled(), belief, seed)
        yield (
            budget,
            Said(
                forecast_with(belief, seed=seed),
                truth.quality(belief),
                truth.quality(later),
                at,
                truth.rates(at),
                outlook(ledger.settled(), bench.classes.keys()).left,
            ),
        )


def _threshold(
    bench: Bench, settled: Sequence[Answer], belief: Belief, seed: int
) -> Threshold | None:
    """The threshold of an embedding that has learnt from no answers."""
    drawn = unspoilt(settled, Links())
    nowhere = Workspace(ROOT)  # asked only where another embedding drew pairs
    return threshold_with(nowhere, bench.embeddings, drawn, (), belief.rates, seed=seed)


def after(told: Forecast) -> Estimate | None:
    """The estimate for `MORE` more answers, as the Progress page shows it."""
    if told.now is None or told.gain is None:
        return None
    now, gain = told.now, told.gain
    return Estimate(
        min(1.0, now.value + gain.value),
        min(1.0, now.low + gain.low),
        min(1.0, now.high + gain.high),
    )


def stop_cells(said: Sequence[Said]) -> list[str]:
    """Columns of the stop signal: all in points of a hundred but counts."""
    told = [each for each in said if each.forecast.now is not None]
    now = [(each.now, each.forecast.now) for each in told]
    later = [(each.later, after(each.forecast)) for each in told]
    gain = [(max(0.0, each.later - each.now), each.forecast.gain) for each in told]
    stop = [each for each in told if each.forecast.stop]
    gained = [100 * (each.later - each.now) for each in stop]
    left = [each.left for each in stop if each.left is not None]
    return [
        f"{len(told)} of {len(said)}",
        *_against(now),
        *_against(later),
        *_against(gain),
        str(len(stop)),
        f"{statistics.mean(gained):.1f} (at most {max(gained):.1f})" if gained else "",
        f"{min(left):,} to {max(left):,}" if left else "",
    ]


def rate_cells(said: Sequence[Said]) -> list[str]:
    """Columns of the threshold's error rates, in points of a hundred."""
    told = [(each.threshold, each.rates) for each in said if each.threshold is not None]
    accept = [(rates[0], at.false_accept) for at, rates in told]
    reject = [(rates[1], at.false_reject) for at, rates in told]
    return [f"{len(told)} of {len(said)}", *_against(accept), *_against(reject)]


def _against(found: Iterable[tuple[float, Estimate | Rate | None]]) -> list[str]:
    """Mean truth, bias of the estimate, share of the intervals that hold, and their width."""
    known = [(true, each) for true, each in found if each is not None]
    if not known:
        return [""] * 4
    truth, estimates = np.array([true for true, _ in known]), [each for _, each in known]
    value, low, high = (
        np.array([getattr(each, end) for each in estimates]) for end in ("value", "low", "high")
    )
    holds = (low <= truth) & (truth <= high)
    return [
        f"{100 * truth.mean():.1f}",
        f"{100 * (value - truth).mean():+.1f}",
        f"{100 * holds.mean():.0f} %",
        f"{100 * (high - low).mean():.1f}",
    ]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="Whether stated intervals hold the truth.")
    parser.add_argument("--data", nargs="+", default=["mnist", "orl"], choices=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--annotators", nargs="+", default=list(ANNOTATORS), choices=ANNOTATORS)
    parser.add_argument("--cache", type=Path, default=ROOT / "data" / "answers")
    given = parser.parse_args()
    threadpool_limits(1)
    tables: dict[str, list[str]] = {_STOP: [], _RATES: []}
    everything: list[Said] = []
    for name in given.data:
        truth = Truth(bench_of(load(name, given.cache), given.cache))
        for annotator in given.annotators:
            said: dict[int, list[Said]] = {budget: [] for budget in BUDGETS}
            for seed in range(given.seeds):
                for budget, each in said_in(truth, ANNOTATORS[annotator], seed):
                    said[budget].append(each)
            for budget, found in said.items():
                first = [name, annotator, str(budget)]
                tables[_STOP].append(_row((*first, *stop_cells(found))))
                tables[_RATES].append(_row((*first, *rate_cells(found))))
                everything += found
            print(f"{name} {annotator}: done", file=sys.stderr, flush=True)
    print(described(code_digest(), "benchmarks.forecast"))
    for (head, rows), cells in zip(tables.items(), (stop_cells, rate_cells), strict=True):
        columns = head.split("|")
        total = _row(("all", "", "", *cells(everything)))
        print("\n".join((_row(columns), _row(["---"] * len(columns)), *rows, total)), end="\n\n")


if __name__ == "__main__":
    main()
