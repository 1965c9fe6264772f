"""The command line of the benchmark."""

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from benchmarks.answers import records
from benchmarks.answers.arms import BUDGETS, Arm, all_arms
from benchmarks.answers.datasets import RECIPES, load
from benchmarks.answers.measure import ALL, NONE, Bench, bench_of, references, run
from benchmarks.answers.plots import draw
from benchmarks.answers.simulation import ANNOTATORS
from benchmarks.answers.surroundings import described, today
from benchmarks.answers.tables import report
from likewise.errors import LikewiseError

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Run what is missing, then write tables and plots of all results."""
    given = _arguments()
    try:
        for name in given.data:
            _run_set(name, given)
    except LikewiseError as error:
        sys.exit(str(error))


def _run_set(name: str, given: argparse.Namespace) -> None:
    label = f"{name}-{given.limit}" if given.limit else name
    file = given.out / f"{label}.jsonl"
    if not given.only_report:
        folders = dict(each.split("=", 1) for each in given.folder)
        folder = Path(folders[name]) if name in folders else None
        bench = bench_of(load(name, given.cache, folder, given.limit), given.cache)
        for seed in range(given.seeds):
            for record in _missing(bench, label, file, seed, given):
                records.append(file, record)
                _say(record)
    found = records.read(file)
    text = report(label, found, described(given.code))
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"{label}.md").write_text(text, encoding="utf-8")
    pictures = draw(label, found, given.out)
    print(text)
    if given.keep:
        _keep(label, text, pictures)


def _keep(label: str, text: str, pictures: list[Path]) -> None:
    """Put the report and its plots among the dated results, under today's date."""
    folder = ROOT / "benchmarks" / "results"
    name = f"{today()}-answers-{label}"
    shown = [f"![]({today()}-answers-{each.name})" for each in pictures]
    for each in pictures:
        shutil.copyfile(each, folder / f"{today()}-answers-{each.name}")
    (folder / f"{name}.md").write_text("\n\n".join((text, *shown)) + "\n", encoding="utf-8")


def _missing(
    bench: Bench, label: str, file: Path, seed: int, given: argparse.Namespace
) -> Iterator[records.Record]:
    """Compute the results of one seed that the file does not hold."""
    known = {records.key_of(each) for each in records.read(file)}
    common = {"data": label, "seed": seed, "code": given.code}
    if any((label, each, "clean", seed, 0) not in known for each in (NONE, ALL)):
        for record in references(bench, seed):
            yield {**common, "annotator": "clean", **record}
    for noise in given.annotators:
        for arm in _chosen(given.arms):
            wanted = [each for each in arm.budgets if each <= given.most]
            key = (label, arm.name, noise, seed, 0)
            budgets = records.missing(wanted, key, known)
            if budgets:
                for record in run(bench, arm, ANNOTATORS[noise], seed, budgets):
                    yield {**common, "annotator": noise, **record}


def _chosen(names: list[str]) -> list[Arm]:
    return [arm for arm in all_arms() if not names or arm.name in names]


def _say(record: records.Record) -> None:
    figures = record.get("inductive") or {}
    print(
        f"{record['data']} seed {record['seed']} {record['annotator']}: {record['arm']} at "
        f"{record['budget']}: MAP@R {figures.get('map@r', float('nan')):.4f}, "
        f"recall@1 {figures.get('recall@1', float('nan')):.4f}",
        file=sys.stderr,
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Most quality per answer, measured.")
    parser.add_argument("--data", nargs="+", default=["mnist"], choices=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--annotators", nargs="+", default=list(ANNOTATORS), choices=ANNOTATORS)
    parser.add_argument("--arms", nargs="+", default=[], help="names as in the table; default: all")
    parser.add_argument("--most", type=int, default=10_000, help="the greatest budget")
    parser.add_argument(
        "--folder", nargs="+", default=[], metavar="NAME=FOLDER", help="images of a data set"
    )
    parser.add_argument("--limit", type=int, default=0, help="images of cifar10's pool; 0: all")
    parser.add_argument("--cache", type=Path, default=ROOT / "data" / "answers")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "answers" / "results")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only-report", action="store_true", help="tables and plots alone")
    parser.add_argument("--keep", action="store_true", help="copy into benchmarks/results, dated")
    given = parser.parse_args()
    if given.most < BUDGETS[0]:
        parser.error(f"--most must be at least {BUDGETS[0]}")
    known = [arm.name for arm in all_arms()]
    for name in given.arms:
        if name not in known:
            parser.error(f"no arm {name!r}; there are: {', '.join(known)}")
    threadpool_limits(given.threads)
    torch.set_num_threads(given.threads)
    given.code = records.code_digest()
    return given
