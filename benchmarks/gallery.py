"""The gallery: how often it names and errs, and how long it takes among ten thousand classes.

    python benchmarks/gallery.py answers WORKSPACE --count 60
    python benchmarks/gallery.py quality WORKSPACE           # the class folders of the workspace
    python benchmarks/gallery.py quality WORKSPACE FOLDER    # class folders that it never saw
    python benchmarks/gallery.py times --count 10000         # made-up classes

``answers`` stores answers on pairs drawn to measure, true to the folders that images lie in.
``quality`` draws galleries of some of the classes, with a single exemplar each, and holds all other
images of the folder against them: members, and strangers of the other classes. ``times`` makes a
workspace with a small net of random weights.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64
from PIL import Image

from likewise.answers.calibrating import CalibrationPairs
from likewise.answers.links import Links
from likewise.answers.pool import pool_of
from likewise.answers.standing import Pair, pair_of
from likewise.answers.store import NewAnswer, open_answers
from likewise.evaluation.annotator import true_verdict
from likewise.evaluation.calibration import Calibration
from likewise.evaluation.truth import read_truth
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.inference.class_folders import class_folders
from likewise.inference.exemplar_vectors import Members
from likewise.inference.gallery import Gallery
from likewise.inference.gallery_store import NewExemplar
from likewise.inference.naming_rule import naming_rule
from likewise.inference.open_set import fewest_classes, hold_out
from likewise.inference.recognition import evidence_for, nearest
from likewise.inference.verifier import Verifier
from likewise.models.model_files import save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import start_run
from likewise.neighbours.embedding import embed
from likewise.neighbours.pictures import embed_pictures
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.settings import Embed, Ingest
from likewise.workspace import Workspace

DRAWS = 200
IMAGES = 2_000
FAR = 0.05


def quality(workspace: Workspace, folder: Path | None) -> None:
    """Print a line for each size of gallery and each source of the threshold."""
    verifier = Verifier(workspace)
    own = np.asarray(verifier.embeddings.vectors)
    answers = 0 if verifier.calibration is None else verifier.calibration.answers
    if folder is None:
        labels = own_classes(verifier.embeddings, workspace)
        vectors, population = own, None
        print(f"{len(own):,} images of {labels.max() + 1} classes, all in the workspace; {answers}")
    else:
        vectors, labels = embedded_classes(workspace, verifier.embeddings, folder)
        population = own
        print(
            f"{len(vectors):,} images of {labels.max() + 1} classes, none in the workspace, which"
        )
        print(f"has {len(own):,} others; {answers}")
    print(f"answers that measure; {DRAWS} draws a line\n")
    print("| classes | exemplars | told by | strangers named | members: right | wrong | unknown |")
    print("|---|---|---|---|---|---|---|")
    for count, shots in ((5, 1), (10, 1), (20, 1), (40, 1), (10, 5)):
        if count > labels.max():
            continue
        both = folder is None and count < fewest_classes(FAR)
        for told in (verifier.calibration, None) if both else (None,):
            line(vectors, labels, population, count, shots, told)


def own_classes(embeddings: Embeddings, workspace: Workspace) -> Int64[np.ndarray, " N"]:
    """Of each image of the workspace the folder that it lies in, as a number."""
    images = open_images(workspace)
    names = dict(zip(images.ids.tolist(), read_truth(images, "folders").tolist(), strict=True))
    paths = {each: str(images.path(row).parent) for each, row in images.positions.items()}
    told = [paths[each] if names[each] else "" for each in embeddings.ids.tolist()]
    return np.unique(told, return_inverse=True)[1].astype(np.int64)


def embedded_classes(
    workspace: Workspace, embeddings: Embeddings, folder: Path
) -> tuple[Float32[np.ndarray, "N D"], Int64[np.ndarray, " N"]]:
    """Vectors of the images of class folders, and their classes as numbers."""
    files, _ = class_folders(workspace, folder)
    read = embed_pictures(workspace, embeddings, [folder]).read
    found = {str(each.path): each.vector for each in read}
    listed = [
        (place, found[file.path])
        for place, name in enumerate(sorted(files))
        for file in files[name]
        if file.path in found
    ]
    labels = np.array([place for place, _ in listed], np.int64)
    return np.stack([vector for _, vector in listed]), labels


def line(
    vectors: Float32[np.ndarray, "N D"],
    labels: Int64[np.ndarray, " N"],
    population: Float32[np.ndarray, "W D"] | None,
    count: int,
    shots: int,
    told: Calibration | None,
) -> None:
    """Print one line: means over draws, in percent. Without a population it is the other images."""
    shares: list[Float64[np.ndarray, " 4"]] = []
    sources: dict[str, int] = {}
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        chosen = rng.permutation(labels.max() + 1)[:count]
        rows = np.concatenate(
            [rng.permutation(np.flatnonzero(labels == each))[:shots] for each in chosen]
        )
        exemplars, classes = vectors[rows], labels[rows]
        others = np.setdiff1d(np.arange(len(vectors)), rows)
        inside = population is None
        images = vectors[others] if population is None else population
        looked = images[rng.permutation(len(images))[:IMAGES]]
        names, places = np.unique(classes, return_inverse=True)
        ids = tuple(map(str, rows.tolist()))
        members = Members(tuple(map(str, names)), places.astype(np.int64), ids, ids, exemplars)
        reach = nearest(members, looked)
        evidence = evidence_for(members, looked, reach, np.full(len(rows), inside))
        order = np.argsort(reach.similarities)
        rule = naming_rule(
            FAR,
            hold_out(exemplars, members.classes, rng),
            reach.similarities[order],
            evidence[order],
            told,
        )
        sources[rule.source] = sources.get(rule.source, 0) + 1
        near = vectors[others] @ exemplars.T
        named = near.max(axis=1) >= rule.similarity
        right = classes[near.argmax(axis=1)] == labels[others]
        member = np.isin(labels[others], chosen)
        shares.append(
            np.array(
                [
                    named[~member].mean(),
                    (named & right)[member].mean(),
                    (named & ~right)[member].mean(),
                    (~named)[member].mean(),
                ]
            )
        )
    source = ", ".join(f"{name} ({n})" if len(sources) > 1 else name for name, n in sources.items())
    cells = " | ".join(f"{100 * each:.1f} %" for each in np.mean(shares, axis=0))
    print(f"| {count} | {shots} | {source} | {cells} |")


def answer(workspace: Workspace, count: int) -> None:
    """Answer calibration questions from the known classes."""
    embeddings, images = load_embeddings(workspace), open_images(workspace)
    classes = dict(zip(images.ids.tolist(), read_truth(images, "folders").tolist(), strict=True))
    questions, rng = CalibrationPairs(pool_of(embeddings, ())), np.random.default_rng(0)
    given: dict[Pair, NewAnswer] = {}
    while len(given) < count:
        asked = questions.draw(Links(), given, (), rng)
        if asked is None:
            break
        given[pair_of(asked.a, asked.b)] = NewAnswer(
            *pair_of(asked.a, asked.b),
            true_verdict(classes[asked.a], classes[asked.b]),
            "simulated",
            strategy=asked.strategy,
            score=asked.score,
            fingerprint=embeddings.fingerprint,
        )
    with open_answers(workspace) as store:
        store.add(list(given.values()))
    print(f"{len(given)} answers")


def times(count: int) -> None:
    """Print how long each step takes with so many classes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        workspace = made(folder)
        gallery = Gallery(workspace)
        rng = np.random.default_rng(1)
        for start in range(0, count, 500):
            gallery.store.add(
                [
                    NewExemplar(f"class {each}", f"{each:032x}", "/x.png", noise(rng))
                    for each in range(start, min(start + 500, count))
                ]
            )
        queries = [folder / "in" / f"{each}.png" for each in range(1_000)]
        print(f"{count:,} classes of one exemplar, {os.cpu_count()} cores\n")
        print("| step | wall s | CPU s |\n|---|---|---|")
        show("embed all exemplars, as after a new model", lambda: gallery.classify(queries[0]))
        gallery.classify(queries[0])
        show("classify one image, gallery open", lambda: gallery.classify(queries[1]))
        show("classify 1,000 images, gallery open", lambda: gallery.classify(*queries))
        new = picture(folder / "new.png", 5_000)
        show("add a class", lambda: gallery.add("new", new))
        show("classify one image after that", lambda: gallery.classify(queries[2]))
        show("classify a new file", lambda: gallery.classify(picture(folder / "q.png", 6_000)))
        other = picture(folder / "other.png", 5_001)
        show("command: gallery add", lambda: command(workspace, "add", "other", other))
        show("command: gallery classify", lambda: command(workspace, "classify", queries[3]))
        show("command: gallery list", lambda: command(workspace, "list"))
        size = (workspace.path / "gallery.db").stat().st_size
        print(f"\ngallery.db: {size / 1e6:.0f} MB")


def made(folder: Path) -> Workspace:
    """A workspace of noise, with a net of random weights and its vectors."""
    for seed in range(IMAGES):
        picture(folder / "in" / f"{seed}.png", seed)
    workspace = Workspace(folder / "workspace")
    ingest(workspace, Ingest(images=(folder / "in",)))
    saved = start_run(workspace, "pretrain", {}, name=None)
    save_model(saved.model_file, build_backbone("small", image_size=24))
    embed(workspace, Embed(precision="float32"))
    return workspace


def noise(rng: np.random.Generator) -> Any:
    """Smooth coloured noise, 32 by 24 pixels."""
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
    return np.array(coarse.resize((32, 24), Image.Resampling.BICUBIC))


def picture(file: Path, seed: int) -> Path:
    """Such noise as a file."""
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(noise(np.random.default_rng(seed))).save(file)
    return file


def command(workspace: Workspace, *words: str | Path) -> None:
    """Run ``likewise gallery`` in a process of its own."""
    subprocess.run(
        [sys.executable, "-m", "likewise.cli", "gallery", *map(str, words),
         "--workspace", str(workspace.path)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def show(what: str, step: Callable[[], object]) -> None:
    """Time a step once, as most change what is there; processor time is with child processes."""
    before, started = os.times(), time.perf_counter()
    step()
    after, took = os.times(), time.perf_counter() - started
    cpu = sum(after[:4]) - sum(before[:4])
    print(f"| {what} | {took:.2f} | {cpu:.2f} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("answers", "quality", "times"))
    parser.add_argument("workspace", nargs="?", type=Path)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    if options.what == "times":
        times(options.count)
    elif options.what == "answers":
        answer(Workspace(options.workspace), options.count)
    else:
        quality(Workspace(options.workspace), options.folder)


if __name__ == "__main__":
    main()
