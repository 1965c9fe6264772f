"""How time and peak memory of every stage grow with the number of images.

    python -m benchmarks.growth [--sizes 1000 10000 100000] [--keep]

For each size: a folder of so many different small JPEG files, and every command of the loop on it,
each a process of its own, whose time and peak memory (of itself, not of its children) the system
tells. Prints a Markdown table, with the exponent between the two largest sizes for each stage, and
draws both. With ``--keep`` table and plot go to ``benchmarks/results``.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.answers.surroundings import described, today
from benchmarks.speed.photos import photos

RESULTS = Path(__file__).resolve().parent / "results"
SIDE = 32
STAGES: dict[str, tuple[str, ...]] = {
    "ingest": ("ingest", "{photos}"),
    "pretrain, 1 epoch": ("pretrain", "--epochs", "1", "--image-size", "28"),
    "embed": ("embed",),
    "100 answers": ("simulate", "--budget", "100"),
    "finetune": ("finetune",),
    "embed anew": ("embed",),
    "search": ("search", "{image}"),
    "duplicates": ("duplicates",),
    "groups": ("groups",),
    "evaluate": ("evaluate",),
    "status": ("status",),
    "report": ("report",),
}
"""Commands in order; each finds what those before have left."""


@dataclass(frozen=True)
class Cost:
    """What one stage took."""

    seconds: float
    megabytes: float
    """Peak resident memory of the process."""


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--keep", action="store_true", help="into benchmarks/results, dated")
    given = parser.parse_args()
    costs: dict[str, dict[int, Cost]] = {stage: {} for stage in STAGES}
    for size in sorted(given.sizes):
        with tempfile.TemporaryDirectory(prefix="likewise-growth-") as scratch:
            for stage, cost in measured(Path(scratch), size).items():
                costs[stage][size] = cost
    text = f"# Growth, {today()}\n\n{described('', 'benchmarks.growth')}\n{table(costs)}\n"
    print(text)
    if given.keep:
        picture = RESULTS / f"{today()}-growth.png"
        draw(costs, picture)
        text += f"\n![time and memory over the number of images]({picture.name})\n"
        (RESULTS / f"{today()}-growth.md").write_text(text, encoding="utf-8")


def measured(scratch: Path, size: int) -> dict[str, Cost]:
    """The cost of every stage with ``size`` images."""
    folder = photos(scratch / "photos", size, SIDE, SIDE, classes=10)
    image = next(folder.rglob("*.jpg"))
    costs = {}
    for stage, words in STAGES.items():
        filled = [word.format(photos=folder, image=image) for word in words]
        costs[stage] = _run([*filled, "--workspace", str(scratch / "workspace")])
        print(f"{size:,} images, {stage}: {costs[stage]}", file=sys.stderr, flush=True)
    return costs


def _run(words: list[str]) -> Cost:
    command = [sys.executable, "-m", "likewise.cli", *words, "--json"]
    started = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere:
        child = os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, nowhere.fileno(), 2),
            ],
        )
        _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        print(f"failed: {' '.join(command)}", file=sys.stderr)
        return Cost(math.nan, math.nan)
    return Cost(round(seconds, 2), round(usage.ru_maxrss / 1024, 1))


def table(costs: dict[str, dict[int, Cost]]) -> str:
    """Seconds / MB for every stage and size, and how they grow at the end."""
    sizes = sorted({size for found in costs.values() for size in found})
    lines = [
        f"| stage | {' | '.join(f'{size:,}' for size in sizes)} | exponent of time | of memory |",
        "|---" * (len(sizes) + 3) + "|",
    ]
    for stage, found in costs.items():
        cells = [f"{found[size].seconds:.1f} s, {found[size].megabytes:,.0f} MB" for size in sizes]
        lines.append(
            f"| {stage} | {' | '.join(cells)} | {exponent(found, 'seconds'):.2f} "
            f"| {exponent(found, 'megabytes'):.2f} |"
        )
    return "\n".join(lines)


def exponent(found: dict[int, Cost], what: str) -> float:
    """The p of cost ~ size ** p, between the two largest sizes; NaN of one."""
    if len(found) < 2:
        return math.nan
    less, more = sorted(found)[-2:]
    ratio = getattr(found[more], what) / max(getattr(found[less], what), 1e-9)
    return math.log(ratio) / math.log(more / less)


def draw(costs: dict[str, dict[int, Cost]], file: Path) -> None:
    """Both over the number of images, on logarithmic axes, with the slope of N log N."""
    from matplotlib.figure import Figure

    figure = Figure((11, 4.5), layout="constrained")
    for axes, what, unit in zip(
        figure.subplots(1, 2), ("seconds", "megabytes"), ("seconds", "peak MB"), strict=True
    ):
        for place, (stage, found) in enumerate(costs.items()):
            sizes = sorted(found)
            values = [getattr(found[size], what) for size in sizes]
            axes.plot(sizes, values, "o-", ms=4, lw=1.3, color=f"C{place % 10}",
                      ls="-" if place < 10 else "--", label=stage)  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="images", ylabel=unit)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False)
    figure.savefig(file, dpi=130)


if __name__ == "__main__":
    main()
