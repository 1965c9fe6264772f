"""How much of a GPU's arithmetic a training uses: model FLOP utilisation (MFU).

The FLOPs are those that the net must do, forward and backward, as Chowdhery et al. 2022 ("PaLM",
appendix B) count them; the peak is the maker's, dense, for bfloat16.
"""

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from likewise.models.simsiam import SimSiam

PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
}
"""Dense bfloat16 FLOP/s by a part of the device's name, as the makers' data sheets have it; the
first that fits counts."""


def flops_per_image(model: SimSiam, image_size: int, views: int) -> float:
    """Of one training step, forward and backward, divided by its images."""
    batch = 2
    model = copy.deepcopy(model).to("meta").train()
    pixels = (views * batch, image_size, image_size, 3)
    with FlopCounterMode(display=False) as counter:
        given = torch.empty(pixels, dtype=torch.uint8, device="meta")
        _, z, p = model(model.backbone.normalise(given))
        (p * z.detach()).sum().backward()
    return float(counter.get_total_flops()) / batch


def peak_of(name: str) -> float | None:
    """Peak FLOP/s of a device in bfloat16; None where it is not known."""
    words = name.split()
    return next((peak for part, peak in PEAKS.items() if _has(words, part.split())), None)


def _has(words: list[str], part: list[str]) -> bool:
    """Whether the words of ``part`` are among ``words``; A100-SXM4 counts as A100."""
    stems = {*words, *(word.split("-")[0] for word in words)}
    return set(part) <= stems
