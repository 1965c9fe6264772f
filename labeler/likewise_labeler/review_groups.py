"""The tab with the groups that follow from the answers: throw out, split, merge."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import streamlit as st

from likewise.answers.ledger import Ledger
from likewise.answers.regroup import Change, merge, split, throw_out
from likewise.neighbours.vectors import Embeddings
from likewise.wording import counted
from likewise_labeler.cards import strip
from likewise_labeler.desk import Ready
from likewise_labeler.look import state
from likewise_labeler.picker import picker
from likewise_labeler.review_deeds import Deed, Reviewer
from likewise_labeler.review_find import (
    images_named,
    largest_groups,
    nearest_groups,
    nearest_images,
)

GROUPS, IMAGES, SUGGESTED, PREVIEW = 24, 60, 6, 14
"""On a page."""
_MOSAIC = 4
Act = Literal["throw out", "split", "merge"]
Done = Callable[[Callable[[], Deed]], None]


def groups_tab(ready: Ready, reviewer: Reviewer, done: Done) -> None:
    """Show all groups, or the one that the address names."""
    image = st.query_params.get("group", "")
    if image in ready.images.positions:
        _group(ready, reviewer, image, done)
    else:
        _overview(ready)


def _overview(ready: Ready) -> None:
    start = int(st.session_state.get("review-groups-from", 0))
    with ready.questions.ledger() as ledger:
        total, groups = largest_groups(ledger.links, start, GROUPS)
    if not total:
        st.html(
            state(
                "No groups yet",
                "Images that are called similar make a group. The first such answer makes the "
                "first one.",
            )
        )
        return
    st.caption(
        f"Groups that follow from the answers: {total:,}, the largest first. Click one to open it."
    )
    opened = picker([_card(ready, each) for each in groups], key="review-overview", many=False)
    _pages("review-groups-from", start, GROUPS, total)
    if opened:
        st.query_params["group"] = opened[0]
        st.session_state.pop("review-note", None)
        st.rerun()


def _group(ready: Ready, reviewer: Reviewer, image: str, done: Done) -> None:
    with ready.questions.ledger() as ledger:
        group = ledger.links.group_of(image)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All groups", icon=":material/arrow_back:", on_click=_leave, type="tertiary")
        st.markdown(f"**{counted(len(group), 'image')}**", width="content")
    other = st.query_params.get("with", "")
    if other in ready.images.positions and other not in group:
        _merge(ready, reviewer, group, other, done)
        return
    start = min(int(st.session_state.get("review-images-from", 0)), len(group) - 1)
    start -= start % IMAGES
    shown = group[start : start + IMAGES]
    marks = f"review-members-{_deeds() % 8}-{start}"
    about = ready.pictures.about
    if len(group) > 1:
        chosen = picker([about(each) for each in shown], key=marks)
        _pages("review-images-from", start, IMAGES, len(group))
        _buttons(reviewer, group, chosen, done)
    else:
        st.html(strip([about(image)], size="tile"))
    _partners(ready, group)


def _buttons(reviewer: Reviewer, group: Sequence[str], chosen: Sequence[str], done: Done) -> None:
    some = 0 < len(chosen) < len(group)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Throw out",
            key="review-throw-out",
            disabled=not some,
            help="Each marked image differs from the group",
            on_click=_change,
            args=(reviewer, group, chosen, "throw out", done),
        )
        st.button(
            "Split into a group of their own",
            key="review-split",
            disabled=not some,
            help="The marked images belong together, but not to the others",
            on_click=_change,
            args=(reviewer, group, chosen, "split", done),
        )
        hint = f"{len(chosen)} marked" if chosen else "Click the images that do not belong."
        st.caption(hint, width="content")


def _partners(ready: Ready, group: Sequence[str]) -> None:
    """Offer the groups that this one may be merged with."""
    vectors = ready.embeddings
    ranked = _ranked(vectors, f"{vectors.folder} {len(vectors.ids)}", tuple(group))
    with ready.questions.ledger() as ledger:
        near = nearest_groups(ready.embeddings, ledger.links, group, ranked, SUGGESTED)
        denied = ledger.links.denied(ledger.links.root(group[0]))
        differ = {each[0] for each, _ in near if ledger.links.root(each[0]) in denied}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Merge with**", width="content")
        typed = st.text_input(
            "Find a group by an image in it",
            key="review-partner",
            placeholder="id or file name",
            label_visibility="collapsed",
            width=240,
        )
    if typed:
        named = [each for each in images_named(ready.images, typed) if each not in group]
        cards = [ready.pictures.about(each) for each in named]
        if not cards:
            st.caption("No other image has that id or file name.")
    else:
        cards = [
            _card(
                ready,
                other,
                "marked different" if other[0] in differ else f"similarity {likeness:.2f}",
            )
            for other, likeness in near
        ]
    opened = picker(cards, key="review-partners", many=False) if cards else []
    if opened:
        st.query_params["with"] = opened[0]
        st.rerun()


@st.cache_data(max_entries=64, show_spinner=False)
def _ranked(_embeddings: Embeddings, which: str, group: tuple[str, ...]) -> list[str]:
    return nearest_images(_embeddings, group)


def _merge(ready: Ready, reviewer: Reviewer, group: Sequence[str], image: str, done: Done) -> None:
    """Ask about two groups, and show them."""
    with ready.questions.ledger() as ledger:
        other = ledger.links.group_of(image)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("One group with these?", width="content")
        st.button(
            "Merge the two",
            key="review-merge",
            type="primary",
            on_click=_change,
            args=(reviewer, group, other, "merge", done),
        )
        st.button("Cancel", key="review-cancel", on_click=_stay)
    for each in (other, group):
        more = f", {len(each) - PREVIEW:,} not shown" if len(each) > PREVIEW else ""
        st.caption(counted(len(each), "image") + more)
        st.html(strip([ready.pictures.about(one) for one in each[:PREVIEW]], size="tile"))


def _change(
    reviewer: Reviewer, group: Sequence[str], images: Sequence[str], what: Act, done: Done
) -> None:
    rest = [each for each in group if what == "merge" or each not in images]
    done(lambda: reviewer.regroup(*change_of(group, images, what)))
    st.query_params["group"] = rest[0]
    _stay()


def change_of(
    group: Sequence[str], images: Sequence[str], what: Act
) -> tuple[Callable[[Ledger, str], Change], str]:
    """What a button does to the groups, and how that is told."""

    def change(ledger: Ledger, name: str) -> Change:
        match what:
            case "throw out":
                return throw_out(ledger, group, images, name)
            case "split":
                return split(ledger, group, images, name)
            case _:
                return merge(ledger, group, images, name)

    told: dict[Act, str] = {
        "throw out": f"Threw {counted(len(images), 'image')} out.",
        "split": f"Split {counted(len(images), 'image')} off.",
        "merge": f"Merged {counted(len(images), 'image')} into the group.",
    }
    return change, told[what]


def _card(ready: Ready, group: Sequence[str], note: str = "") -> dict[str, Any]:
    """A group as a card for the picker: its first images and how many there are."""
    about = ready.pictures.about(group[0])
    tiles = [ready.pictures.address(each, "thumb") for each in group[:_MOSAIC]]
    text = counted(len(group), "image") + (f" · {note}" if note else "")
    return {**about, "caption": text, "mosaic": tiles}


def _pages(key: str, start: int, size: int, total: int) -> None:
    if total <= size:
        return
    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center"):
        st.button(
            "Back", key=f"{key}-back", disabled=start == 0, on_click=_turn, args=(key, start - size)
        )
        st.caption(f"{start + 1:,} to {min(start + size, total):,} of {total:,}", width="content")
        st.button(
            "Next",
            key=f"{key}-next",
            disabled=start + size >= total,
            on_click=_turn,
            args=(key, start + size),
        )


def _turn(key: str, start: int) -> None:
    st.session_state[key] = max(0, start)


def _leave() -> None:
    for name in ("group", "with"):
        st.query_params.pop(name, None)
    st.session_state["review-images-from"] = 0


def _stay() -> None:
    st.query_params.pop("with", None)


def _deeds() -> int:
    return int(st.session_state.get("review-count", 0))
