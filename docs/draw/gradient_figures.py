"""What the losses are, and where they push: each curve and arrow is a call of the loss."""

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from torch import Tensor

from docs.draw.setting import DIFFERENT, SAME, Setting
from likewise.evaluation.plots import GRID, INK, QUIET, SERIES, new_figure, plain
from likewise.training.losses import contrastive_loss, supervised_contrastive_loss, triplet_loss

MARGIN, TEMPERATURE = 0.5, 0.1
Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "contrastive": lambda x, r: contrastive_loss(x, r, MARGIN),
    "triplet": lambda x, r: triplet_loss(x, r, MARGIN),
    "supervised contrastive": lambda x, r: supervised_contrastive_loss(x, r, TEMPERATURE),
}
KINDS = (0, 0, 0, 1, 1, -1)
"""Of the images on the circle; of the last one nothing is known."""
ANGLES = (1.75, 0.55, 2.6, 1.15, 5.4, 3.9)


def losses(setting: Setting) -> None:
    """Each loss as a curve over the distance of a pair."""
    figure = new_figure(9.5, 3.1)
    axes = figure.subplots(1, 3)
    angles = np.linspace(0, np.pi, 200)
    distances = 2 * np.sin(angles / 2)
    for relation, colour, name in ((1, SAME, "same"), (-1, DIFFERENT, "different")):
        values = [_contrastive(angle, relation) for angle in angles]
        axes[0].plot(distances, values, color=colour, linewidth=2, label=name)
    axes[0].axvline(MARGIN, color=QUIET, linewidth=1, linestyle="--")
    axes[0].text(MARGIN, 1.9, " margin", color=QUIET, fontsize=9)
    for near, colour in ((0.4, SERIES[1]), (0.8, SERIES[2]), (1.2, SERIES[4])):
        values = [_triplet(near, angle) for angle in angles]
        label = f"positive at {near:g}"
        axes[1].plot(distances, values, color=colour, linewidth=2, label=label)
    for temperature, colour in ((0.05, SERIES[1]), (0.1, SERIES[2]), (0.5, SERIES[4])):
        values = [_supcon(angle, temperature) for angle in angles]
        label = f"temperature {temperature:g}"
        axes[2].plot(distances, values, color=colour, linewidth=2, label=label)
    titles = ("contrastive", "triplet (margin 0.5)", "supervised contrastive")
    words = ("distance of the pair", "distance of the negative", "distance of the negative")
    for each, title, word in zip(axes, titles, words, strict=True):
        each.set_title(title, loc="left", fontsize=11, color=INK)
        each.set_xlabel(word)
        each.set_xlim(0, 2)
        each.legend(fontsize=9, frameon=False)
        plain(each)
    axes[0].set_ylabel("loss")
    axes[2].set_yscale("log")
    axes[2].set_ylim(1e-4, 30)
    axes[2].text(1.98, 13, "positive at 0.8", color=QUIET, fontsize=9, ha="right")
    axes[2].legend(fontsize=9, frameon=False, loc="lower left")
    setting.save(figure, "losses")


def gradients(setting: Setting) -> None:
    """Where a step against the gradient moves each of six images on a circle."""
    figure = new_figure(9.5, 3.6)
    for axes, (name, loss) in zip(figure.subplots(1, 3), LOSSES.items(), strict=True):
        points, steps = descent(loss)
        _circle(axes, points, steps)
        axes.set_title(name, fontsize=11, color=INK)
    setting.save(figure, "gradients")


def descent(loss: Loss) -> tuple[Tensor, Tensor]:
    """The points, and the steps along the circle that lower the loss, the longest of length 0.6."""
    angles = torch.tensor(ANGLES, requires_grad=True)
    points = torch.stack((angles.cos(), angles.sin()), dim=1)
    kinds = torch.tensor(KINDS)
    known = (kinds[:, None] >= 0) & (kinds[None, :] >= 0)
    same = kinds[:, None] == kinds[None, :]
    relations = torch.where(known, torch.where(same, 1, -1), 0).to(torch.int8)
    loss(points, relations).backward()  # type: ignore[no-untyped-call]
    assert angles.grad is not None
    turn = -angles.grad / angles.grad.abs().max() * 0.6
    along = torch.stack((-angles.sin(), angles.cos()), dim=1)
    return points.detach(), (turn[:, None] * along).detach()


def _circle(axes: Axes, points: Tensor, steps: Tensor) -> None:
    axes.add_patch(Circle((0, 0), 1, fill=False, color=GRID, linewidth=1.5))
    for kind, (x, y), (dx, dy) in zip(KINDS, points.tolist(), steps.tolist(), strict=True):
        colour = QUIET if kind < 0 else (SERIES[1], SERIES[2])[kind]
        if np.hypot(dx, dy) > 0.01:
            arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.8, "shrinkA": 5}
            axes.annotate("", (x + dx, y + dy), (x, y), arrowprops=arrow)
        axes.plot(x, y, "os"[kind == 1], color=colour, markersize=10, markeredgecolor="white")
    axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
    axes.axis("off")


def _at(*angles: float) -> Tensor:
    turned = torch.tensor(angles, dtype=torch.float64)
    return torch.stack((turned.cos(), turned.sin()), dim=1).float()


def _contrastive(angle: float, relation: int) -> float:
    relations = torch.tensor([[0, relation], [relation, 0]], dtype=torch.int8)
    return float(contrastive_loss(_at(0, angle), relations, MARGIN))


_ANCHOR = torch.tensor([[0, 1, -1], [1, 0, 0], [-1, 0, 0]], dtype=torch.int8)
"""An anchor, its positive and its negative; of the last two nothing is known."""


def _triplet(near: float, angle: float) -> float:
    points = _at(0, 2 * float(np.arcsin(near / 2)), -angle)
    return float(triplet_loss(points, _ANCHOR, MARGIN))


def _supcon(angle: float, temperature: float) -> float:
    points = _at(0, 2 * float(np.arcsin(0.8 / 2)), -angle)
    relations = _ANCHOR.clone()
    relations[1, 0] = 0  # the positive is no anchor itself
    return float(supervised_contrastive_loss(points, relations, temperature))
