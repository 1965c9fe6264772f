"""Weights that somebody else trained, from a file into a net."""

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likewise.errors import LikewiseError, UsageError
from likewise.files import reason_of
from likewise.models.published_names import has_published_names, renamed

CLASSIFIERS = ("fc", "classifier", "heads", "head")
"""What nets call their last layers, which an embedding does without."""
_TOLD = 3
"""Names that a message gives."""


def load_weights(net: nn.Module, file: Path, name: str) -> None:
    """Copy weights from a file into ``net``; a classifier's own layers in it are left out.

    Args:
        net: To be given the weights.
        file: Safetensors, or a torch checkpoint of plain tensors.
        name: What the net is called, for messages.

    Raises:
        UsageError: there is no such file.
        LikewiseError: the file cannot be read, or holds weights of another net.
    """
    if not file.is_file():
        raise UsageError(f"--init: no file {file}; say random, pretrained, or a weights file")
    own = net.state_dict()
    state = _as_timm_names(net, _read_weights(file))
    fitting = {key: value for key, value in state.items() if key in own}
    missing = [key for key in own if key not in fitting and not key.endswith("num_batches_tracked")]
    misfits = [key for key, value in fitting.items() if value.shape != own[key].shape]
    if missing or misfits:
        spare = [key for key in state if key not in own and not key.startswith(CLASSIFIERS)]
        told = "; ".join(filter(None, (_absent(missing, spare, own), _unlike(misfits, state, own))))
        raise LikewiseError(f"{file} does not fit {name}: {told}")
    net.load_state_dict(fitting, strict=False)


def _absent(missing: Sequence[str], spare: Sequence[str], own: Collection[str]) -> str:
    """What is said of weights that the net wants and the file has not."""
    if not missing:
        return ""
    said = f"{len(missing)} of {len(own)} weights are missing ({_some(missing)})"
    if not spare:
        return f"{said}, so it holds a part of the net only"
    return (
        f"{said}, while the file has {_some(spare)}. Give the net that it was saved from; or, if "
        "it is the same net under other names, rename them (docs/guides/pretrained.md)"
    )


def _unlike(misfits: Sequence[str], state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """What is said of weights that have another shape."""
    if not misfits:
        return ""
    first = misfits[0]
    theirs, ours = (" x ".join(map(str, each[first].shape)) for each in (state, own))
    return (
        f"{len(misfits)} weights have another shape ({first}: {theirs} in the file, {ours} in the "
        "net), so it is of a net of another size; give the name of that one"
    )


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more


def _as_timm_names(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as published, for another side or with other names, as a net of timm has them.

    timm keeps such a conversion (of DINOv2, SigLIP, ...) beside the class of the net.
    """
    own = net.state_dict()
    if has_published_names(state, own):
        return renamed(state, own)
    fits = own.keys() <= state.keys() and all(own[key].shape == state[key].shape for key in own)
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    if fits or convert is None:
        return state
    try:
        converted: dict[str, Tensor] = convert(state, net)
    except (KeyError, RuntimeError, TypeError, ValueError):
        return state  # not its weights: what does not fit is told
    return converted


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            loaded: Mapping[str, Any] = load_file(file)
        else:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
            for key in ("state_dict", "model", "model_state_dict"):
                loaded = loaded.get(key, loaded)
    except Exception as error:  # eight kinds of exception were seen on damaged files
        raise LikewiseError(f"could not read weights from {file}: {reason_of(error)}") from error
    prefixes = ("module.", "backbone.", "encoder.", "net.")
    state = {}
    for key, value in loaded.items():
        while key.startswith(prefixes):
            key = key.split(".", 1)[1]
        if isinstance(value, Tensor):
            state[key] = value
    return state
