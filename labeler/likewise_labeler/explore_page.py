"""The page on which the embedding is looked at: a map, an image, and the images like it."""

import base64
import threading
from html import escape

import numpy as np
import streamlit as st

from likewise.errors import LikewiseError
from likewise.images.scan import image_suffixes
from likewise.neighbours.search import find_names
from likewise_labeler import passes
from likewise_labeler.atlas_view import atlas
from likewise_labeler.catalogue import catalogue_of
from likewise_labeler.desk import Desk, Missing, Ready
from likewise_labeler.embedder import MAX_BYTES, Brought, Embedder
from likewise_labeler.explore_panel import (
    MATCHES,
    Hit,
    captioned,
    facts_of,
    history_address,
    hits_of,
    named,
    nearest,
    unseen_text,
)
from likewise_labeler.first_run import missing_page
from likewise_labeler.picker import picker

EVERYWHERE = "All folders"
_STYLE = """<style>
.st-key-explore-panel { height: calc(100vh - 6.2rem); overflow-y: auto; padding: 0 .4rem 0 .1rem; }
.lw-seen { display: flex; gap: .9rem; align-items: center; }
.lw-seen img { flex: none; width: 10.5rem; height: 10.5rem; object-fit: contain;
  border-radius: .5rem; background: color-mix(in srgb, currentColor 6%, transparent); }
.lw-seen img.lw-tiny { image-rendering: pixelated; }
.lw-seen div { min-width: 0; font-size: .86rem; line-height: 1.5; overflow-wrap: anywhere; }
.lw-seen b { display: block; font-size: 1.05rem; line-height: 1.3; margin-bottom: .2rem; }
.lw-seen span { display: block; opacity: .7; }
.lw-hint { opacity: .7; font-size: .92rem; margin: .6rem .2rem; }
.lw-line { font-weight: 600; font-size: .95rem; margin-top: .2rem; }
.lw-line small { font-weight: 400; opacity: .65; margin-left: .4rem; }
@media (max-aspect-ratio: 1/1) {
  [data-testid="stHorizontalBlock"]:has(.st-key-explore-panel) { flex-direction: column; }
  [data-testid="stColumn"]:has(.st-key-explore-panel),
  [data-testid="stColumn"]:has(.st-key-explore-map) { width: 100%; flex: none; }
  .st-key-explore-panel { height: auto; overflow: visible; }
}
</style>"""

_embedders: dict[str, Embedder] = {}
_lock = threading.Lock()


def explore_page(desk: Desk) -> None:
    """Show the map and, beside it, the chosen image with its neighbours."""
    if desk.is_current():
        ready = desk.look()
    else:
        with st.spinner("Opening the workspace …"):
            ready = desk.look()
    if isinstance(ready, Missing):
        missing_page(ready, desk.workspace.path)
        return
    name = passes.annotator()
    st.html(_STYLE)
    try:
        left, right = st.columns([11, 8])
        with right, st.container(key="explore-panel"):
            shown = _panel(desk, ready, name)
        with left, st.container(key="explore-map"):
            opened = atlas(ready, passes.issue(name), _chosen(ready), shown)
    except LikewiseError as error:
        missing_page(Missing("trouble", str(error)), desk.workspace.path)
        return
    if opened is not None:
        _open(opened)


def _panel(desk: Desk, ready: Ready, name: str) -> list[str]:
    """Search, the chosen image and its neighbours; returns the ids of the images found."""
    if st.session_state.pop("explore-clear", False):
        st.session_state["explore-name"] = ""
    catalogue = catalogue_of(ready)
    columns = st.columns([4, 3, 3] if len(catalogue.folders) > 1 else [5, 3])
    typed = columns[0].text_input(
        "File name",
        key="explore-name",
        placeholder="Find by file name",
        label_visibility="collapsed",
    )
    folder = None
    if len(catalogue.folders) > 1:
        folder = columns[1].selectbox(
            "Folder",
            [EVERYWHERE, *catalogue.folders],
            key="explore-folder",
            label_visibility="collapsed",
        )
    with columns[-1].popover(
        "Picture", icon=":material/image_search:", help="Search with a picture"
    ):
        brought = _brought(desk, ready)
    if catalogue.unseen:
        st.html(f'<div class="lw-hint">{escape(unseen_text(catalogue.unseen))}</div>')
    within = folder if folder != EVERYWHERE else None
    if typed.strip():
        return _named(ready, typed, within)
    if brought is not None:
        return _like_a_picture(ready, brought, within)
    return _like_an_image(ready, name, within)


def _brought(desk: Desk, ready: Ready) -> Brought | None:
    """The picture to search with, unless an image was chosen since."""
    file = st.file_uploader(
        "Search with a picture. It is not kept.",
        type=_suffixes(),
        key="explore-upload",
        max_upload_size=MAX_BYTES // 2**20,
    )
    if file is None:
        st.session_state.pop("explore-brought", None)
        return None
    wanted = (file.file_id, ready.embeddings.fingerprint)
    known = st.session_state.get("explore-brought")
    if known is None or known[0] != wanted:
        with st.spinner("Looking at the picture …"):
            try:
                found: Brought | str = embedder_of(desk).embed(
                    file.getvalue(), ready.embeddings.fingerprint
                )
            except LikewiseError as error:
                found = str(error)
        known = (wanted, found, True)
        st.session_state["explore-brought"] = known
    _, found, searching = known
    if isinstance(found, str):
        st.error(f"{file.name}: {found}", icon=":material/error:")
        return None
    if not searching and st.button("Search with it again", width="stretch"):
        st.session_state["explore-brought"] = (wanted, found, True)
        return found
    return found if searching else None


def _suffixes() -> list[str]:
    """Those of `likewise ingest`, the usual ones first."""
    usual = ["jpg", "jpeg", "png", "webp"]
    return [*usual, *sorted({each.removeprefix(".") for each in image_suffixes()} - set(usual))]


def embedder_of(desk: Desk) -> Embedder:
    """The one embedder of a workspace in this process."""
    with _lock:
        return _embedders.setdefault(str(desk.workspace.path), Embedder(desk.workspace))


def _named(ready: Ready, typed: str, folder: str | None) -> list[str]:
    catalogue = catalogue_of(ready)
    rows = catalogue.rows_in(folder)
    names = catalogue.names if rows is None else [catalogue.names[row] for row in rows]
    places = find_names(names, typed, MATCHES + 1)
    ids = [catalogue.ids[place if rows is None else int(rows[place])] for place in places]
    if not ids:
        st.html(f'<div class="lw-hint">No image is called “{escape(typed.strip())}” here.</div>')
        return []
    more = f"the first {MATCHES}" if len(ids) > MATCHES else f"{len(ids):,} found"
    st.html(f'<div class="lw-line">Called “{escape(typed.strip())}”<small>{more}</small></div>')
    _cards([named(ready, each) for each in ids[:MATCHES]], "explore-named")
    return ids[:MATCHES]


def _like_a_picture(ready: Ready, brought: Brought, folder: str | None) -> list[str]:
    encoded = base64.b64encode(brought.picture).decode()
    size = f"{brought.width:,} x {brought.height:,}"
    tiny = ' class="lw-tiny"' if max(brought.width, brought.height) <= 160 else ""
    st.html(
        f'<div class="lw-seen"><img src="data:image/png;base64,{encoded}"{tiny} alt="Your picture">'
        f"<div><b>Your picture</b><span>{size}</span><span>Not kept</span></div></div>"
    )
    hits = [Hit(*each, None) for each in nearest(ready, brought.vector, "", folder).items()]
    return _hits(ready, hits, "upload")


def _like_an_image(ready: Ready, name: str, folder: str | None) -> list[str]:
    image = _chosen(ready)
    if image is None:
        st.html(
            '<div class="lw-hint">Each point on the map is an image; images that the model finds '
            "similar lie close together. Click one, find one by its name, or search with a picture "
            "of your own.</div>"
        )
        return []
    catalogue, row = catalogue_of(ready), ready.embeddings.positions[image]
    vector = np.array(ready.embeddings.vectors[row], np.float32)
    found = nearest(ready, vector, image, folder)
    with ready.questions.ledger() as ledger:
        facts = facts_of(catalogue, ledger.links, image, row)
        hits = hits_of(ledger.links, image, found)
    about = ready.pictures.about(image)
    lines = facts.lines(about["width"], about["height"])
    link = ""
    if facts.compared:
        address = escape(history_address(image, name))
        link = f'<a href="{address}" target="_self">Show the answers</a>'
    tiny = ' class="lw-tiny"' if about["tiny"] else ""
    st.html(
        f'<div class="lw-seen"><img src="{escape(about["full"])}"{tiny} '
        f'alt="{escape(facts.name)}"><div><b>{escape(facts.name)}</b>'
        f"{''.join(f'<span>{escape(line)}</span>' for line in lines)}{link}</div></div>"
    )
    return _hits(ready, hits, image)


def _hits(ready: Ready, hits: list[Hit], of: str) -> list[str]:
    if not hits:
        st.html('<div class="lw-hint">There is no other image here.</div>')
        return []
    st.html('<div class="lw-line">Most similar<small>similarity · what answers say</small></div>')
    _cards(captioned(ready, hits), f"explore-near-{of}")
    return [each.id for each in hits]


def _cards(cards: list[dict[str, object]], key: str) -> None:
    for each in picker(cards, key=key, many=False):
        _open(each)


def _chosen(ready: Ready) -> str | None:
    """The image in the page's address, if there is such a one."""
    image = str(st.query_params.get("image", ""))
    return image if image in ready.embeddings.positions else None


def _open(image: str) -> None:
    """Go on from another image."""
    st.query_params["image"] = image
    st.session_state["explore-clear"] = True
    if (known := st.session_state.get("explore-brought")) is not None:
        st.session_state["explore-brought"] = (*known[:2], False)
    st.rerun()
