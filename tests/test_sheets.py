import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likewise.evaluation import plots
from likewise.evaluation.sheets import PALETTE, contact_sheet, embedding_map, palette_of, tile


def pixels(png: bytes) -> Any:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def plain(colour: tuple[int, int, int], height: int = 8, width: int = 8) -> Any:
    return np.full((height, width, 3), colour, np.uint8)


def count(sheet: Any, colour: tuple[int, int, int]) -> int:
    return int((sheet == np.array(colour)).all(axis=2).sum())


class TestSheets:
    def test_small_images_are_enlarged_without_blur(self) -> None:
        board = (np.indices((4, 4)).sum(axis=0) % 2 * 255).astype(np.uint8)
        drawn = np.asarray(tile(np.repeat(board[:, :, None], 3, axis=2), 122))
        assert set(np.unique(drawn[1:-1, 1:-1])) == {0, 255}

    def test_tile_keeps_proportions(self) -> None:
        drawn = np.asarray(tile(plain((255, 0, 0), height=50, width=100), 102))
        assert count(drawn, (255, 0, 0)) == 100 * 50
        tall = np.asarray(tile(plain((255, 0, 0), height=400, width=1), 102))
        assert count(tall, (255, 0, 0)) == 100

    def test_contact_sheet_holds_every_picture_in_its_place(self) -> None:
        colours = [[(200, 0, 0), (0, 200, 0)], [(0, 0, 200)]]
        sheet = pixels(contact_sheet([[plain(each) for each in row] for row in colours]))
        height, width = sheet.shape[:2]
        assert sheet[height // 4, width // 4].tolist() == [200, 0, 0]
        assert sheet[height // 4, 3 * width // 4].tolist() == [0, 200, 0]
        assert sheet[3 * height // 4, width // 4].tolist() == [0, 0, 200]
        assert count(sheet[height // 2 + 10 :, width // 2 :], (255, 255, 255)) > 1000

    def test_captions_and_headings_take_room(self) -> None:
        rows = [[plain((9, 9, 9))]]
        bare, told = (
            pixels(contact_sheet(rows)),
            pixels(contact_sheet(rows, captions=["cat"], headings=["view 1"])),
        )
        assert told.shape[0] > bare.shape[0]
        assert told.shape[1] > bare.shape[1]

    def test_map_puts_images_at_their_points(self) -> None:
        points = np.array([[0.0, 0.0], [1.0, 1.0]])
        images = [plain((250, 0, 0)), plain((0, 0, 250))]
        drawn = embedding_map(points, images, ["", ""])
        sheet = np.asarray(drawn.convert("RGB"))
        rows, columns = np.nonzero((sheet == (250, 0, 0)).all(axis=2))
        other_rows, other_columns = np.nonzero((sheet == (0, 0, 250)).all(axis=2))
        assert rows.max() < other_rows.min()
        assert columns.max() < other_columns.min()
        alpha = np.asarray(drawn)[:, :, 3]
        assert alpha[rows, columns].min() == 255
        assert (alpha == 0).mean() > 0.9  # the page's own colour shows between the images

    def test_frames_on_a_map_have_the_colour_of_the_name(self) -> None:
        points = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        sheet = np.asarray(embedding_map(points, [plain((1, 2, 3))] * 3, ["b", "a", ""]))[:, :, :3]
        colours = palette_of(["b", "a", "", "a"])
        assert list(colours) == ["a", "b"]
        assert count(sheet, colours["a"]) == count(sheet, colours["b"]) > 100

    def test_map_of_one_point_and_of_many_classes(self) -> None:
        names = [f"class {each}" for each in range(30)]
        drawn = embedding_map(np.zeros((30, 2)), [plain((1, 2, 3))] * 30, names)
        assert count(np.asarray(drawn)[:, :, :3], (1, 2, 3)) > 0


class TestPlots:
    def test_tsne_keeps_clusters_apart_and_follows_its_seed_and_start(self) -> None:
        random = np.random.default_rng(0)
        labels = np.repeat((0, 1), 30)
        vectors = np.eye(8)[labels] + 0.05 * random.normal(size=(60, 8))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        points = plots.tsne(vectors, seed=1)
        centres = np.stack([points[labels == each].mean(axis=0) for each in (0, 1)])
        spread = np.linalg.norm(points - centres[labels], axis=1).mean()
        assert np.linalg.norm(centres[0] - centres[1]) > 2 * spread
        assert np.array_equal(points, plots.tsne(vectors, seed=1))
        assert not np.array_equal(points, plots.tsne(vectors, seed=1, start=-points))

    @pytest.mark.parametrize("rows", [1, 3, 4, 5])
    def test_tsne_of_hardly_any_images(self, rows: int) -> None:
        vectors = np.random.default_rng(0).normal(size=(rows, 6)).astype(np.float32)
        assert plots.tsne(vectors, seed=0).shape == (rows, 2)


def test_palette_tells_ten_classes_apart() -> None:
    assert len(set(PALETTE)) == 10
