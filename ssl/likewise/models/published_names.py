"""EfficientNets under the names of `efficientnet_pytorch` and `efficientnet_lite_pytorch`.

The nets (Tan & Le 2019) are those of timm (``tf_efficientnet_b0``, ``tf_efficientnet_lite0``), the
names of the weights are others: blocks are counted through, and a layer has the name of its kind.
"""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

_PLAIN = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EXCITING = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
_EXPANDING = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
    **_EXCITING,
}
_FIRST = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
    **_EXCITING,
}
"""Blocks of stage 0 do not expand, so timm counts their layers from one less."""
_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")
"""Stage and block of a weight of timm's net."""


def has_published_names(state: Collection[str], own: Collection[str]) -> bool:
    """Whether weights have these names, and the net may be theirs."""
    return {"_conv_stem.weight", "_conv_head.weight"} <= set(state) and "conv_stem.weight" in own


def renamed(state: Mapping[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """The weights under timm's names; those that the net has no place for keep theirs.

    Args:
        state: Weights with published names.
        own: Names of the weights of timm's net, which say how many blocks a stage has.
    """
    found = filter(None, map(_BLOCK.match, own))
    places = sorted({(int(each[1]), int(each[2])) for each in found})
    return {_renamed(key, places): value for key, value in state.items()}


def _renamed(key: str, places: list[tuple[int, int]]) -> str:
    first, *rest = key.split(".")
    if first != "_blocks":
        return ".".join((_PLAIN.get(first, first), *rest))
    number, layer, *rest = rest
    if int(number) >= len(places):
        return key
    stage, block = places[int(number)]
    known = _EXPANDING if stage else _FIRST
    return ".".join(("blocks", str(stage), str(block), known.get(layer, layer), *rest))
