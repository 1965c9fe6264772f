"""The tab with the pairs on which people disagree: two images, three keys."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from likewise.answers.ledger import Dispute
from likewise.answers.standing import VERDICTS, Pair, Verdict
from likewise.errors import UsageError
from likewise_labeler import cards
from likewise_labeler.desk import Ready
from likewise_labeler.look import state
from likewise_labeler.review_deeds import Deed, Reviewer, people

SHORTEST_VIEW = 0.3
"""Seconds. A verdict that comes sooner was meant for the pair before (double click, held key)."""
_STYLE = """<style>
.lw-dispute { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.lw-dispute figure { margin: 0; min-width: 0; text-align: center; }
.lw-dispute img { width: 100%; height: calc(100vh - 21rem); min-height: 12rem; display: block;
  object-fit: contain; border-radius: .7rem; box-sizing: border-box; padding: .5rem;
  background: color-mix(in srgb, currentColor 6%, transparent); }
@media (max-aspect-ratio: 1/1) { .lw-dispute img { height: calc(60vh - 12rem); } }
.lw-dispute img.lw-tiny { image-rendering: pixelated; }
.lw-dispute figcaption { font-size: .8rem; opacity: .65; margin-top: .2rem; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
.lw-sides { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; justify-content: center;
  font-size: .9rem; }
[class*="st-key-similar-settle"] button { border-color: #0d9488; }
[class*="st-key-dissimilar-settle"] button { border-color: #e11d48; }
[class*="-settle-"] button { min-height: 2.8rem; border-width: 2px; }
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
"""A key that is held down counts once."""
_KEYS: dict[Verdict, str] = {"similar": "S", "dissimilar": "D", "unsure": "U"}


def adjudication_tab(
    ready: Ready, reviewer: Reviewer, done: Callable[[Callable[[], Deed]], None]
) -> None:
    """Show one pair on which people disagree, and settle it."""
    with ready.questions.ledger() as ledger:
        disputed = {each.pair: each for each in ledger.disputes()}
    if not disputed:
        st.session_state.pop("review-shown", None)
        st.html(
            state(
                "Nobody disagrees",
                "When one person says similar and another dissimilar, the pair comes here to be "
                "settled.",
            )
        )
        return
    pair = _current(list(disputed))
    about = ready.pictures.about
    named = bool(st.session_state.get("review-named", False))
    st.html(_HELD_KEYS, unsafe_allow_javascript=True)
    st.html(_STYLE + stage(about(pair[0]), about(pair[1])) + sides(disputed[pair], named))
    token, slot = _shown(pair)
    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center"):
        for verdict, key in _KEYS.items():
            st.button(
                verdict.capitalize(),
                key=f"{verdict}-settle-{slot}",
                shortcut=key,
                width=150,
                on_click=_settle,
                args=(reviewer, pair, verdict, token, done),
            )
        if len(disputed) > 1:
            st.button(
                "Later",
                key=f"later-{slot}",
                shortcut="L",
                on_click=_later,
                args=(pair,),
                type="tertiary",
            )
        st.toggle("Show names", key="review-named")


def stage(left: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    """Two large pictures side by side."""
    return f'<div class="lw-dispute">{_figure(left)}{_figure(right)}</div>'


def sides(dispute: Dispute, named: bool) -> str:
    """Who said what; without names, how many. And what the pair counts as meanwhile."""
    parts, answers = [], dispute.answers
    for verdict in VERDICTS:
        said = [each for each in answers if each.verdict == verdict]
        if said:
            who = people(said) if named else _count(len(said))
            parts.append(f"<span>{cards.badge(verdict)} {escape(who)}</span>")
    if dispute.verdict:
        parts.append(f"<span>counts as {dispute.verdict} until it is settled</span>")
    return f'<div class="lw-sides">{"".join(parts)}</div>'


def _figure(about: Mapping[str, Any]) -> str:
    name = escape(str(about["name"]))
    kind = ' class="lw-tiny"' if about["tiny"] else ""
    return (
        f'<figure><img src="{escape(str(about["full"]))}" alt="{name}"{kind}>'
        f"<figcaption>{name}</figcaption></figure>"
    )


def _count(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"


def _current(pairs: Sequence[Pair]) -> Pair:
    """The first pair that was not put off; when all were, the one put off first."""
    later = [each for each in st.session_state.get("review-later", ()) if each in pairs]
    st.session_state["review-later"] = later
    return next((each for each in pairs if each not in later), None) or later[0]


def _later(pair: Pair) -> None:
    later = [each for each in st.session_state.get("review-later", ()) if each != pair]
    st.session_state["review-later"] = [*later, pair]


def _shown(pair: Pair) -> tuple[str, int]:
    """What names this showing of a pair, and a number for its buttons that differs from the last.

    The numbers come round again, as Streamlit remembers every key of a session.
    """
    last, token, slot, since = st.session_state.get("review-shown", (None, "", 0, 0.0))
    if last != pair:
        token, slot, since = uuid.uuid4().hex, (slot + 1) % 8, time.monotonic()
    st.session_state["review-shown"] = (pair, token, slot, since)
    return str(token), int(slot)


def _settle(
    reviewer: Reviewer,
    pair: Pair,
    verdict: Verdict,
    token: str,
    done: Callable[[Callable[[], Deed]], None],
) -> None:
    shown, _, _, since = st.session_state.get("review-shown", (None, "", 0, 0.0))
    soon = shown != pair or time.monotonic() - since < SHORTEST_VIEW

    def settle() -> Deed:
        if soon:
            raise UsageError("that was quick: nothing was stored, have a look at this pair")
        return reviewer.adjudicate(pair, verdict, token)

    done(settle)
