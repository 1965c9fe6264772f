"""Settings of commands that train and measure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from likewise.settings.common import Common, Compile, MemoryFormat, Precision, Preset, ViewsOn

Loss = Literal["contrastive", "triplet", "supcon"]

Depth = Literal["auto", "head", "adapters", "backbone"]


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
    small_first: float = 0.0
    """Share of the epochs, 0 to 0.9, that come first and see views of half the side: about a
    quarter of the work. The last epochs see them whole."""
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
    views_on: ViewsOn = "auto"
    """Where views are made. cpu: by those processes. device: on the device that trains, from images
    that all lie there. auto: device if it is CUDA and they take at most a quarter of its free
    memory. Both draw from the same distributions, not the same views."""
    threads: int = 0
    """Threads that compute. 0: as many as there are cores for, fewer while other processes keep
    these busy. A number: always so many; results are then the same to the bit."""
    precision: Precision = "auto"
    """auto measures which is faster on this machine, once."""
    memory_format: MemoryFormat = "auto"
    """How images lie in memory: all channels of a pixel together, or channel after channel. auto
    measures which is faster, together with the precision; if that is named, channels_last."""
    compile: Compile = "auto"
    """Whether torch.compile speeds up the net. auto: on CUDA, if the run is long enough to pay for
    it and a measured step is quicker."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    seed: int = 0
    """Seed of everything random."""
    name: str | None = None
    """Name of the run. [default: pretrain-1, pretrain-2, ...]"""
    fresh: bool = False
    """Start a new run even if one with the same settings could be resumed."""


@dataclass(frozen=True, kw_only=True)
class Adopt(Common):
    """Take a net that others trained (DINOv2, SigLIP, ConvNeXt, ...) as a model, as it is."""

    backbone: Positional[str]
    """torchvision or timm name: resnet50, vit_small_patch14_dinov2.lvd142m, ..."""
    init: str = "pretrained"
    """pretrained (downloads), or a local weights file."""
    image_size: int = 0
    """Side of the input in pixels. 0: the net's own. Smaller is faster."""
    name: str | None = None
    """Name of the run. [default: the backbone's]"""


@dataclass(frozen=True, kw_only=True)
class Embed(Common):
    """Compute the embedding of every image and build the neighbour index."""

    model: str | None = None
    """Name of a run. [default: the newest model]"""
    batch_size: int = 256
    """Images per forward pass."""
    threads: int = 0
    """Threads that compute. 0: as many as there are cores for, fewer while other processes keep
    these busy. A number: always so many; results are then the same to the bit."""
    precision: Precision = "auto"
    """auto measures which is faster on this machine, once."""
    memory_format: MemoryFormat = "auto"
    """How images lie in memory: all channels of a pixel together, or channel after channel. auto
    measures which is faster, together with the precision; if that is named, channels_last."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True, kw_only=True)
class Finetune(Common):
    """Teach a model what people answered."""

    depth: Depth = "auto"
    """What is taught. head: a linear map of the embedding, in seconds, which counts only as far as
    tests on hidden answers allow. backbone: the whole net, with the loss below. adapters: the same
    with the net's weights frozen, through a low-rank matrix beside each (LoRA, Hu 2022); for large
    nets and few answers. auto: head, or backbone where --model has a head."""
    loss: Loss = "supcon"
    """For backbone and adapters: contrastive (Hadsell 2006), triplet, or supcon (Khosla 2020)."""
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
    rank: int = 8
    """Rank of the adapters."""
    spread: int = 0
    """For backbone and adapters: images, besides those answered about, whose group follows surely
    enough from answers and embedding to be taught too."""
    simsiam: float = 0.0
    """For backbone and adapters: weight of SimSiam's loss on the two views of each image."""
    workers: int = -1
    """Processes that make views. -1: chosen from the cores."""
    threads: int = 0
    """Threads that compute. 0: as many as there are cores for, fewer while other processes keep
    these busy. A number: always so many; results are then the same to the bit."""
    precision: Precision = "auto"
    """auto measures which is faster on this machine, once."""
    memory_format: MemoryFormat = "auto"
    """How images lie in memory: all channels of a pixel together, or channel after channel. auto
    measures which is faster, together with the precision; if that is named, channels_last."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    seed: int = 0
    """Seed of everything random."""
    name: str | None = None
    """Name of the run. [default: finetune-1, finetune-2, ...]"""


@dataclass(frozen=True, kw_only=True)
class Rerun(Common):
    """Train a run anew as its config.json says, and say whether the weights are equal."""

    run: Positional[str]
    """Name of the run."""
    name: str | None = None
    """Name of the new run. [default: the old one's with -again]"""


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
class Report(Common):
    """Write one HTML file: what was learnt, how sure that is, and what to label next."""

    run: str | None = None
    """Name of the run to report on. [default: the whole workspace, by its newest embedding]"""
    out: Path | None = None
    """File to write. [default: WORKSPACE/report.html]"""
    truth: str | None = None
    """Where classes are known: folders (class = parent folder), or a CSV with columns path (or id)
    and class. Figures on it are added. [default: only what the answers tell]"""
    seed: int = 0
    """Seed of everything random."""


@dataclass(frozen=True, kw_only=True)
class Status(Common):
    """Say what the workspace holds, what is stale, and what to do next."""
