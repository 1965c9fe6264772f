"""Explore in a real browser: the map is drawn, moved and clicked, and a picture is brought."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Locator, Page, expect

from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.models.model_files import save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import start_run
from likewise.neighbours.atlas_files import load_atlas
from likewise.neighbours.embedding import embed
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.settings import Embed, Ingest
from likewise.workspace import Workspace
from tests.served import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> Embeddings:
    """Thirty images in two folders, embedded by a model that was never trained."""
    folder = tmp_path_factory.mktemp("explore")
    workspace = Workspace(folder / "workspace")
    for seed in range(30):
        place = folder / "in" / ("cats" if seed < 10 else "dogs")
        place.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(coarse).resize((60, 40)).save(place / f"{seed:02}.png")
    ingest(workspace, Ingest(images=(folder / "in",), workers=1))
    run = start_run(workspace, "pretrain", {}, name=None)
    save_model(run.model_file, build_backbone("small", image_size=24))
    embed(workspace, Embed(precision="float32", device="cpu"))
    return load_embeddings(workspace)


@pytest.fixture(scope="module")
def workspace(embeddings: Embeddings) -> Workspace:
    return Workspace(embeddings.folder.parents[1])


@pytest.fixture(scope="module")
def names(workspace: Workspace, embeddings: Embeddings) -> list[str]:
    """File names by row of the embeddings."""
    images = open_images(workspace)
    return [images.path(images.positions[str(each)]).name for each in embeddings.ids]


@pytest.fixture(scope="module")
def served(workspace: Workspace) -> Iterator[Server]:
    with Server(workspace) as server:
        yield server


@pytest.fixture
def page(context: BrowserContext, served: Server) -> Page:
    page = context.new_page()
    page.goto(f"{served.url}/explore?annotator=ada")
    return page


def chart(page: Page) -> Locator:
    """The map, once it is drawn with its pictures."""
    drawn = page.locator(".atlas")
    expect(drawn).to_have_attribute("data-pictures", re.compile("[1-9]"))
    return page.locator(".atlas canvas")


def place(embeddings: Embeddings, canvas: Locator, row: int) -> tuple[float, float]:
    """Where an image lies on the screen while the whole map is shown."""
    atlas, box = load_atlas(embeddings), canvas.bounding_box()
    assert atlas is not None
    assert box is not None
    scale = 0.9 * min(box["width"], box["height"])
    x, y = (atlas[row] - 0.5) * scale
    return box["x"] + box["width"] / 2 + float(x), box["y"] + box["height"] / 2 + float(y)


def lonely(embeddings: Embeddings) -> int:
    """The row of the image that lies farthest from all others."""
    atlas = load_atlas(embeddings)
    assert atlas is not None
    away = np.linalg.norm(atlas[:, None] - atlas[None], axis=2) + 9 * np.eye(len(atlas))
    return int(away.min(axis=1).argmax())


def point_at(page: Page, embeddings: Embeddings, row: int, name: str) -> tuple[float, float]:
    """Move the mouse to an image of the whole map until its name shows; where that is.

    The page may still be growing around the map, and then the image lies elsewhere.
    """
    canvas, hint = chart(page), page.locator(".atlas .hover")
    for _ in range(60):
        left, top = place(embeddings, canvas, row)
        page.mouse.move(left, top - 3)
        page.mouse.move(left, top)
        try:
            expect(hint).to_have_text(name, timeout=500)
        except AssertionError:
            continue
        return left, top
    raise AssertionError(f"{name} was never pointed at: {hint.inner_text()!r} shows")


def test_the_map_is_made_once_and_drawn(page: Page, embeddings: Embeddings) -> None:
    expect(page.get_by_text("Drawing the map of all images")).to_be_visible()
    page.reload()
    chart(page)
    expect(page.get_by_text("Drawing the map of all images")).to_be_hidden()
    assert load_atlas(embeddings) is not None
    expect(page.locator(".legend")).to_contain_text("in no group yet")
    page.get_by_role("button", name="Folders").click()
    expect(page.locator(".legend button")).to_have_count(2)
    assert [each.inner_text().split() for each in page.locator(".legend button").all()] == [
        ["dogs", "20"],
        ["cats", "10"],
    ]


def test_a_click_opens_what_lies_there_and_neighbours_lead_on(
    page: Page, embeddings: Embeddings, names: list[str]
) -> None:
    row = lonely(embeddings)
    page.mouse.click(*point_at(page, embeddings, row, names[row]))
    expect(page.locator(".lw-seen b")).to_have_text(names[row])
    expect(page).to_have_url(re.compile(f"image={embeddings.ids[row]}"))
    near = int(np.argsort(-(embeddings.vectors @ embeddings.vectors[row]))[1])
    first = page.locator(".st-key-explore-panel .sheet button").first
    expect(first).to_contain_text(names[near])
    first.click()
    expect(page.locator(".lw-seen b")).to_have_text(names[near])
    page.reload()
    expect(page.locator(".lw-seen b")).to_have_text(names[near])


def test_dragging_moves_the_map_and_opens_nothing(
    page: Page, embeddings: Embeddings, names: list[str]
) -> None:
    canvas, row = chart(page), lonely(embeddings)
    left, top = point_at(page, embeddings, row, names[row])
    box = canvas.bounding_box()
    assert box is not None
    right = 60 if left < box["x"] + box["width"] / 2 else -60
    page.mouse.down()
    page.mouse.move(left + right / 2, top, steps=4)
    page.mouse.move(left + right, top, steps=4)
    page.mouse.up()
    page.mouse.move(left + right + 1, top)
    expect(page.locator(".atlas .hover")).to_have_text(names[row])
    page.wait_for_timeout(500)
    assert "image=" not in page.url


def test_keys_zoom_move_and_open(page: Page, embeddings: Embeddings, names: list[str]) -> None:
    canvas = chart(page)
    atlas = load_atlas(embeddings)
    assert atlas is not None
    canvas.focus()
    box = canvas.bounding_box()
    assert box is not None
    step = min(box["width"], box["height"]) / 6 / (0.9 * min(box["width"], box["height"]))
    for key in ("ArrowLeft", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    middle = np.array([0.5 - step, 0.5 - 2 * step])
    row = int(np.linalg.norm(atlas - middle, axis=1).argmin())
    for key in "++-=":
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.locator(".lw-seen b")).to_have_text(names[row])
    canvas.focus()
    page.keyboard.press("0")
    point_at(page, embeddings, lonely(embeddings), names[lonely(embeddings)])


def test_a_picture_that_is_brought_finds_its_like(
    page: Page, workspace: Workspace, embeddings: Embeddings, names: list[str], tmp_path: Path
) -> None:
    images = open_images(workspace)
    row = names.index("17.png")
    copy = tmp_path / "brought along.bmp"
    with Image.open(images.path(images.positions[str(embeddings.ids[row])])) as image:
        image.save(copy)
    chart(page)
    page.locator(".st-key-explore-panel [data-testid=stPopover] button").first.click()
    page.locator("input[type=file]").set_input_files(copy)
    expect(page.locator(".lw-seen")).to_contain_text("Your picture", timeout=90_000)
    first = page.locator(".st-key-explore-panel .sheet button").first
    expect(first).to_contain_text("17.png")
    expect(first).to_contain_text("1.000")
    page.keyboard.press("Escape")
    first.click()
    expect(page.locator(".lw-seen b")).to_have_text("17.png")
    copy.write_bytes(b"not a picture")
    page.locator(".st-key-explore-panel [data-testid=stPopover] button").first.click()
    page.locator("input[type=file]").set_input_files(copy)
    expect(page.get_by_text("not an image, or not in a format")).to_be_visible()
