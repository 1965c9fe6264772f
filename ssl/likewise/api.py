"""The Python API: the commands as methods of a workspace.

>>> from likewise import Workspace
>>> workspace = Workspace("shoes")
>>> workspace.ingest("photos/")
>>> workspace.pretrain(epochs=50)
>>> workspace.embed()

Keyword arguments are the command's settings (see `likewise.settings`); an unknown one is a
TypeError. Each method returns what the command prints, as a frozen dataclass.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise import settings as commands
from likewise import workspace

if TYPE_CHECKING:
    from likewise.answers.exchange import Exported, Imported
    from likewise.evaluation.annotator import Simulated
    from likewise.evaluation.evaluate import Evaluation
    from likewise.images.ingest import IngestResult
    from likewise.images.store import Images
    from likewise.inference.copies import DuplicatesFound
    from likewise.inference.search import Hits, ImageSearch
    from likewise.inference.sorted_images import GroupsFound
    from likewise.inference.verified_pairs import VerifiedPairs
    from likewise.inference.verifier import Verified, Verifier
    from likewise.neighbours.embedding import Embedded
    from likewise.neighbours.vectors import Embeddings
    from likewise.report.job import Reported
    from likewise.status import WorkspaceStatus
    from likewise.training.adopt import Adopted
    from likewise.training.finetuned import Finetuned
    from likewise.training.pretrain import Pretrained


class Workspace(workspace.Workspace):
    """A folder that holds everything Likewise makes of one set of images."""

    def ingest(self, *images: str | Path, **settings: Any) -> "IngestResult":
        """Read images once; see `likewise ingest`."""
        given = commands.Ingest(images=tuple(Path(each) for each in images), **settings)
        result: IngestResult = _run("images.ingest:ingest", self, given)
        return result

    def pretrain(self, **settings: Any) -> "Pretrained":
        """Learn an embedding from the unlabelled images; see `likewise pretrain`."""
        result: Pretrained = _run("training.pretrain:pretrain", self, commands.Pretrain(**settings))
        return result

    def adopt(self, backbone: str, **settings: Any) -> "Adopted":
        """Take a net that others trained as a model; see `likewise adopt`."""
        given = commands.Adopt(backbone=backbone, **settings)
        result: Adopted = _run("training.adopt:adopt", self, given)
        return result

    def embed(self, **settings: Any) -> "Embedded":
        """Compute the embedding of every image; see `likewise embed`."""
        result: Embedded = _run("neighbours.embedding:embed", self, commands.Embed(**settings))
        return result

    def simulate(self, **settings: Any) -> "Simulated":
        """Let a simulated annotator answer; see `likewise simulate`."""
        result: Simulated = _run(
            "evaluation.annotator:simulate", self, commands.Simulate(**settings)
        )
        return result

    def finetune(self, **settings: Any) -> "Finetuned":
        """Teach a model what people answered; see `likewise finetune`."""
        result: Finetuned = _run("training.finetune:finetune", self, commands.Finetune(**settings))
        return result

    def evaluate(self, **settings: Any) -> "Evaluation":
        """Compare the models on a known truth; see `likewise evaluate`."""
        result: Evaluation = _run(
            "evaluation.evaluate:evaluate", self, commands.Evaluate(**settings)
        )
        return result

    def export_answers(self, file: str | Path, **settings: Any) -> "Exported":
        """Write the answers to a file; see `likewise answers export`."""
        given = commands.AnswersExport(file=Path(file), **settings)
        result: Exported = _run("answers.exchange:export_answers", self, given)
        return result

    def import_answers(self, file: str | Path, **settings: Any) -> "Imported":
        """Read answers from a file; see `likewise answers import`."""
        given = commands.AnswersImport(file=Path(file), **settings)
        result: Imported = _run("answers.exchange:import_answers", self, given)
        return result

    def search(
        self, image: str | Path, top: int = 10, within: Sequence[str | Path] = (), **settings: Any
    ) -> "Hits":
        """The images most similar to a file; see `likewise search`."""
        folders = tuple(Path(each) for each in within)
        given = commands.Search(image=Path(image), top=top, within=folders, **settings)
        result: Hits = _run("inference.search:search", self, given)
        return result

    def searcher(self) -> "ImageSearch":
        """For many searches: keeps images, vectors and index open; ``.like(file)`` asks."""
        opened: ImageSearch = _function("inference.search:ImageSearch")(self)
        return opened

    def verify(self, a: str | Path, b: str | Path, **settings: Any) -> "Verified":
        """Whether two image files show the same; see `likewise verify`."""
        given = commands.Verify(images=(Path(a), Path(b)), **settings)
        result: Verified = _run("inference.verify:verify", self, given)
        return result

    def verify_pairs(self, file: str | Path, **settings: Any) -> "VerifiedPairs":
        """The same for the pairs of a file; see `likewise verify --pairs`."""
        given = commands.Verify(pairs=Path(file), **settings)
        result: VerifiedPairs = _run("inference.verify:verify", self, given)
        return result

    def verifier(self, far: float = 0.01) -> "Verifier":
        """For many pairs: keeps vectors and threshold; ``.compare(a, b)`` asks."""
        opened: Verifier = _function("inference.verifier:Verifier")(self, far)
        return opened

    def duplicates(self, **settings: Any) -> "DuplicatesFound":
        """Find images that are there twice; see `likewise duplicates`."""
        result: DuplicatesFound = _run(
            "inference.duplicates:duplicates", self, commands.Duplicates(**settings)
        )
        return result

    def groups(self, **settings: Any) -> "GroupsFound":
        """Sort all images into groups; see `likewise groups`."""
        result: GroupsFound = _run("inference.sorting:groups", self, commands.Groups(**settings))
        return result

    def report(self, **settings: Any) -> "Reported":
        """Write a page with pictures about the workspace or a run; see `likewise report`."""
        result: Reported = _run("report.job:report", self, commands.Report(**settings))
        return result

    def status(self) -> "WorkspaceStatus":
        """What the workspace holds and what to do next; see `likewise status`."""
        result: WorkspaceStatus = _run("status:status", self, commands.Status())
        return result

    def images(self) -> "Images":
        """The usable images, as a sequence of RGB arrays."""
        images: Images = _function("images.store:open_images")(self)
        return images

    def vectors(self, fingerprint: str | None = None) -> "Embeddings":
        """The vectors of a model, by default the ones made last."""
        embeddings: Embeddings = _function("neighbours.vectors:load_embeddings")(self, fingerprint)
        return embeddings


def _run(job: str, where: Workspace, settings: commands.Common) -> Any:
    return _function(job)(where, settings)


def _function(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(f"likewise.{module}"), name)
