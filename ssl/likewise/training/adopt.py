"""`likewise adopt`: a net that others trained becomes a model of the workspace, as it is."""

from dataclasses import dataclass
from typing import Any

from likewise.errors import UsageError
from likewise.models.model_files import fingerprint_of, save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import Run, discard, runs_of, start_run
from likewise.notebook import Displayed
from likewise.settings import Adopt, config_of
from likewise.workspace import Workspace


@dataclass(frozen=True)
class Adopted(Displayed):
    """What `adopt` did."""

    run: Run
    fingerprint: str
    dim: int
    image_size: int
    """Side of the square input in pixels."""
    parameters: int

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {**vars(self), "run": self.run.name}

    def as_text(self) -> str:
        """What a person reads."""
        return (
            f"{self.run.name}: {self.parameters / 1e6:,.1f} million weights, images of "
            f"{self.image_size} x {self.image_size} pixels to {self.dim} dimensions\n"
            f"next: `likewise embed --model {self.run.name}`"
        )


def adopt(workspace: Workspace, settings: Adopt) -> Adopted:
    """Save a pretrained net as a finished run; the same net again is the run that has it.

    Raises:
        UsageError: no such net or file, or a setting that makes no sense.
        LikewiseError: the weights cannot be fetched or do not fit.
    """
    if settings.init == "random":
        raise UsageError("--init random: a net with random weights has nothing to adopt")
    if settings.image_size and settings.image_size < 8:
        raise UsageError("--image-size must be at least 8 pixels")
    workspace.require()
    backbone = build_backbone(
        settings.backbone, image_size=settings.image_size, init=settings.init
    ).eval()
    fingerprint = fingerprint_of(backbone)
    with workspace.lock("runs"):
        runs = runs_of(workspace)
        same = [run for run in runs if run.finished and run.fingerprint == fingerprint]
        if same and settings.name in (None, same[0].name):
            run = same[0]
        else:
            name = settings.name or _free_name(settings.backbone, {each.name for each in runs})
            run = start_run(workspace, "adopt", config_of(settings), name=name)
            try:
                save_model(run.model_file, backbone)
            except BaseException:
                discard(run)
                raise
    return Adopted(
        run=run,
        fingerprint=fingerprint,
        dim=backbone.dim,
        image_size=backbone.architecture.image_size,
        parameters=sum(each.numel() for each in backbone.parameters()),
    )


def _free_name(backbone: str, taken: set[str]) -> str:
    """The backbone's own name, with a number if a run has it."""
    name = backbone.rpartition("/")[2]
    candidates = (f"{name}-{number}" if number > 1 else name for number in range(1, len(taken) + 2))
    return next(each for each in candidates if each not in taken)
