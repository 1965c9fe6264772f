"""What pretraining sees, and how one tells that it goes well."""

from docs.draw.setting import Setting
from likewise.evaluation.plots import curves
from likewise.evaluation.view_sheet import draw_views
from likewise.models.runs import runs_of

SIDE = 28


def views(setting: Setting) -> None:
    """Five digits and seven views of each, as ``likewise views`` draws them."""
    (setting.out / "views.png").write_bytes(draw_views(setting.images, "glyph", SIDE, 5, 7, 3))


def health(setting: Setting) -> None:
    """Loss and health over the epochs of the workspace's pretraining, as the report draws them."""
    run = next(each for each in runs_of(setting.workspace) if each.kind == "pretrain")
    (setting.out / "health.png").write_bytes(curves(run.metrics()))
