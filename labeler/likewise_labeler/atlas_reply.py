"""What the map in the browser asks for: its points, and pictures where it is near enough.

``POST /likewise/atlas`` takes

- ``{"op": "points", "fingerprint", "colour": "groups"|"folders"|"none", "again": bool}`` and gives
  ``{"state": "working", "share"}`` until there is a map, then ``{"state": "ready", "points",
  "marks", "legend"}``;
- ``{"op": "images", "fingerprint", "rows"}`` and gives ``{"state": "ready", "images"}``, in the
  order of the rows.

Either gives ``{"state": "changed"}`` when other embeddings are open now than those of the page, and
``{"state": "failed", "text"}`` when there is no map to be had.
"""

import base64
import json
import threading
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from starlette.responses import JSONResponse, Response

from likewise.neighbours.mapmaker import Making, Mapmaker
from likewise_labeler.atlas_marks import (
    folder_labels,
    group_labels,
    groups_of,
    marks_of,
    packed,
    plain_labels,
)
from likewise_labeler.catalogue import catalogue_of
from likewise_labeler.desk import Desk, Missing, Ready, the_desk
from likewise_labeler.wire import BadRequest

Colour = Literal["groups", "folders", "none"]
MOST_ROWS = 300
"""Pictures that are told of at once."""


@dataclass(frozen=True)
class Points:
    """All points are wanted."""

    fingerprint: str
    colour: Colour
    again: bool
    """Whether to try once more after a failure."""


@dataclass(frozen=True)
class Images:
    """What is known of some images is wanted."""

    fingerprint: str
    rows: tuple[int, ...]


def answer(body: bytes, name: str) -> Response:
    """Work of the route: ``name`` has shown a pass.

    Raises:
        BadRequest: the body is no such message.
        LikewiseError: the answers cannot be read.
    """
    return JSONResponse(reply(the_desk(), message(body)))


def message(body: bytes) -> Points | Images:
    """Read the body of ``POST /likewise/atlas``.

    Raises:
        BadRequest: it is no such message.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the request is not JSON") from None
    if not isinstance(fields, dict):
        raise BadRequest("the request: an object is expected")
    fingerprint = fields.get("fingerprint")
    if not isinstance(fingerprint, str):
        raise BadRequest("fingerprint: text is expected")
    match fields.get("op"):
        case "points":
            colour = fields.get("colour", "groups")
            if colour not in get_args(Colour):
                raise BadRequest(f"colour: one of {', '.join(get_args(Colour))} is expected")
            return Points(fingerprint, cast(Colour, colour), fields.get("again") is True)
        case "images":
            rows = fields.get("rows")
            if not isinstance(rows, list) or len(rows) > MOST_ROWS:
                raise BadRequest(f"rows: a list of up to {MOST_ROWS} is expected")
            if not all(type(row) is int and row >= 0 for row in rows):
                raise BadRequest("rows: whole numbers from 0 are expected")
            return Images(fingerprint, tuple(rows))
    raise BadRequest("op: points or images is expected")


def reply(desk: Desk, asked: Points | Images) -> dict[str, Any]:
    """What is told to the map.

    Raises:
        BadRequest: there is no such row.
        LikewiseError: the answers cannot be read.
    """
    ready = desk.look()
    if isinstance(ready, Missing):
        return {"state": "failed", "text": ready.text or "there are no embeddings"}
    if asked.fingerprint != stamp_of(ready):
        return {"state": "changed"}
    if isinstance(asked, Points):
        maker = mapmaker_of(desk)
        if asked.again:
            maker.again()
        return _points(ready, maker.look(ready.embeddings), asked.colour)
    ids = catalogue_of(ready).ids
    if any(row >= len(ids) for row in asked.rows):
        raise BadRequest(f"rows: there are {len(ids)} images")
    return {"state": "ready", "images": [ready.pictures.about(ids[row]) for row in asked.rows]}


def _points(ready: Ready, making: Making, colour: Colour) -> dict[str, Any]:
    if making.state == "failed":
        return {"state": "failed", "text": making.text}
    if making.places is None:
        return {"state": "working", "share": making.share}
    catalogue = catalogue_of(ready)
    match colour:
        case "groups":
            with ready.questions.ledger() as ledger:
                groups = groups_of(ledger.links)
            labels = group_labels(catalogue, groups)
        case "folders":
            labels = folder_labels(catalogue)
        case "none":
            labels = plain_labels(catalogue)
    marks, legend = marks_of(labels)
    return {
        "state": "ready",
        "points": packed(making.places),
        "marks": base64.b64encode(marks.tobytes()).decode(),
        "legend": [vars(entry) for entry in legend],
    }


def stamp_of(ready: Ready) -> str:
    """What changes when the rows of the map do."""
    return f"{ready.embeddings.fingerprint}-{len(ready.embeddings.ids)}"


_makers: dict[str, Mapmaker] = {}
_lock = threading.Lock()


def mapmaker_of(desk: Desk) -> Mapmaker:
    """The one mapmaker of a workspace in this process."""
    with _lock:
        return _makers.setdefault(str(desk.workspace.path), Mapmaker(desk.workspace))
