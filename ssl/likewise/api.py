"""The Python API: the commands as methods of a workspace.

>>> from likewise import Workspace
>>> workspace = Workspace("shoes")
>>> workspace.ingest("photos/")
>>> workspace.pretrain(epochs=50)
>>> workspace.embed()

Keyword arguments are the command's settings (see `likewise.settings`); an unknown one is a
TypeError. Each method returns what the command prints, as a frozen dataclass, which a notebook
displays with its tables and pictures.
"""

import importlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from likewise import settings as commands
from likewise import workspace
from likewise.errors import UsageError
from likewise.progress import in_notebook

if TYPE_CHECKING:
    import pandas as pd

    from likewise.answers.backup import BackedUp, Restored
    from likewise.answers.exchange import Exported, Imported
    from likewise.answers.verification import AnswersVerified
    from likewise.evaluation.annotator import Simulated
    from likewise.evaluation.evaluate import Evaluation
    from likewise.evaluation.view_sheet import ViewSheet
    from likewise.export.job import ModelExported
    from likewise.export.vector_files import EmbeddingsExported
    from likewise.images.dataset import ImageDataset
    from likewise.images.ingest import IngestResult
    from likewise.images.samples import SampleResult
    from likewise.images.store import Images
    from likewise.inference.copies import DuplicatesFound
    from likewise.inference.gallery import Gallery
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
    from likewise.training.pretrained import Pretrained
    from likewise.training.rerun import Reran


if in_notebook():  # a library that torch's nets come with would have ipywidgets for its own bars
    warnings.filterwarnings("ignore", message="IProgress not found")


class Workspace(workspace.Workspace):
    """A folder that holds everything Likewise makes of one set of images."""

    def ingest(self, *images: Any, **settings: Any) -> "IngestResult":
        """Read images once; see `likewise ingest`.

        Besides paths it takes DataFrames with a column "path", and datasets of PyTorch.
        """
        paths_from = _function("images.sources:paths_from")
        paths = tuple(path for each in images for path in paths_from(each, self))
        given = _given(commands.Ingest, images=paths, **settings)
        result: IngestResult = _run("images.ingest:ingest", self, given)
        return result

    def sample(self, name: str = "digits", to: str | Path | None = None) -> "SampleResult":
        """Fetch a sample data set as class folders, to ingest then; see `likewise sample`."""
        given = _given(commands.Sample, name=name, to=None if to is None else Path(to))
        result: SampleResult = _run("images.samples:sample", self, given)
        return result

    def views(self, **settings: Any) -> "ViewSheet":
        """Draw the augmented views that pretraining sees; see `likewise views`."""
        result: ViewSheet = _run(
            "evaluation.view_sheet:views", self, _given(commands.Views, **settings)
        )
        return result

    def pretrain(self, **settings: Any) -> "Pretrained":
        """Learn an embedding from the unlabelled images; see `likewise pretrain`."""
        result: Pretrained = _run(
            "training.pretrain:pretrain", self, _given(commands.Pretrain, **settings)
        )
        return result

    def adopt(self, backbone: str, **settings: Any) -> "Adopted":
        """Take a net that others trained as a model; see `likewise adopt`."""
        given = _given(commands.Adopt, backbone=backbone, **settings)
        result: Adopted = _run("training.adopt:adopt", self, given)
        return result

    def embed(self, **settings: Any) -> "Embedded":
        """Compute the embedding of every image; see `likewise embed`."""
        result: Embedded = _run(
            "neighbours.embedding:embed", self, _given(commands.Embed, **settings)
        )
        return result

    def simulate(self, **settings: Any) -> "Simulated":
        """Let a simulated annotator answer; see `likewise simulate`."""
        result: Simulated = _run(
            "evaluation.annotator:simulate", self, _given(commands.Simulate, **settings)
        )
        return result

    def finetune(self, **settings: Any) -> "Finetuned":
        """Teach a model what people answered; see `likewise finetune`."""
        result: Finetuned = _run(
            "training.finetune:finetune", self, _given(commands.Finetune, **settings)
        )
        return result

    def rerun(self, run: str, *, name: str | None = None) -> "Reran":
        """Train a run anew and compare the weights; see `likewise rerun`."""
        result: Reran = _run(
            "training.rerun:rerun", self, _given(commands.Rerun, run=run, name=name)
        )
        return result

    def evaluate(self, **settings: Any) -> "Evaluation":
        """Compare the models on a known truth; see `likewise evaluate`."""
        result: Evaluation = _run(
            "evaluation.evaluate:evaluate", self, _given(commands.Evaluate, **settings)
        )
        return result

    def export_answers(self, file: str | Path, **settings: Any) -> "Exported":
        """Write the answers to a file; see `likewise answers export`."""
        given = _given(commands.AnswersExport, file=Path(file), **settings)
        result: Exported = _run("answers.exchange:export_answers", self, given)
        return result

    def import_answers(self, file: str | Path, **settings: Any) -> "Imported":
        """Read answers from a file; see `likewise answers import`."""
        given = _given(commands.AnswersImport, file=Path(file), **settings)
        result: Imported = _run("answers.exchange:import_answers", self, given)
        return result

    def verify_answers(
        self, file: str | Path | None = None, *, noted: str | None = None
    ) -> "AnswersVerified":
        """Look whether answers are as they were written; see `likewise answers verify`."""
        given = _given(
            commands.AnswersVerify, file=None if file is None else Path(file), noted=noted
        )
        result: AnswersVerified = _run("answers.verification:verify_answers", self, given)
        return result

    def backup_answers(self, file: str | Path) -> "BackedUp":
        """Write all answers to one file; see `likewise answers backup`."""
        given = _given(commands.AnswersBackup, file=Path(file))
        result: BackedUp = _run("answers.backup:backup_answers", self, given)
        return result

    def restore_answers(self, file: str | Path) -> "Restored":
        """Add what a backup holds; see `likewise answers restore`."""
        given = _given(commands.AnswersRestore, file=Path(file))
        result: Restored = _run("answers.backup:restore_answers", self, given)
        return result

    def add_answers(
        self, frame: "pd.DataFrame", annotator: str = "import", *, gold: bool = False
    ) -> "Imported":
        """Store the answers in a DataFrame; columns as in `likewise answers import`."""
        add = _function("export.frames:add_answers")
        result: Imported = add(self, frame, annotator, gold=gold)
        return result

    def search(
        self, image: str | Path, top: int = 10, within: Sequence[str | Path] = (), **settings: Any
    ) -> "Hits":
        """The images most similar to a file; see `likewise search`."""
        folders = tuple(Path(each) for each in within)
        given = _given(commands.Search, image=Path(image), top=top, within=folders, **settings)
        result: Hits = _run("inference.search:search", self, given)
        return result

    def searcher(self) -> "ImageSearch":
        """For many searches: keeps images, vectors and index open; ``.like(file)`` asks."""
        opened: ImageSearch = _function("inference.search:ImageSearch")(self)
        return opened

    def verify(self, a: str | Path, b: str | Path, **settings: Any) -> "Verified":
        """Whether two image files show the same; see `likewise verify`."""
        given = _given(commands.Verify, images=(Path(a), Path(b)), **settings)
        result: Verified = _run("inference.verify:verify", self, given)
        return result

    def verify_pairs(self, pairs: "str | Path | pd.DataFrame", **settings: Any) -> "VerifiedPairs":
        """The same for the pairs of a file or DataFrame; see `likewise verify --pairs`."""
        result: VerifiedPairs
        if isinstance(pairs, str | Path):
            given = _given(commands.Verify, pairs=Path(pairs), **settings)
            result = _run("inference.verify:verify", self, given)
        else:
            judge = _function("export.frames:verify_frame")
            result = judge(self, pairs, _given(commands.Verify, **settings))
        return result

    def verifier(self, far: float = 0.01) -> "Verifier":
        """For many pairs: keeps vectors and threshold; ``.compare(a, b)`` asks."""
        opened: Verifier = _function("inference.verifier:Verifier")(self, far)
        return opened

    def duplicates(self, **settings: Any) -> "DuplicatesFound":
        """Find images that are there twice; see `likewise duplicates`."""
        result: DuplicatesFound = _run(
            "inference.duplicates:duplicates", self, _given(commands.Duplicates, **settings)
        )
        return result

    def groups(self, **settings: Any) -> "GroupsFound":
        """Sort all images into groups; see `likewise groups`."""
        result: GroupsFound = _run(
            "inference.sorting:groups", self, _given(commands.Groups, **settings)
        )
        return result

    def gallery(self) -> "Gallery":
        """Classes known by exemplars: add, remove, classify; see `likewise gallery`."""
        opened: Gallery = _function("inference.gallery:Gallery")(self)
        return opened

    def export(self, folder: str | Path | None = None, **settings: Any) -> "ModelExported":
        """Write a model as ONNX, torch program and safetensors; see `likewise export`."""
        given = _given(commands.Export, folder=None if folder is None else Path(folder), **settings)
        result: ModelExported = _run("export.job:export", self, given)
        return result

    def export_embeddings(self, file: str | Path, **settings: Any) -> "EmbeddingsExported":
        """Write the vectors as Parquet or .npy; see `likewise embeddings export`."""
        given = _given(commands.EmbeddingsExport, file=Path(file), **settings)
        result: EmbeddingsExported = _run("export.vector_files:export_embeddings", self, given)
        return result

    def report(self, **settings: Any) -> "Reported":
        """Write a page with pictures about the workspace or a run; see `likewise report`."""
        result: Reported = _run("report.job:report", self, _given(commands.Report, **settings))
        return result

    def status(self) -> "WorkspaceStatus":
        """What the workspace holds and what to do next; see `likewise status`."""
        result: WorkspaceStatus = _run("status:status", self, commands.Status())
        return result

    def images(self) -> "Images":
        """The usable images, as a sequence of RGB arrays."""
        images: Images = _function("images.store:open_images")(self)
        return images

    def vectors(self, fingerprint: str | None = None, *, model: str | None = None) -> "Embeddings":
        """The vectors of a model, by default the ones made last.

        ``model`` is the name of a run ("pretrain-1"). A fingerprint finds vectors also where the
        run was removed.
        """
        if fingerprint is not None and model is not None:
            raise UsageError("vectors: give the name of a model or a fingerprint, not both")
        embeddings: Embeddings = (
            _function("neighbours.vectors:embeddings_of")(self, model)
            if fingerprint is None
            else _function("neighbours.vectors:load_embeddings")(self, fingerprint)
        )
        return embeddings

    def dataset(
        self, transform: Callable[[Any], Any] | None = None, size: int | None = None
    ) -> "ImageDataset":
        """The images for PyTorch: pairs of image and id.

        ``transform`` is given pictures of Pillow. Without one an image is a uint8 tensor
        (3, H, W), with ``size`` of the square that a model sees.
        """
        made: ImageDataset = _function("images.dataset:ImageDataset")(
            self.images(), transform, size
        )
        return made

    def ids_of(self, dataset: Any) -> list[str]:
        """The image id of each item of a dataset of PyTorch, in its order."""
        indexed = _function("images.sources:as_indexed")(dataset)
        ids: list[str] = _function("images.dataset_files:ids_of_items")(indexed)
        return ids

    def images_frame(self) -> "pd.DataFrame":
        """A row per image, and per file that failed, as a DataFrame."""
        frame: pd.DataFrame = _function("export.frames:images_frame")(self)
        return frame

    def embeddings_frame(
        self, fingerprint: str | None = None, *, model: str | None = None
    ) -> "pd.DataFrame":
        """The vectors as a DataFrame: a row per image, indexed by its id; see `vectors`."""
        embeddings = self.vectors(fingerprint, model=model)
        frame: pd.DataFrame = _function("export.frames:embeddings_frame")(self, embeddings)
        return frame

    def answers_frame(self, *, history: bool = False) -> "pd.DataFrame":
        """The answers that stand, or every row ever written, as a DataFrame."""
        frame: pd.DataFrame = _function("export.frames:answers_frame")(self, history=history)
        return frame

    def groups_frame(self) -> "pd.DataFrame":
        """The group of every file, as `likewise groups` tells it, as a DataFrame."""
        frame: pd.DataFrame = _function("export.frames:groups_frame")(self)
        return frame


def _run(job: str, where: Workspace, settings: commands.Common) -> Any:
    return _function(job)(where, settings)


def _given(command: Callable[..., Any], **values: Any) -> Any:
    """A command's settings, with strings made paths where paths are meant, as in a shell."""
    hints = get_type_hints(command)
    paths = {
        name: Path(value)
        for name, value in values.items()
        if isinstance(value, str)
        and Path in (kinds := _kinds(hints.get(name)))
        and str not in kinds
    }
    return command(**values | paths)


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) or (hint,)


def _function(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(f"likewise.{module}"), name)
