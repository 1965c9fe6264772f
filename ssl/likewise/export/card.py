"""The model card: README.md of an export."""

import math
from typing import Any

from likewise import __version__
from likewise.evaluation.scores import METRICS
from likewise.export.facts import Facts, licence_of
from likewise.export.loading import onnx_lines, program_lines, weight_lines
from likewise.export.parity import TOLERANCE, Parity
from likewise.export.whole import OPSET, Whole
from likewise.models.runs import Run
from likewise.wording import percent


def card(whole: Whole, facts: Facts, parity: Parity, torch_version: str) -> str:
    """The text, in Markdown."""
    run = facts.lineage[-1]
    sections = (
        _opening(whole, run),
        _files(whole, torch_version),
        _use(whole),
        _preprocessing(whole),
        _origin(facts),
        _data(facts),
        _figures(facts, parity),
        _limits(whole, facts),
    )
    return "\n".join(sections)


def _opening(whole: Whole, run: Run) -> str:
    backbone = whole.backbone
    head = " with a linear head" if backbone.head is not None else ""
    side = backbone.architecture.image_size
    return f"""\
---
library_name: {"timm" if backbone.architecture.name.startswith("timm/") else "pytorch"}
pipeline_tag: image-feature-extraction
tags: [likewise, embedding, image-similarity]
---

# {run.name}

An image embedding. An image of {side} x {side} pixels becomes a vector of {backbone.dim} numbers
and length 1; the dot product of two vectors, -1 to 1, says how similar two images are. The net is
{backbone.architecture.name}{head}. Fingerprint: `{run.fingerprint}`.
Made by Likewise {__version__}.
"""


def _files(whole: Whole, torch_version: str) -> str:
    lines = [
        "## Files\n",
        f"- `model.onnx`: the whole model, opset {OPSET}, any number of images at once.",
        f"- `model.pt2`: the whole model as a program for torch {torch_version} or newer.",
        "- `model.safetensors`: the weights of the net, under its own names.",
    ]
    if whole.backbone.head is not None:
        lines.append("- `head.safetensors`: the head that answers taught.")
    if whole.backbone.architecture.name == "small":
        lines.append("- `small_net.py`: the net as a class; needs torch alone.")
    lines += [
        "- `preprocessing.json`: what happens to an image before, for machines to read.",
        "- `prepare.py`: the same as Python; needs Pillow and NumPy alone.",
    ]
    return "\n".join(lines) + "\n"


def _use(whole: Whole) -> str:
    return f"""\
## Use

In this folder, without Likewise. With ONNX:

```python
{onnx_lines()}```

With torch alone:

```python
{program_lines()}```

The net and its weights, to build on:

```python
{weight_lines(whole.backbone)}```
"""


def _preprocessing(whole: Whole) -> str:
    architecture = whole.backbone.architecture
    side = architecture.image_size
    if whole.baked:
        end = (
            f"The models take RGB bytes, (batch, {side}, {side}, 3), and normalise them themselves."
        )
    else:
        end = (
            f"Then (RGB / 255 - mean) / std, as float32 (batch, 3, {side}, {side}); mean "
            f"{_numbers(architecture.mean)}, std {_numbers(architecture.std)}."
        )
    return f"""\
## Preprocessing

Upright by EXIF, RGB, transparency on white; shrunk as in `preprocessing.json`; the ends of the
long side cut off beyond 4:3; squeezed to {side} x {side}, averaging over areas to shrink, bicubic
to enlarge. {end} Other ways to resize give other vectors.
"""


def _origin(facts: Facts) -> str:
    steps = "\n".join(f"{place}. {_step(run)}" for place, run in enumerate(facts.lineage, 1))
    first = facts.lineage[0]
    if first.parent is None:
        return f"## Where it comes from\n\n{steps}\n\nLicence: {licence_of(first)}\n"
    return (
        "## Where it comes from\n\nWhat came before is not known any more, nor the licence of the "
        f"first weights.\n\n{steps}\n"
    )


def _step(run: Run) -> str:
    settings = run.settings
    match run.kind:
        case "adopt":
            return f"`{run.name}`: {run.architecture['name']} as others trained it."
        case "pretrain":
            words = [f"`{run.name}`: SimSiam, {run.architecture['name']}"]
            words += [f"{key} {settings[key]}" for key in ("epochs", "preset") if key in settings]
            return ", ".join(words) + "; no labels."
        case "finetune":
            depth = settings.get("depth", "")
            loss = "" if depth == "head" else f", loss {settings.get('loss')}"
            return f"`{run.name}`: fine-tuned on answers, depth {depth}{loss}."


def _data(facts: Facts) -> str:
    folders = ", ".join(facts.folders) or "single files"
    width, height = facts.side
    similar, dissimilar = facts.answers["similar"], facts.answers["dissimilar"]
    if similar + dissimilar:
        taught = (
            f"{similar + dissimilar:,} pairs, by {facts.annotators:,} "
            f"annotator{'' if facts.annotators == 1 else 's'}: {similar:,} similar, "
            f"{dissimilar:,} dissimilar. What `similar` means is what they meant by it."
        )
    else:
        taught = "None: no answer taught this model."
    return f"""\
## Data

Images: {facts.images:,} in the workspace ({folders}), as a rule of {width} x {height} pixels as
kept; {facts.held_out:,} of them held out from training. No image is in these files.

Answers: {taught}
"""


def _figures(facts: Facts, parity: Parity) -> str:
    lines = ["## Figures\n"]
    if facts.scores:
        lines += [f"| | {' | '.join(METRICS)} |", "|---" * (len(METRICS) + 1) + "|"]
        for each in facts.scores:
            cells = (_score(each.scores.values[m], each.scores.intervals[m]) for m in METRICS)
            lines.append(f"| {each.name} | {' | '.join(cells)} |")
        lines.append(f"\n{facts.evaluated} In brackets: 95 % interval.\n")
    else:
        lines.append("Not measured on known classes (`likewise export --truth` does).\n")
    lines.append(_measured(facts.measured))
    if facts.threshold:
        lines.append(_threshold(facts.threshold) + facts.why_no_threshold + "\n")
    else:
        lines.append(facts.why_no_threshold + "\n")
    lines.append(
        f"The files were compared with the model on {parity.images:,} images of the workspace: "
        f"greatest difference of a number {parity.onnx:.1e} (ONNX), {parity.torch:.1e} (torch); "
        f"{TOLERANCE:.0e} is allowed.\n"
    )
    return "\n".join(lines)


def _measured(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return ""
    before, after = (measured[key].get("auc") for key in ("before", "after"))
    if before is None or after is None:
        return "Too few answers were held out to measure the fine-tuning.\n"
    similar, dissimilar = (measured["before"].get(kind) or 0 for kind in ("similar", "dissimilar"))
    return (
        f"Pair AUC on {similar:,} similar and {dissimilar:,} dissimilar answers that were held "
        f"out: {before:.3f} before fine-tuning, {after:.3f} after (of a copy taught without "
        "them).\n"
    )


def _threshold(told: dict[str, Any]) -> str:
    def share(name: str) -> str:
        low, high = told[f"{name}_interval"]
        return f"{percent(told[name], 2)} ({percent(low, 2)} to {percent(high, 2)})"

    return (
        f"Two images count as the same from a similarity of {told['threshold']:.3f}: "
        f"{share('far')} of different pairs pass, {share('frr')} of same pairs do not, by "
        f"{told['answers']:,} answers that taught nothing. "
    )


def _limits(whole: Whole, facts: Facts) -> str:
    limits = [
        "It was made for images like those above. On others nothing is known of it; measure first.",
        "Similarity follows what people here called similar, and what the images themselves "
        "suggest; it is no judgement of identity, quality or worth.",
        "Thresholds and rates hold for pairs of images like those above, drawn as they come. Where "
        "same pairs are rarer, more of what passes is wrong.",
        "Images are squeezed to a square: fine detail and far-out aspect ratios are lost.",
    ]
    if not facts.held_out:
        limits.append("No images were held out: figures on classes are of images it trained on.")
    if whole.backbone.architecture.name == "small" and not facts.answers["similar"]:
        limits.append("A small net from scratch, without answers, is a weak embedding of photos.")
    return "## Limits\n\n" + "\n".join(f"- {each}" for each in limits) + "\n"


def _score(value: float, interval: tuple[float, float]) -> str:
    if math.isnan(value):
        return ""
    low, high = interval
    return f"{value:.3f}" if math.isnan(low) else f"{value:.3f} [{low:.3f} {high:.3f}]"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{each:g}" for each in values)
