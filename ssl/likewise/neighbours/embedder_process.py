"""A child process that embeds pictures from anywhere, so that its parent needs no torch.

Decoders run here as well: a picture that crashes one costs this process, and its parent starts
another. On stdin a line of JSON, ``{"workspace", "fingerprint", "bytes"}``, and so many bytes of a
picture; on stdout a line of JSON, ``{"vector", "picture", "width", "height"}`` or ``{"error"}``. It
ends with its stdin, or when nothing was asked for `IDLE` seconds.
"""

import base64
import json
import os
import sys
import threading
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from likewise.errors import LikewiseError
from likewise.images.augmentation import whole_view
from likewise.images.decode import decode_sized
from likewise.images.limits import MEMORY, bounded_memory
from likewise.models.backbones import Backbone
from likewise.models.machine import pick_machine
from likewise.models.model_files import load_model
from likewise.models.runs import run_with
from likewise.neighbours.embedding import embed_views
from likewise.workspace import Workspace

IDLE = 300.0
"""Seconds after which it ends when nothing is asked."""
SHOWN = 320
"""Long side of the picture that is sent back, in pixels."""

Models = dict[tuple[str, str], Backbone]
"""The model that was used last, by workspace and fingerprint."""


def serve(questions: BinaryIO, replies: BinaryIO, idle: float = IDLE) -> None:
    """Answer one question after the other, until there are no more."""
    models: Models = {}
    while True:
        patience = threading.Timer(idle, os._exit, (0,))
        patience.daemon = True
        patience.start()
        line = questions.readline()
        patience.cancel()
        if not line:
            return
        asked = json.loads(line)
        reply = _reply(models, asked, questions.read(int(asked["bytes"])))
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()


def _reply(models: Models, asked: dict[str, Any], data: bytes) -> dict[str, Any]:
    try:
        workspace = Workspace(asked["workspace"])
        return embedded_picture(models, workspace, str(asked["fingerprint"]), data)
    except LikewiseError as error:
        return {"error": str(error)}
    except Exception as error:  # the parent has one line for the user, whatever it was
        return {"error": f"the picture could not be embedded ({type(error).__name__})"}


def embedded_picture(
    models: Models, workspace: Workspace, fingerprint: str, data: bytes
) -> dict[str, Any]:
    """The embedding of a file's bytes, prepared as `likewise ingest` prepares them.

    Raises:
        LikewiseError: it is no usable picture, or there is no such model.
    """
    with bounded_memory(MEMORY):
        decoded = decode_sized(data, short_side=workspace.config.store_size)
    backbone = _model(models, workspace, fingerprint)
    view = whole_view(decoded.pixels, backbone.architecture.image_size)
    vector = embed_views(
        backbone, pick_machine("cpu", "float32", "channels_last"), np.asarray(view)[None]
    )[0]
    picture = Image.fromarray(decoded.pixels)
    picture.thumbnail((SHOWN, SHOWN))
    encoded = BytesIO()
    picture.save(encoded, "PNG")
    return {
        "vector": [float(each) for each in vector],
        "picture": base64.b64encode(encoded.getvalue()).decode(),
        "width": decoded.width,
        "height": decoded.height,
    }


def _model(models: Models, workspace: Workspace, fingerprint: str) -> Backbone:
    key = (str(workspace.path), fingerprint)
    if key not in models:
        loaded = load_model(run_with(workspace, fingerprint).model_file)
        models.clear()
        models[key] = loaded
    return models[key]


def main() -> None:
    """Answer the parent; whatever libraries print goes nowhere."""
    replies = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(silence, descriptor)
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
