"""Images and answers as HTML, the same on every page. `look.set_look` brings the style."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from likewise.answers.standing import Verdict
from likewise_labeler.pictures import Size

About = Mapping[str, Any]
"""What `Pictures.about` says of an image."""
COLOURS: dict[Verdict, str] = {"similar": "#0d9488", "dissimilar": "#e11d48", "unsure": "#94a3b8"}
_SIGNS: dict[Verdict, str] = {"similar": "=", "dissimilar": "≠", "unsure": "?"}


def figure(about: About, size: Size = "tile", caption: str | None = None) -> str:
    """One image with a line of text below, by default its file's name."""
    text = str(about["name"]) if caption is None else caption
    kind = " lw-tiny" if about["tiny"] else ""
    below = f"<figcaption>{escape(text)}</figcaption>" if text else ""
    return (
        f'<figure class="lw-card lw-{size}"><span><img class="{kind.strip()}" '
        f'src="{escape(str(about[size]))}" alt="{escape(str(about["name"]))}" '
        f'title="{escape(str(about["name"]))}" loading="lazy"></span>{below}</figure>'
    )


def strip(images: Sequence[About], captions: Sequence[str] = (), size: Size = "thumb") -> str:
    """Images in rows, as many as fit; without captions but their names on hover."""
    texts = [*captions[: len(images)], *[""] * (len(images) - len(captions))]
    cards = [figure(about, size, text) for about, text in zip(images, texts, strict=True)]
    return f'<div class="lw-strip">{"".join(cards)}</div>'


def badge(verdict: Verdict) -> str:
    """A verdict as a small coloured label."""
    return f'<span class="lw-badge lw-{verdict}">{_SIGNS[verdict]} {verdict}</span>'


def arrow(verdict: Verdict, note: str = "") -> str:
    """What stands between two images: the verdict, and below it who said so and when."""
    below = f"<small>{escape(note)}</small>" if note else ""
    return f'<div class="lw-arrow lw-{verdict}">{badge(verdict)}<i></i>{below}</div>'


def pair(left: About, right: About, verdict: Verdict, note: str = "", size: Size = "tile") -> str:
    """Two images and the verdict between them."""
    between = arrow(verdict, note)
    return f'<div class="lw-chain">{figure(left, size)}{between}{figure(right, size)}</div>'


def chain(
    steps: Sequence[tuple[str, str, Verdict]],
    about: Callable[[str], About],
    notes: Sequence[str] = (),
    size: Size = "tile",
) -> str:
    """A chain of answered pairs, each beginning where the one before it ended."""
    if not steps:
        return ""
    parts = [figure(about(steps[0][0]), size)]
    every = [*notes[: len(steps)], *[""] * (len(steps) - len(notes))]
    for (_, end, verdict), note in zip(steps, every, strict=True):
        parts += [arrow(verdict, note), figure(about(end), size)]
    return f'<div class="lw-chain">{"".join(parts)}</div>'
