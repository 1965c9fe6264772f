"""`likewise verify --pairs`: judges the pairs of a file, and measures where the truth is known."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from likewise import notebook
from likewise.answers.tabular import Record, kind_of, write_records
from likewise.errors import LikewiseError, UsageError
from likewise.evaluation.protocol import RATES, Protocol, measure, units_of
from likewise.evaluation.threshold import Threshold
from likewise.evaluation.verdict import Judgement
from likewise.files import replacing
from likewise.images.look import Look
from likewise.images.manifest import display
from likewise.inference.pair_files import Asked, End, EndFinder, Problem, read_pairs
from likewise.inference.protocol_text import protocol_json, protocol_lines
from likewise.inference.verifier import Verifier, threshold_json
from likewise.neighbours.pictures import embed_pictures
from likewise.notebook import Displayed
from likewise.settings import Verify
from likewise.workspace import Workspace

COLUMNS = (
    *("row", "path_a", "path_b", "id_a", "id_b", "similarity"),
    *("probability", "low", "high", "verdict", "truth"),
)
Reader = Callable[[EndFinder], tuple[list[Asked], list[Problem]]]
_SHOWN = 5
"""Problems that are told to a person; JSON holds them all."""


@dataclass(frozen=True)
class Compared:
    """A pair with its judgement."""

    asked: Asked
    ids: tuple[str, str]
    similarity: float
    judgement: Judgement

    def record(self) -> Record:
        """Its row in the table of results."""
        asked, judgement = self.asked, self.judgement
        truth = None if asked.same is None else "same" if asked.same else "different"
        values = (
            *(asked.row, display(asked.a.shown), display(asked.b.shown), *self.ids),
            *(self.similarity, judgement.probability, judgement.low, judgement.high),
            *(judgement.verdict, truth),
        )
        return dict(zip(COLUMNS, values, strict=True))


@dataclass(frozen=True)
class VerifiedPairs(Displayed):
    """What is to be said of the pairs of a file."""

    source: str
    """The file, or what else holds the pairs."""
    pairs: tuple[Compared, ...]
    problems: tuple[Problem, ...]
    threshold: Threshold | None
    protocol: Protocol | None
    """None without pairs of both kinds whose truth is told."""
    learnt: int
    """Pairs that the model may have learnt from: they flatter it."""
    model: str
    fingerprint: str
    notes: tuple[str, ...]
    out: Path | None
    plot: Path | None
    look: Look | None = field(default=None, repr=False, compare=False)
    """Shows the pictures in a notebook."""

    def _repr_html_(self) -> str:
        from likewise.inference.displays import verified_pairs as shown

        return notebook.text(self.as_text()) if self.look is None else shown(self, self.look)

    def counts(self) -> dict[str, int]:
        """How many pairs have which verdict."""
        verdicts = [each.judgement.verdict for each in self.pairs]
        return {name: verdicts.count(name) for name in ("same", "different", "uncertain")}

    def as_json(self) -> dict[str, Any]:
        """All figures; the pairs themselves unless a table was written."""
        told: dict[str, Any] = {
            "pairs": len(self.pairs),
            **self.counts(),
            **threshold_json(self.threshold),
            "protocol": None if self.protocol is None else protocol_json(self.protocol),
            "learnt_from": self.learnt,
            "problems": [{"row": row, "reason": reason} for row, reason in self.problems],
            "model": self.model,
            "fingerprint": self.fingerprint,
            "notes": list(self.notes),
            "out": None if self.out is None else str(self.out),
            "plot": None if self.plot is None else str(self.plot),
        }
        if self.out is None:
            told["results"] = [each.record() for each in self.pairs]
        return told

    def as_text(self) -> str:
        """What a person reads."""
        said = ", ".join(f"{count:,} {name}" for name, count in self.counts().items())
        lines = [f"{len(self.pairs):,} pairs of {self.source} ({self.model}): {said}"]
        if self.threshold is not None:
            lines.append(f"{self.threshold.as_text()} ({self.threshold.answers_text()})")
        lines += self.notes
        if self.protocol is not None:
            lines += ["", *protocol_lines(self.protocol)]
        if self.learnt:
            lines.append(
                f"{self.learnt:,} of the pairs are known to the model from answers, which flatters "
                "it"
            )
        if self.problems:
            lines.append(f"{len(self.problems):,} rows could not be used:")
            lines += [f"  row {row}: {reason}" for row, reason in self.problems[:_SHOWN]]
            if len(self.problems) > _SHOWN:
                lines.append("  ... (--json lists them all)")
        lines += [f"written: {each}" for each in (self.out, self.plot) if each is not None]
        return "\n".join(lines)


def verify_pairs(workspace: Workspace, file: Path, settings: Verify) -> VerifiedPairs:
    """Judge every pair of a file.

    Raises:
        UsageError: a suffix is unknown, or a setting makes no sense.
        LikewiseError: no embeddings, the file has no usable pair, a curve is wanted but the file
            tells no truth, or nothing can be written.
    """
    return verify_rows(
        workspace, lambda finder: read_pairs(file, finder), str(file), file.parent, settings
    )


def verify_rows(
    workspace: Workspace, read: Reader, source: str, beside: Path, settings: Verify
) -> VerifiedPairs:
    """The same for pairs from anywhere.

    Args:
        workspace: Where model, embeddings and answers are.
        read: Gives the pairs; it is told how images are found.
        source: What to call the place they come from.
        beside: A folder from which relative paths may count.
        settings: Threshold, table, plot, resamples.
    """
    if settings.out is not None:
        kind_of(settings.out)
    if settings.bootstrap < 0:
        raise UsageError("--bootstrap must be 0 or more")
    verifier = Verifier(workspace, settings.far, settings.seed)
    asked, problems = read(EndFinder(verifier.images, workspace.config.roots, beside))
    pairs, unread = _compare(verifier, asked)
    problems = sorted([*problems, *unread])
    if not pairs:
        why = f"; row {problems[0][0]}: {problems[0][1]}" if problems else ""
        raise LikewiseError(f"{source} has no pair that can be used{why}")
    protocol = _measure(pairs, verifier, settings)
    if settings.plot is not None:
        if protocol is None:
            raise LikewiseError(
                f"{source} tells no truth of both kinds to draw a curve of; add a column 'same' "
                "with 1 and 0"
            )
        _draw(protocol, verifier.embeddings.model, settings.plot)
    if settings.out is not None:
        write_records(settings.out, [each.record() for each in pairs], COLUMNS)
    return VerifiedPairs(
        source=source,
        pairs=tuple(pairs),
        problems=tuple(problems),
        threshold=verifier.threshold,
        protocol=protocol,
        learnt=sum(verifier.learnt.relation(*each.ids) is not None for each in pairs),
        model=verifier.embeddings.model,
        fingerprint=verifier.embeddings.fingerprint,
        notes=verifier.notes(),
        out=settings.out,
        plot=settings.plot,
        look=Look(workspace, verifier.images),
    )


def _compare(verifier: Verifier, asked: Sequence[Asked]) -> tuple[list[Compared], list[Problem]]:
    """The pairs whose images both have a vector, judged; and the others."""
    vectors = _Vectors(verifier, [end for each in asked for end in (each.a, each.b)])
    usable: list[tuple[Asked, tuple[str, str]]] = []
    problems: list[Problem] = []
    for each in asked:
        try:
            usable.append((each, (vectors.id_of(each.a), vectors.id_of(each.b))))
        except LikewiseError as error:
            problems.append((each.row, str(error)))
    near = np.array([vectors.cosine(*ids) for _, ids in usable], np.float64)
    judged = [
        Judgement("same", 1.0, 1.0, 1.0) if a == b else judgement
        for (_, (a, b)), judgement in zip(usable, verifier.judge(near), strict=True)
    ]
    return [
        Compared(each, ids, float(similarity), judgement)
        for (each, ids), similarity, judgement in zip(usable, near, judged, strict=True)
    ], problems


class _Vectors:
    """The images of pairs by id, with their vectors; each file is read once."""

    def __init__(self, verifier: Verifier, ends: Sequence[End]) -> None:
        self._embeddings = verifier.embeddings
        files = sorted({end.file for end in ends if end.file is not None})
        found = embed_pictures(verifier.workspace, self._embeddings, files)
        self._ids = {os.path.realpath(each.path): each.id for each in found.read}
        self._reasons = {os.path.realpath(path): reason for path, reason in found.failures}
        self._new: dict[str, Float32[np.ndarray, " D"]] = {
            each.id: each.vector for each in found.read if each.id not in self._embeddings.positions
        }

    def id_of(self, end: End) -> str:
        if end.file is None:
            if end.id in self._embeddings.positions:
                return end.id
            raise LikewiseError(f"{end.shown} has no embedding yet; run `likewise embed`")
        real = os.path.realpath(end.file)
        if real in self._ids:
            return self._ids[real]
        raise LikewiseError(f"{end.shown}: {self._reasons.get(real, 'could not be read')}")

    def cosine(self, a: str, b: str) -> float:
        first, second = (self._vector(each).astype(np.float64) for each in (a, b))
        return float(np.clip(first @ second, -1, 1))

    def _vector(self, image: str) -> Float32[np.ndarray, " D"]:
        row = self._embeddings.positions.get(image)
        return self._new[image] if row is None else np.asarray(self._embeddings.vectors[row])


def _measure(pairs: Sequence[Compared], verifier: Verifier, settings: Verify) -> Protocol | None:
    known = [each for each in pairs if each.asked.same is not None]
    same = np.array([bool(each.asked.same) for each in known], bool)
    if not same.any() or same.all():
        return None
    told = [each.asked.subjects for each in known]
    subjects = None if None in told else _numbers([each for each in told if each is not None])
    threshold = verifier.threshold
    return measure(
        np.array([each.similarity for each in known], np.float64),
        same,
        units_of(_numbers([each.ids for each in known]), subjects),
        rates=sorted({*RATES, settings.far}, reverse=True),
        thresholds=() if threshold is None else (threshold.similarity,),
        resamples=settings.bootstrap,
        seed=settings.seed,
    )


def _numbers(names: Sequence[tuple[str, str]]) -> Int64[np.ndarray, "P 2"]:
    _, numbers = np.unique(np.array(names), return_inverse=True)
    return numbers.reshape(-1, 2).astype(np.int64)


def _draw(protocol: Protocol, name: str, plot: Path) -> None:
    from likewise.evaluation.det_plot import det

    picture = det(protocol, name)
    with replacing(plot) as temporary:
        temporary.write_bytes(picture)
