"""What a model's file says of itself; read without torch, so that a look at the runs is quick."""

from pathlib import Path

import safetensors

from likewise.errors import LikewiseError
from likewise.files import reason_of

FORMAT = 1
HEADED = 2
"""Format of a model with a head; earlier versions of Likewise cannot read it and say so."""


def read_metadata(file: Path) -> dict[str, str]:
    """The metadata of a saved model.

    Raises:
        LikewiseError: the file is missing, damaged, or of a newer format.
    """
    try:
        with safetensors.safe_open(file, framework="numpy") as opened:
            metadata: dict[str, str] = opened.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise LikewiseError(f"could not read the model {file}: {reason_of(error)}") from error
    if metadata.get("format") not in (str(FORMAT), str(HEADED)):
        raise LikewiseError(f"{file} has format {metadata.get('format')}; upgrade Likewise")
    return metadata
