"""The job ``gallery evaluate``: recognition from few exemplars, beside raw pixels."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from likewise.errors import LikewiseError, UsageError
from likewise.evaluation.episodes import (
    Measured,
    Shares,
    draw_episodes,
    gain_of,
    mean_of,
    measure_episodes,
)
from likewise.evaluation.evaluate import RAW_PIXELS, raw_vector
from likewise.evaluation.omniglot_runs import RUNS, OneShotRun, is_omniglot_runs, read_runs
from likewise.inference.class_folders import class_folders
from likewise.inference.few_shot_text import FewShot, FewShotModel
from likewise.inference.recognition import unseen_by
from likewise.neighbours.pictures import embed_pictures
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.settings import GalleryEvaluate
from likewise.workspace import Workspace


class _Looked:
    """The images of a folder as the model and as raw pixels see them."""

    def __init__(self, workspace: Workspace, embeddings: Embeddings, folder: Path) -> None:
        raw: dict[str, Float32[np.ndarray, " 3072"]] = {}

        def look(image: str, pixels: UInt8[np.ndarray, "H W 3"]) -> None:
            raw[image] = raw_vector(pixels)

        read, self.failures = embed_pictures(workspace, embeddings, [folder], look)
        self.ids = {str(each.path): each.id for each in read}
        self.rows = {image: row for row, image in enumerate(raw)}
        vectors = {each.id: each.vector for each in read}
        self.raw: Float32[np.ndarray, "N 3072"] = np.stack([*raw.values()]) if raw else _NOTHING
        self.vectors: Float32[np.ndarray, "N D"] = (
            np.stack([vectors[each] for each in raw]) if raw else _NOTHING
        )
        unseen = unseen_by(workspace, embeddings)
        places = (embeddings.positions.get(each) for each in raw)
        self.trained_on = sum(row is not None and not unseen[row] for row in places)
        """Images that the model was trained on."""

    def row(self, path: str) -> int | None:
        """Of a file that could be read; the same for files of the same bytes."""
        image = self.ids.get(os.path.abspath(path))  # noqa: PTH100 - as `scan` has it
        return None if image is None else self.rows[image]


_NOTHING = np.empty((0, 0), np.float32)


def gallery_evaluate(workspace: Workspace, settings: GalleryEvaluate) -> FewShot:
    """Measure the newest model and raw pixels on class folders, or on Omniglot's runs.

    Raises:
        UsageError: a setting makes no sense, or there are too few classes for it.
        LikewiseError: no embeddings, or the folder holds nothing that can be used.
    """
    for name in ("shots", "queries", "episodes"):
        if getattr(settings, name) < 1:
            raise UsageError(f"--{name} must be at least 1")
    if settings.ways < 2:
        raise UsageError("--ways must be at least 2")
    if not settings.folder.is_dir():
        raise UsageError(f"{settings.folder} is no folder; give one of class folders")
    embeddings = load_embeddings(workspace.require())
    if is_omniglot_runs(settings.folder):
        return _on_runs(workspace, embeddings, settings)
    return _on_classes(workspace, embeddings, settings)


def _on_classes(workspace: Workspace, embeddings: Embeddings, settings: GalleryEvaluate) -> FewShot:
    files, failures = class_folders(workspace, settings.folder)
    looked = _Looked(workspace, embeddings, settings.folder)
    listed: dict[int, set[str]] = {}
    for name, own in files.items():
        for file in own:
            if (row := looked.row(file.path)) is not None:
                listed.setdefault(row, set()).add(name)
    told = {row: next(iter(names)) for row, names in listed.items() if len(names) == 1}
    rows = np.array(sorted(told), np.int64)
    names, classes = np.unique([told[row] for row in rows.tolist()], return_inverse=True)
    try:
        episodes = list(
            draw_episodes(
                classes.astype(np.int64),
                settings.ways,
                settings.shots,
                settings.queries,
                settings.episodes,
                settings.seed,
            )
        )
    except ValueError as error:
        raise UsageError(f"{settings.folder}: {error}; ask for fewer --ways or --shots") from None
    measured = [
        measure_episodes(vectors[rows], classes.astype(np.int64), episodes)
        for vectors in (looked.raw, looked.vectors)
    ]
    return FewShot(
        protocol="episodes",
        ways=settings.ways,
        shots=settings.shots,
        episodes=settings.episodes,
        classes=len(names),
        images=len(rows),
        models=_models(embeddings, measured, settings.seed),
        gain=gain_of(measured[1].right, measured[0].right, settings.seed),
        trained_on=looked.trained_on,
        ambiguous=len(listed) - len(told),
        failures=tuple(dict.fromkeys((*failures, *looked.failures))),
    )


def _on_runs(workspace: Workspace, embeddings: Embeddings, settings: GalleryEvaluate) -> FewShot:
    runs = read_runs(settings.folder)
    looked = _Looked(workspace, embeddings, settings.folder)
    if looked.failures:
        path, reason = looked.failures[0]
        raise LikewiseError(f"{path}: {reason}; every image of the runs is needed")
    measured = [
        Measured(_right(runs, looked, vectors), Shares(np.empty(0, np.int64), np.empty(0)))
        for vectors in (looked.raw, looked.vectors)
    ]
    return FewShot(
        protocol="omniglot runs",
        ways=max(len(run.training) for run in runs),
        shots=1,
        episodes=len(runs),
        classes=sum(len(run.training) for run in runs),
        images=len(looked.rows),
        models=_models(embeddings, measured, settings.seed),
        gain=gain_of(measured[1].right, measured[0].right, settings.seed),
        trained_on=looked.trained_on,
        missing_runs=max(0, RUNS - len(runs)),
    )


def _right(
    runs: Sequence[OneShotRun], looked: _Looked, vectors: Float32[np.ndarray, "N D"]
) -> Shares:
    """Of each run the share of test images whose nearest training image is the right one."""
    shares = []
    for run in runs:
        training = vectors[[_row(looked, each) for each in run.training]]
        tests = vectors[[_row(looked, each) for each, _ in run.tests]]
        right = np.array([place for _, place in run.tests])
        shares.append(float(((tests @ training.T).argmax(axis=1) == right).mean()))
    return Shares(np.arange(len(runs)), np.array(shares))


def _row(looked: _Looked, file: Path) -> int:
    row = looked.row(str(file))
    if row is None:
        raise LikewiseError(f"{file} could not be read")
    return row


def _models(
    embeddings: Embeddings, measured: Sequence[Measured], seed: int
) -> tuple[FewShotModel, ...]:
    names = ((RAW_PIXELS, "pixels-32"), (embeddings.model, embeddings.fingerprint))
    return tuple(
        FewShotModel(
            name,
            fingerprint,
            mean_of(each.right, seed),
            mean_of(each.apart, seed) if len(each.apart.classes) else None,
        )
        for (name, fingerprint), each in zip(names, measured, strict=True)
    )
