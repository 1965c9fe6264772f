"""What a model's file says of itself; read without torch, so that a look at the runs is quick."""

from pathlib import Path

import safetensors

from likewise.errors import LikewiseError
from likewise.files import reason_of
from likewise.seals import is_whole

FORMAT = 3
HEADED = 4
"""Format of a model with a head."""
_UNSEALED = ("1", "2")
"""The same two, before there were seals."""


def read_metadata(file: Path) -> dict[str, str]:
    """The metadata of a saved model.

    Raises:
        LikewiseError: the file is missing, damaged, or of a newer format.
    """
    damaged = LikewiseError(f"{file} is damaged; remove {file.parent} and train again")
    try:
        whole = is_whole(file, header_length(file))
        if whole is False:
            raise damaged
        with safetensors.safe_open(file, framework="numpy") as opened:
            metadata: dict[str, str] = opened.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise LikewiseError(f"could not read the model {file}: {reason_of(error)}") from error
    if whole is None and metadata.get("format") not in _UNSEALED:
        raise damaged
    if metadata.get("format") not in (str(FORMAT), str(HEADED), *_UNSEALED):
        raise LikewiseError(f"{file} has format {metadata.get('format')}; upgrade Likewise")
    return metadata


def header_length(file: Path) -> int:
    """How many bytes come before the weights: those that the seal is of.

    The weights have the fingerprint, which is in the header. So a look at the header, which is
    short, can be trusted without a look at the weights.

    Raises:
        OSError: the file cannot be read.
    """
    with file.open("rb") as opened:
        return 8 + int.from_bytes(opened.read(8), "little")
