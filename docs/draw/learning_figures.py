"""What pretraining sees, and how one tells that it goes well."""

from docs.draw.setting import Setting
from likewise.evaluation.plots import INK, SERIES, new_figure, plain
from likewise.evaluation.view_sheet import draw_views
from likewise.models.runs import runs_of

SIDE = 28
WATCHED = {
    "loss": "loss",
    "projection_std": "spread of the projections",
    "effective_rank": "effective rank",
    "neighbour_stability": "neighbours kept",
}
"""Figures of ``metrics.jsonl`` and their titles."""


def views(setting: Setting) -> None:
    """Five digits and seven views of each, as ``likewise views`` draws them."""
    (setting.out / "views.png").write_bytes(draw_views(setting.images, "glyph", SIDE, 5, 7, 3))


def health(setting: Setting) -> None:
    """Loss and health over the epochs of the workspace's pretraining."""
    run = next(each for each in runs_of(setting.workspace) if each.kind == "pretrain")
    metrics = run.metrics()
    figure = new_figure(9.5, 2.4)
    for axes, (key, title) in zip(figure.subplots(1, 4), WATCHED.items(), strict=True):
        told = metrics[1:] if key == "neighbour_stability" else metrics  # nothing to compare with
        epochs, values = [each["epoch"] for each in told], [each[key] for each in told]
        axes.plot(epochs, values, color=SERIES[1], linewidth=2, marker="o", markersize=4)
        axes.set_title(title, loc="left", fontsize=10.5, color=INK)
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True)
        axes.set_ylim(None if key == "loss" else 0, 1.1 if key[0] in "pn" else None)
        plain(axes)
    setting.save(figure, "health")
