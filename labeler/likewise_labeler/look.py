"""How the app looks: one style sheet, and the pieces of HTML that widgets cannot draw."""

from html import escape

import streamlit as st

from likewise.answers.annotators import Progress
from likewise_labeler.pictures import Picture

_STYLE = """<style>
header[data-testid="stHeader"], [data-testid="stDecoration"] { display: none; }
.stMainBlockContainer { padding: .9rem 2rem .6rem; max-width: 1500px; }
.stMainBlockContainer > div > [data-testid="stVerticalBlock"] { gap: .55rem; }
[data-stale="true"] { opacity: 1 !important; }

.lw-brand { font-size: 1.15rem; font-weight: 700; letter-spacing: -.01em; line-height: 2.4rem; }
.lw-brand small { font-weight: 400; opacity: .6; margin-left: .5rem; }

.lw-stage { display: grid; grid-template-columns: 1fr 1fr; gap: 1.1rem; }
.lw-stage figure { margin: 0; min-width: 0; }
.lw-frame { height: calc(100vh - 19.2rem); min-height: 12rem; border-radius: .8rem;
  background: color-mix(in srgb, currentColor 6%, transparent);
  border: 1px solid color-mix(in srgb, currentColor 10%, transparent);
  padding: .6rem; box-sizing: border-box; }
.lw-frame img { width: 100%; height: 100%; object-fit: contain; display: block; }
.lw-frame img.lw-tiny { image-rendering: pixelated; }
.lw-stage figcaption { font-size: .78rem; opacity: .6; text-align: center; margin-top: .25rem;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }

@media (max-aspect-ratio: 1/1) {
  .lw-stage { grid-template-columns: 1fr; gap: .4rem; }
  .lw-frame { height: calc(50vh - 10.6rem); }
}

.lw-ask { text-align: center; line-height: 1.35; }
.lw-ask b { font-size: 1.3rem; font-weight: 650; }
.lw-ask span { display: block; font-size: .86rem; opacity: .65; }
.lw-notice { color: #b45309; font-weight: 600; opacity: 1 !important; }
@media (prefers-color-scheme: dark) { .lw-notice { color: #fbbf24; } }

[class*="st-key-similar-"] button { border: 2px solid #0d9488; }
[class*="st-key-dissimilar-"] button { border: 2px solid #e11d48; }
[class*="st-key-unsure-"] button { border: 2px solid #94a3b8; }
[class*="st-key-similar-"] button:hover { background: #0d948826; }
[class*="st-key-dissimilar-"] button:hover { background: #e11d4826; }
[class*="st-key-unsure-"] button:hover { background: #94a3b826; }
[class*="st-key-similar-"] button, [class*="st-key-dissimilar-"] button,
[class*="st-key-unsure-"] button, [class*="st-key-undo-"] button { min-height: 2.9rem; }
[class*="st-key-similar-"] button p, [class*="st-key-dissimilar-"] button p,
[class*="st-key-unsure-"] button p { font-size: 1.05rem; font-weight: 600; }

.lw-progress { display: flex; align-items: center; gap: 1.3rem; font-size: .85rem; }
.lw-progress div { white-space: nowrap; } .lw-progress span { opacity: .6; }
.lw-bar { flex: 1; display: flex; height: .5rem; border-radius: .25rem; overflow: hidden;
  background: color-mix(in srgb, currentColor 10%, transparent); }
.lw-bar i { display: block; height: 100%; }

.lw-state { max-width: 40rem; margin: 14vh auto 1rem; text-align: center; }
.lw-state b { font-size: 1.7rem; display: block; margin-bottom: .5rem; }
.lw-state p { opacity: .75; }
</style>"""

_HELD_KEYS = """<script>
if (!window.likewiseHeldKeys) {
  window.likewiseHeldKeys = true;
  window.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, [contenteditable]");
    if (event.repeat && !typing && /^[a-z]$/i.test(event.key)) event.stopImmediatePropagation();
  }, true);
}
</script>"""

_COLOURS = {"similar": "#0d9488", "dissimilar": "#e11d48", "unsure": "#94a3b8"}


def set_look() -> None:
    """Page settings and style; a key that is held down counts once."""
    st.set_page_config(page_title="Likewise", page_icon="🔗", layout="wide")
    st.html(_STYLE)
    st.html(_HELD_KEYS, unsafe_allow_javascript=True)


def brand(model: str) -> str:
    """The app's name, and the model that proposes."""
    return f'<div class="lw-brand">Likewise<small>{escape(model)}</small></div>'


def stage(left: Picture, right: Picture) -> str:
    """Two pictures side by side."""
    return f'<div class="lw-stage">{_figure(left)}{_figure(right)}</div>'


def _figure(picture: Picture) -> str:
    name = escape(picture.name)
    note = " (file gone; stored copy)" if picture.gone else ""
    kind = ' class="lw-tiny"' if picture.tiny else ""
    return (
        f'<figure><div class="lw-frame"><img src="{picture.url}" alt="{name}"{kind}></div>'
        f"<figcaption>{name}{note}</figcaption></figure>"
    )


def ask(reason: str, notice: str) -> str:
    """The question with why it is asked, or with what happened just now."""
    below = f'<span class="lw-notice">{escape(notice)}</span>' if notice else ""
    below = below or f"<span>Why this pair: {escape(reason[:1].lower() + reason[1:])}.</span>"
    return f'<div class="lw-ask"><b>Are these two the same to you?</b>{below}</div>'


def progress_line(progress: Progress) -> str:
    """Counts, a bar with the share of each verdict, groups and pace."""
    counts = {
        "similar": progress.similar,
        "dissimilar": progress.dissimilar,
        "unsure": progress.unsure,
    }
    total = max(1, progress.total)
    bar = "".join(
        f'<i style="width:{100 * count / total:.2f}%;background:{_COLOURS[name]}" '
        f'title="{name}: {count:,}"></i>'
        for name, count in counts.items()
    )
    shares = " · ".join(f"{100 * count / total:.0f} % {name}" for name, count in counts.items())
    pace = (
        f"<div>{progress.per_minute:.0f} <span>a minute</span></div>" if progress.per_minute else ""
    )
    return (
        f'<div class="lw-progress"><div>{progress.today:,} <span>today</span></div>'
        f"<div>{progress.total:,} <span>answers in all</span></div>"
        f'<div class="lw-bar">{bar}</div><div><span>{shares}</span></div>'
        f"<div>{progress.groups:,} <span>groups</span></div>{pace}</div>"
    )


def state(title: str, text: str) -> str:
    """A page with nothing to label on it."""
    return f'<div class="lw-state"><b>{escape(title)}</b><p>{escape(text)}</p></div>'
