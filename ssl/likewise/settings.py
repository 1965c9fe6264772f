"""One frozen dataclass per command: its flags, its help, and the config saved with its run.

A field's docstring is its help text. Nothing heavy is imported here.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

Strategy = Literal[
    "cover-place-spread",
    "likely-first",
    "uncertain",
    "nearest",
    "neighbours",
    "random",
]
Loss = Literal["contrastive", "triplet", "supcon"]
Depth = Literal["auto", "head", "backbone"]
Preset = Literal["auto", "natural", "grey", "glyph"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Common:
    """Flags that every command takes."""

    workspace: Path | None = None
    """Folder that holds everything Likewise makes. [default: $LIKEWISE_WORKSPACE, else the
    nearest folder upward with a workspace.toml, else ./workspace]"""
    json: bool = False
    """Print one JSON object on stdout; all else goes to stderr."""
    debug: bool = False
    """On failure, show the traceback."""


@dataclass(frozen=True, kw_only=True)
class Sample(Common):
    """Fetch a sample data set as image files in class folders."""

    name: Positional[str] = "digits"
    """digits needs no internet. Others come through torchvision: cifar10, omniglot, lfw,
    flowers102, pets, ..."""
    to: Path | None = None
    """Where to put the files. [default: data/NAME]"""


@dataclass(frozen=True, kw_only=True)
class Demo(Common):
    """Run the whole loop with a simulated annotator; write a report with pictures."""

    images: Path | None = None
    """Folder of images (parent folder = class). [default: the 5,000 sample digits]"""
    answers: int = 200
    """How many questions the simulated annotator answers."""
    epochs: int | None = None
    """Pretraining epochs. [default: so many that 48,000 images are shown]"""
    serve: bool = False
    """Open the labeler on the result."""
    seed: int = 0
    """Seed of everything random."""


@dataclass(frozen=True, kw_only=True)
class Ingest(Common):
    """Read images once: list every file, decode it, keep small copies for all later steps."""

    images: Positional[tuple[Path, ...]] = ()
    """Folders, image files, or CSV/Parquet/Arrow lists with a "path" column. [default: the
    folders ingested before]"""
    store_size: int | None = None
    """Shrink the short side of the kept copies to this many pixels. [default: 256]"""
    hold_out: float | None = None
    """Share of the images (0 to 1) that is never trained on nor asked about, kept for
    `evaluate`. [default: 0]"""
    workers: int = 0
    """Decoding processes. 0: one per core."""


@dataclass(frozen=True, kw_only=True)
class Views(Common):
    """Draw a contact sheet of the augmented views that pretraining sees."""

    out: Path | None = None
    """Picture to write. [default: WORKSPACE/views.png]"""
    preset: Preset = "auto"
    """Augmentation recipe; auto looks at the images."""
    image_size: int = 0
    """Side of a view in pixels. 0: chosen from the images."""
    images: int = 8
    """How many images (rows)."""
    views: int = 8
    """How many views of each (columns)."""
    seed: int = 0
    """Seed of everything random."""


@dataclass(frozen=True, kw_only=True)
class Pretrain(Common):
    """Learn an embedding from the unlabelled images (SimSiam). Run it again to go on."""

    backbone: str = "small"
    """small (made for CPUs), or any torchvision or timm name: resnet18, convnext_tiny, ..."""
    init: str = "random"
    """random, pretrained (downloads), or a local weights file."""
    preset: Preset = "auto"
    """Augmentation recipe: natural (photos), grey, glyph (documents, signs: no flips, no
    colour). auto looks at the images."""
    image_size: int = 0
    """Side of a view in pixels. 0: chosen from the images and the backbone."""
    views: int = 2
    """Views per image. Above 2 the target is the mean of the other views (FastSiam)."""
    epochs: int = 100
    """Passes over the images."""
    batch_size: int = 64
    """Images per step."""
    lr: float = 0.4
    """Learning rate for 256 images a step; scaled linearly with the batch size."""
    weight_decay: float = 5e-4
    """L2 penalty of SGD."""
    momentum: float = 0.9
    """Momentum of SGD."""
    projector_dim: int = 0
    """Width of the projector and of its output. 0: 2048, or twice the embedding's dimensions
    for backbones with fewer than 512."""
    predictor_dim: int = 0
    """Width of the predictor's bottleneck. 0: a quarter of the projector's."""
    workers: int = -1
    """Processes that make views. -1: chosen from the cores."""
    precision: Precision = "auto"
    """auto measures which is faster on this machine."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    seed: int = 0
    """Seed of everything random."""
    name: str | None = None
    """Name of the run. [default: pretrain-1, pretrain-2, ...]"""
    fresh: bool = False
    """Start a new run even if one with the same settings could be resumed."""


@dataclass(frozen=True, kw_only=True)
class Embed(Common):
    """Compute the embedding of every image and build the neighbour index."""

    model: str | None = None
    """Name of a run. [default: the newest model]"""
    batch_size: int = 256
    """Images per forward pass."""
    precision: Precision = "auto"
    """auto measures which is faster on this machine."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True, kw_only=True)
class Label(Common):
    """Start the app in which people answer "same or different?"."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8501
    """Port to listen on."""
    strategy: Strategy = "cover-place-spread"
    """Which pairs to ask about: cover-place-spread (finds the group of each image),
    likely-first (for many small groups), uncertain, nearest, neighbours (at most a quarter of very
    similar pairs), random."""
    second_share: float = 0.1
    """Share of the answered pairs (0 to 1) that a second person is shown, unaware of it."""
    refresh: int = 0
    """After so many new answers, 25 for example, teach a new head in the background and propose
    pairs with it. 0: never."""
    ssl_cert: Path | None = None
    """Certificate (PEM), to serve https."""
    ssl_key: Path | None = None
    """Its private key (PEM)."""
    browser: bool = True
    """Whether to open a browser window; without the flag it does."""


@dataclass(frozen=True, kw_only=True)
class PeopleAdd(Common):
    """Let a person sign in to the labeler; asks for a password. Again: a new password."""

    name: Positional[str]
    """The name under which answers are stored; with --oidc the e-mail address."""
    password_stdin: bool = False
    """Read the password from standard input instead of asking."""
    oidc: bool = False
    """The person signs in with the identity provider instead of a password."""


@dataclass(frozen=True, kw_only=True)
class PeopleList(Common):
    """List who may sign in to the labeler."""


@dataclass(frozen=True, kw_only=True)
class PeopleRemove(Common):
    """Let a person sign in no more; their answers stay."""

    name: Positional[str]
    """Name or e-mail address, as listed."""


@dataclass(frozen=True, kw_only=True)
class AnswersExport(Common):
    """Write all answers to a CSV, JSONL or Parquet file (by suffix)."""

    file: Positional[Path]
    """File to write."""
    history: bool = False
    """Include corrected and undone answers."""


@dataclass(frozen=True, kw_only=True)
class AnswersImport(Common):
    """Read answers from a CSV, JSONL or Parquet file (by suffix)."""

    file: Positional[Path]
    """Columns: path_a, path_b (or id_a, id_b), verdict; annotator and time if known."""
    annotator: str = "import"
    """Who answered, where the file does not say."""
    gold: bool = False
    """The verdicts are known truths: they settle their pairs and test the people who answer."""


@dataclass(frozen=True, kw_only=True)
class Simulate(Common):
    """Let a simulated annotator answer proposals from a known truth (for benchmarks)."""

    budget: int = 200
    """How many questions to answer."""
    truth: str = "folders"
    """folders (class = parent folder), or a CSV with columns path (or id) and class."""
    strategy: Strategy = "cover-place-spread"
    """Which pairs to ask about."""
    noise: float = 0.0
    """Share of the answers that is wrong (0 to 1)."""
    annotator: str = "simulated"
    """Name the answers are stored under."""
    seed: int = 0
    """Seed of everything random."""


@dataclass(frozen=True, kw_only=True)
class Finetune(Common):
    """Teach a model what people answered."""

    depth: Depth = "auto"
    """What is taught. head: a linear map of the embedding, in seconds, which counts only as far as
    tests on hidden answers allow. backbone: the whole net, with the loss below. auto: head."""
    loss: Loss = "supcon"
    """For the backbone: contrastive (Hadsell 2006), triplet, or supcon (Khosla 2020)."""
    model: str | None = None
    """Name of the run to start from. [default: the newest pretrained model]"""
    hold_out: float = 0.2
    """Share of the answers (whole connected components) kept to measure before and after."""
    steps: int = 150
    """Optimizer steps."""
    batch_size: int = 32
    """Answered images per step."""
    lr: float = 1e-3
    """Learning rate of AdamW."""
    margin: float = 0.5
    """Margin of the contrastive and triplet losses (Euclidean distance of unit vectors: 0 to 2)."""
    temperature: float = 0.1
    """Temperature of the supervised contrastive loss."""
    spread: int = 0
    """For the backbone: images, besides those answered about, whose group follows surely enough
    from answers and embedding to be taught too."""
    simsiam: float = 0.0
    """For the backbone: weight of SimSiam's loss on the two views of each image."""
    workers: int = -1
    """Processes that make views. -1: chosen from the cores."""
    precision: Precision = "auto"
    """auto measures which is faster on this machine."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    seed: int = 0
    """Seed of everything random."""
    name: str | None = None
    """Name of the run. [default: finetune-1, finetune-2, ...]"""


@dataclass(frozen=True, kw_only=True)
class Evaluate(Common):
    """Compare every model of the workspace on a known truth."""

    truth: str = "folders"
    """folders (class = parent folder), or a CSV with columns path (or id) and class."""
    on: Literal["auto", "held-out", "all"] = "auto"
    """Which images are the queries. auto: the held-out ones if there are any, else all."""
    bootstrap: int = 200
    """Resamples for the 95 % intervals."""
    seed: int = 0
    """Seed of everything random."""


@dataclass(frozen=True, kw_only=True)
class Status(Common):
    """Say what the workspace holds, what is stale, and what to do next."""


def config_of(settings: Common) -> dict[str, Any]:
    """The settings that define a run, ready for JSON.

    Without the flags every command takes, and without --fresh, which only says what to do with
    an unfinished run.
    """
    common = {each.name for each in dataclasses.fields(Common)} | {"fresh"}
    config = {
        each.name: getattr(settings, each.name)
        for each in dataclasses.fields(settings)
        if each.name not in common
    }
    return {key: str(value) if isinstance(value, Path) else value for key, value in config.items()}
