"""The result as a Markdown page with a picture."""

import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.answers.surroundings import processor, today
from benchmarks.gpu.flops import flops_per_image, peak_of
from benchmarks.gpu.stages import Plan, Stages
from likewise.cores import available_cores
from likewise.models.machine import pick_device
from likewise.models.nets import build_backbone
from likewise.models.runs import Run
from likewise.models.simsiam import SimSiam

TARGETS = {200: ("knn", 0.85, 8.0), 800: ("linear", 0.918, 30.0)}
"""By epochs: the accuracy that counts, how high it must be, and minutes, on one H100."""
PACKAGES = ("torch", "torchvision", "numpy")
VIEWS = 2


def text_of(stages: Stages, runs: Sequence[Run], picture: str) -> str:
    """The page."""
    device = pick_device(stages.plan.device)
    flops = flops_per_image(model_of(stages.plan), 32, VIEWS)
    peak = peak_of(device_name(device))
    lines = [
        f"# Training on {device_name(device)}, {today()}",
        "",
        _surroundings(stages, device),
        "| epochs | kNN | linear | training | with all else | images/s | MFU | target |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(stages, run, flops, peak) for run in runs),
        "",
        f"A step costs {flops / 1e9:,.2f} GFLOP an image (two views, forward and backward). "
        f"Peak: {f'{peak / 1e12:,.0f} TFLOP/s, dense bfloat16' if peak else 'unknown'}. "
        "*Training* is the steps; *all else* is start, compiling, health figures, checkpoints and "
        "every start anew after a break. kNN: k = 200, temperature .1. Linear: see "
        "`benchmarks/gpu/quality.py`.",
        "",
        "Settings of Chen & He 2021, appendix D, but for the projector, which has three layers "
        "here as in their section 3, not two.",
        "",
    ]
    if options := stages.measured.get("options"):
        lines += ["| settings | images/s |", "|---|---|"]
        lines += [f"| {name} | {rate:,.0f} |" for name, rate in options.items()]
        lines.append("")
    return "\n".join([*lines, f"![loss and effective rank over the epochs]({picture})", ""])


def _row(stages: Stages, run: Run, flops: float, peak: float | None) -> str:
    epochs = int(run.settings["epochs"])
    found: dict[str, float] = stages.measured["accuracies"][run.name]
    spent, rate = stages.measured["seconds"][run.name] / 60, stages.rate(run)
    share = f"{flops * rate / peak:.1%}" if peak else "unknown"
    target = "none"
    if epochs in TARGETS:
        what, least, most = TARGETS[epochs]
        met = found[what] >= least and spent <= most
        target = f"{what} {least:.1%} in {most:.0f} min: {'met' if met else 'not met'}"
    return (
        f"| {epochs} | {found['knn']:.2%} | {found['linear']:.2%} "
        f"| {run.metrics()[-1]['seconds'] / 60:.1f} min | {spent:.1f} min "
        f"| {rate:,.0f} | {share} | {target} |"
    )


def model_of(plan: Plan) -> SimSiam:
    """What is trained, with fresh weights."""
    return SimSiam(
        build_backbone(plan.backbone, image_size=32), plan.projector_dim, plan.projector_dim // 4
    )


def device_name(device: torch.device) -> str:
    """The GPU's or the processor's."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def _surroundings(stages: Stages, device: torch.device) -> str:
    command = shlex.join(["python", "-m", "benchmarks.gpu", *sys.argv[1:]])
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cuda = f", CUDA {torch.version.cuda}" if device.type == "cuda" else ""
    counts = stages.measured["ingested"]
    return (
        f"    {command}\n\n{counts['train']:,} images to train on, {counts['test']:,} to test on. "
        f"Machine: {device_name(device)}{cuda}, {available_cores()} cores of {processor()}, "
        f"{platform.system()}, Python {platform.python_version()}, {packages}.\n"
    )


def draw(runs: Sequence[Run], file: Path) -> None:
    """Loss and effective rank over the epochs of each run."""
    from matplotlib.figure import Figure

    figure = Figure((10, 4), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, what, label in zip(
        panels, ("loss", "effective_rank"), ("loss", "effective rank"), strict=True
    ):
        for run in runs:
            rows: list[dict[str, Any]] = run.metrics()
            axes.plot([row["epoch"] for row in rows], [row[what] for row in rows], label=run.name)
        axes.set(xlabel="epoch", ylabel=label)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    figure.savefig(file, dpi=130)
