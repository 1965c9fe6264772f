"""Markdown tables of the results: mean and standard deviation over seeds."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from benchmarks.answers.arms import DEFAULT
from benchmarks.answers.figures import answers_needed, gap_closed
from benchmarks.answers.measure import ALL, MAIN, NONE
from benchmarks.answers.simulation import ANNOTATORS

Record = dict[str, Any]
Value = Callable[[Record], float | None]
KINDS = (MAIN, "transductive", "unseen")
COLUMNS = ("map@r", "recall@1", "auc", "eer", "ece")
DETAILS = (
    "AUC", "EER", "calibration error", "purity", "purity (asked)", "groups", "told", "wrong",
    "min as pairs", "min as strips", "s asking", "s learning",
)  # fmt: skip
SAVED_AT = 200
GAIN = 0.005
"""Less than this in MAP@R is no gain."""


def report(name: str, found: Sequence[Record], made: str = "") -> str:
    """All tables of a data set; ``made`` says where and how."""
    seeds = len({each["seed"] for each in found})
    head = f"# Quality per answer: {name}\n\n{made}\nMean ± standard deviation of {seeds} seeds."
    parts = [head, *_references(found)]
    if len({each.get("code") for each in found}) > 1:
        parts.append("**The code changed between these results; remove the file and run again.**")
    for noise in [each for each in ANNOTATORS if any(_of(found, annotator=each, asked=True))]:
        mine = list(_of(found, annotator=noise, asked=True))
        parts.append(f"## Annotator: {noise}")
        for kind in [each for each in KINDS if any(each in record for record in found)]:
            parts += _table("Gap closed (%), MAP@R, " + _words(kind), mine, percent(found, kind), 1)
            for metric, title in (("map@r", "MAP@R"), ("recall@1", "recall@1")):
                parts += _table(f"{title}, {_words(kind)}", mine, figure(kind, metric), 3)
        parts += _details(mine)
        parts += _saved(mine, _mean_untouched(found))
    return "\n".join(parts) + "\n"


def gaps(found: Iterable[Record], kind: str) -> Value:
    """How to get the share of the gap that a result closes, against its own seed's references."""
    ends: dict[int, dict[str, float]] = defaultdict(dict)
    for each in found:
        if each["arm"] in (NONE, ALL) and kind in each:
            ends[each["seed"]][each["arm"]] = each[kind]["map@r"]

    def value(record: Record) -> float | None:
        end = ends.get(record["seed"], {})
        if len(end) < 2 or kind not in record:
            return None
        return gap_closed(record[kind]["map@r"], end[NONE], end[ALL])

    return value


def percent(found: Iterable[Record], kind: str) -> Value:
    """The same in percent."""
    gap = gaps(found, kind)

    def value(record: Record) -> float | None:
        closed = gap(record)
        return None if closed is None else 100 * closed

    return value


def figure(kind: str, metric: str) -> Value:
    """How to get a figure of a result."""

    def value(record: Record) -> float | None:
        found: float | None = record[kind][metric]
        return found

    return value


def curve(found: Iterable[Record], value: Value) -> tuple[list[int], list[float], list[float]]:
    """Budgets with mean and standard deviation over seeds."""
    rows: dict[int, list[float]] = defaultdict(list)
    for each in found:
        got = value(each)
        if got is not None:
            rows[each["budget"]].append(got)
    budgets = sorted(rows)
    return budgets, [statistics.mean(rows[each]) for each in budgets], [
        _deviation(rows[each]) for each in budgets
    ]  # fmt: skip


def arms_in(found: Iterable[Record]) -> list[str]:
    """Names of the arms, ours first."""
    names = dict.fromkeys(each["arm"] for each in found)
    return sorted(names, key=lambda name: (name != DEFAULT, "+" in name))


def _table(title: str, found: Sequence[Record], value: Value, digits: int) -> list[str]:
    budgets = sorted({record["budget"] for record in found})
    lines = [
        "",
        f"### {title}",
        "",
        _row(["arm", *(f"{each:,}" for each in budgets)]),
        _row(["---"] * (len(budgets) + 1)),
    ]
    for arm in arms_in(found):
        at, means, spreads = curve(_of(found, arm=arm), value)
        cells = {
            budget: f"{mean:.{digits}f} ± {spread:.{digits}f}"
            for budget, mean, spread in zip(at, means, spreads, strict=True)
        }
        lines.append(_row([arm, *(cells.get(budget, "") for budget in budgets)]))
    return lines


def _references(found: Sequence[Record]) -> list[str]:
    lines = ["", _row(["", "images", *COLUMNS[:4]]), _row(["---"] * 6)]
    for arm in (NONE, ALL):
        mine = [each for each in found if each["arm"] == arm]
        for kind in KINDS:
            cells = [_mean_of([each[kind][column] for each in mine if kind in each], 3)
                     for column in COLUMNS[:4]]  # fmt: skip
            if any(cells):
                lines.append(_row([arm, _words(kind), *cells]))
    return [*lines, ""]


def _details(found: Sequence[Record]) -> list[str]:
    """What else was measured, at each budget, of held-out images and of the pool's groups."""
    head = ["arm", "answers", *DETAILS]
    lines = ["", "### Pairs, groups and time", "", _row(head), _row(["---"] * len(head))]
    order = {name: place for place, name in enumerate(arms_in(found))}
    ranked = sorted(found, key=lambda each: (order[each["arm"]], each["budget"]))
    for (arm, budget), group in groupby(ranked, key=lambda each: (each["arm"], each["budget"])):
        mine = list(group)
        grouped = [each["grouping"] for each in mine if "grouping" in each]
        lines.append(_row([
            arm, str(budget),
            *(_mean_of([each[MAIN][column] for each in mine], 3) for column in COLUMNS[2:]),
            _mean_of([each["purity"] for each in grouped], 3),
            _mean_of([each["placed"]["purity"] for each in mine if "placed" in each], 3),
            _mean_of([float(each["groups"]) for each in grouped], 1),
            _mean_of([each["told"] for each in grouped], 2),
            _mean_of([float(each["wrong"]) for each in mine], 1),
            *(_mean_of([each[f"seconds as {how}"] / 60 for each in mine], 1)
              for how in ("pairs", "strips")),
            *(_mean_of([each[step] for each in mine], 2) for step in ("proposing", "learning")),
        ]))  # fmt: skip
    return lines


def _saved(found: Sequence[Record], untouched: float) -> list[str]:
    """How many answers the other arms need for what ours has after `SAVED_AT`."""
    main = figure(MAIN, "map@r")
    at, means, _ = curve(_of(found, arm=DEFAULT), main)
    if SAVED_AT not in at:
        return []
    wanted = means[at.index(SAVED_AT)]
    if wanted < untouched + GAIN:
        return ["", f"{DEFAULT} gains nothing with {SAVED_AT} answers: there are none to save."]
    lines = [
        "",
        f"### Answers for MAP@R {wanted:.3f}, which {DEFAULT} reaches with {SAVED_AT}",
        "",
        _row(["arm", "answers", "saved"]),
        _row(["---"] * 3),
    ]
    for arm in arms_in(found):
        if arm == DEFAULT:
            continue
        budgets, values, _ = curve(_of(found, arm=arm), main)
        needed = answers_needed(
            np.array(budgets, dtype=np.float64), np.array(values, dtype=np.float64), wanted
        )
        if np.isfinite(needed):
            cells = [f"{needed:,.0f}", f"{needed / SAVED_AT:.1f}x"]
        else:
            cells = [f"more than {max(budgets):,}", f"more than {max(budgets) / SAVED_AT:.0f}x"]
        lines.append(_row([arm, *cells]))
    return lines


def _mean_untouched(found: Sequence[Record]) -> float:
    ends = [each[MAIN]["map@r"] for each in found if each["arm"] == NONE]
    return statistics.mean(ends) if ends else 0.0


def _of(
    found: Iterable[Record],
    arm: str | None = None,
    annotator: str | None = None,
    asked: bool = False,
) -> Iterable[Record]:
    return (
        each
        for each in found
        if (arm is None or each["arm"] == arm)
        and (annotator is None or each["annotator"] == annotator)
        and not (asked and each["arm"] in (NONE, ALL))
    )


def _words(kind: str) -> str:
    return {
        MAIN: "held-out images",
        "transductive": "asked-about pool",
        "unseen": "unseen classes",
    }[kind]


def _mean_of(values: Sequence[float | None], digits: int) -> str:
    known = [each for each in values if each is not None]
    if not known:
        return ""
    return f"{statistics.mean(known):.{digits}f} ± {_deviation(known):.{digits}f}"


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
