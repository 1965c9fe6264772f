"""Drawings that widgets cannot do: the curves of a training run, and the steps of a beginning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Literal

import streamlit as st

_FRONT = Path(__file__).with_name("front")
WIDTH, HEIGHT = 300.0, 96.0
"""Of a curve's field, in the drawing's own units."""
StepState = Literal["done", "now", "waiting", "failed"]


@dataclass(frozen=True)
class Curve:
    """One figure over the epochs of a run."""

    title: str
    note: str
    """What is good, in a few words."""
    values: tuple[float, ...]
    """One per finished epoch, the first epoch's first."""
    digits: int
    """After the decimal point."""
    floor: float | None = None
    """Lower end of the scale, if it has one; else the least value."""


def curves_of(
    kind: str, rows: Sequence[Mapping[str, Any]], speeds: Sequence[float]
) -> tuple[Curve, ...]:
    """What there is to draw of a pretraining or a fine-tuning."""

    def column(name: str) -> tuple[float, ...]:
        return tuple(float(row[name]) for row in rows)

    pace = Curve("Images per second", "", tuple(speeds), 0, floor=0.0)
    if kind != "pretrain":
        return Curve("Loss", "falls while it learns", column("loss"), 3), pace
    return (
        Curve("Loss", "falls; -1 at the least", column("loss"), 3),
        Curve("Spread", "1 is best, 0 is collapse", column("projection_std"), 2, floor=0.0),
        Curve("Directions in use", "1 is collapse", column("effective_rank"), 1, floor=0.0),
        pace,
    )


def points(curve: Curve, epochs: int) -> list[tuple[float, float]]:
    """Where the values lie in the field: the last of ``epochs`` at its right, larger values up."""
    low, high = scale(curve)
    span = (high - low) or 1.0
    return [
        (WIDTH * (place + 1) / max(1, epochs), HEIGHT * (1 - (value - low) / span))
        for place, value in enumerate(curve.values)
    ]


def scale(curve: Curve) -> tuple[float, float]:
    """The least and the greatest value of the field."""
    low = min(curve.values) if curve.floor is None else min(curve.floor, *curve.values)
    return low, max(curve.values)


def drawn(curve: Curve, epochs: int) -> str:
    """A curve as HTML."""
    if not curve.values:
        return ""
    low, high = scale(curve)
    spots = points(curve, epochs)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    x, y = spots[-1]
    title, note = escape(curve.title), escape(curve.note)
    return (
        f"<figure><figcaption><b>{title}</b> <span>{note}</span>"
        f"<output>{curve.values[-1]:,.{curve.digits}f}</output></figcaption>"
        f'<svg viewBox="-3 -5 {WIDTH + 6:.0f} {HEIGHT + 10:.0f}" preserveAspectRatio="none" '
        f'role="img" aria-label="{title}">'
        f'<path class="floor" d="M0,{HEIGHT} H{WIDTH}"/><polyline points="{line}"/>'
        f'<path class="tip" d="M{x:.1f},{y:.1f} h0"/></svg>'
        f"<small>{low:,.{curve.digits}f} to {high:,.{curve.digits}f}</small></figure>"
    )


def draw_curves(curves: Sequence[Curve], epochs: int, key: str) -> None:
    """Show curves side by side; nothing before the first epoch is finished."""
    html = "".join(drawn(each, epochs) for each in curves)
    if html:
        _component()(key=key, data={"html": f'<div class="curves">{html}</div>'})


_PICTURES = {
    "images": '<rect x="3" y="9" width="30" height="24" rx="3"/>'
    '<rect x="9" y="3" width="30" height="24" rx="3" class="filled"/>'
    '<circle cx="18" cy="11" r="3"/><path d="M12,24 l9,-8 5,4 4,-4 7,8"/>',
    "model": '<circle cx="10" cy="10" r="3"/><circle cx="17" cy="14" r="3"/>'
    '<circle cx="11" cy="19" r="3"/><circle cx="32" cy="22" r="3"/><circle cx="36" cy="29" r="3"/>'
    '<circle cx="29" cy="30" r="3"/><path d="M24,4 L17,34" class="dashed"/>',
    "label": '<rect x="2" y="9" width="15" height="18" rx="3"/>'
    '<rect x="27" y="9" width="15" height="18" rx="3"/><path d="M19.5,16 h5 M19.5,20.5 h5"/>',
}
_NAMES = {"images": "Images", "model": "First model", "label": "Label"}
_WORDS = {"done": "done", "now": "", "waiting": "", "failed": "stopped"}


def steps_drawn(states: Mapping[str, StepState]) -> str:
    """The three steps of a beginning, each with its picture and state, as HTML."""
    return "".join(
        f'<li class="{states[name]}"><svg viewBox="0 0 44 37" aria-hidden="true">{picture}</svg>'
        f"<span>{number}. {_NAMES[name]}</span><small>{_WORDS[states[name]]}</small></li>"
        for number, (name, picture) in enumerate(_PICTURES.items(), start=1)
    )


def draw_steps(states: Mapping[str, StepState]) -> None:
    """Show the three steps of a beginning."""
    _component()(key="first-steps", data={"html": f'<ol class="steps">{steps_drawn(states)}</ol>'})


@cache
def _component() -> Any:
    return st.components.v2.component(
        "likewise_curves",
        html='<div class="drawing"></div>',
        css=(_FRONT / "curves.css").read_text(encoding="utf-8"),
        js=(_FRONT / "curves.js").read_text(encoding="utf-8"),
    )
