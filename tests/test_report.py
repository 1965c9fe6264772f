import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from likewise.errors import LikewiseError
from likewise.evaluation import plots, sheets
from likewise.evaluation.report import Picture, Section, Table, render, scores_table, write_report
from likewise.evaluation.scores import METRICS, Scores
from likewise.evaluation.sheets import (
    ASKED,
    RIGHT,
    WRONG,
    Map,
    Neighbours,
    contact_sheet,
    embedding_map,
    neighbour_grid,
    tile,
)
from likewise.evaluation.table import ModelScores

MARGIN = 16


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

    def test_frames_say_right_and_wrong(self) -> None:
        picture = plain((128, 128, 128))
        told = Neighbours("model", [[picture, picture, picture]], [[True, False, True]])
        sheet = pixels(neighbour_grid([picture], [told]))
        assert count(sheet, RIGHT) > count(sheet, WRONG) > 0
        assert count(sheet, ASKED) > 0
        untold = pixels(neighbour_grid([picture], [Neighbours("model", [[picture]])]))
        assert count(untold, RIGHT) == count(untold, WRONG) == 0

    def test_map_puts_images_at_their_points(self) -> None:
        points = np.array([[0.0, 0.0], [1.0, 1.0]])
        images = [plain((250, 0, 0)), plain((0, 0, 250))]
        sheet = pixels(embedding_map([Map("before", points)], images))
        rows, columns = np.nonzero((sheet == (250, 0, 0)).all(axis=2))
        other_rows, other_columns = np.nonzero((sheet == (0, 0, 250)).all(axis=2))
        assert rows.max() < other_rows.min()
        assert columns.max() < other_columns.min()
        assert rows.min() >= MARGIN
        two = pixels(embedding_map([Map("before", points), Map("after", points)], images))
        assert two.shape[1] > 1.9 * sheet.shape[1] - 4 * MARGIN
        assert count(two, (250, 0, 0)) == 2 * count(sheet, (250, 0, 0))

    def test_map_of_one_point_and_of_many_classes(self) -> None:
        names = [f"class {each}" for each in range(30)]
        images = [plain((1, 2, 3))] * 30
        pixels(embedding_map([Map("one", np.zeros((30, 2)))], images, names))


class TestPlots:
    def test_every_chart_is_drawn_and_leaves_no_figure_open(self) -> None:
        metrics = [
            {"epoch": epoch, "loss": -epoch / 10, "effective_rank": 5.0, "neighbour_stability": 0.5}
            for epoch in (1, 2, 3)
        ]
        random = np.random.default_rng(0)
        same = random.random(300) < 0.5
        scored = [plots.Scored(name, random.normal(size=300) + same, same) for name in "ab"]
        charts = [
            plots.curves(metrics),
            plots.curves(metrics[:1]),
            plots.roc(scored),
            plots.roc(scored[:1]),
            plots.comparison(
                ["a", "b"],
                {"x": [0.5, float("nan")], "y": [1.0, 0.0]},
                {"x": [(0.4, 0.6), (float("nan"), float("nan"))], "y": [(1.0, 1.0), (0.0, 0.1)]},
            ),
        ]
        for chart in charts:
            drawn = pixels(chart)
            assert drawn.shape[1] > 1000
            assert count(drawn, (255, 255, 255)) < drawn.shape[0] * drawn.shape[1]
        assert plt.get_fignums() == []

    def test_a_longer_bar_is_a_better_figure(self) -> None:
        def blue(value: float) -> int:
            chart = plots.comparison(["a", "b"], {"x": [0.1, value]}, {"x": [(0.1, 0.1)] * 2})
            return count(pixels(chart), (0x3B, 0x5B, 0xDB))

        assert blue(0.8) > 1.5 * blue(0.4)

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


class Seen(HTMLParser):
    """Tags, attributes that could fetch something, and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attributes if key in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


class TestReport:
    nasty = 'a"><script>alert(1)</script>&'

    def page(self) -> str:
        picture = Picture(contact_sheet([[plain((1, 2, 3))]]), self.nasty, self.nasty)
        table = Table(["model", self.nasty], [[self.nasty, "1\n2"]], frozenset({(0, 1)}))
        return render(self.nasty, self.nasty, [Section(self.nasty, self.nasty, [picture], table)])

    def test_names_are_escaped(self) -> None:
        page = Seen(self.page())
        assert "script" not in page.tags
        assert page.text.count(self.nasty) == 9  # title twice, lead, contents, section: 5 places

    def test_nothing_is_fetched(self) -> None:
        page = self.page()
        links = Seen(page).links
        assert len(links) == 2
        assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
        for outside in ("http:", "https:", "//", "url(", "@import"):
            assert outside not in page.replace(Seen(page).links[1], "")

    def test_best_and_second_line(self) -> None:
        assert "<td><strong>1</strong><br><small>2</small></td>" in self.page()

    def test_name_that_is_no_text_can_be_written(self, tmp_path: Path) -> None:
        file = tmp_path / "deep" / "report.html"
        write_report(file, "caf\udce9", "", [])
        assert "<title>caf?</title>" in file.read_text(encoding="utf-8")
        assert [each.name for each in file.parent.iterdir()] == ["report.html"]

    def test_unwritable_target(self, tmp_path: Path) -> None:
        with pytest.raises(LikewiseError, match="could not write"):
            write_report(tmp_path, "", "", [])
        assert list(tmp_path.iterdir()) == []

    def test_table_marks_the_best_of_each_column(self) -> None:
        def model(name: str, value: float) -> ModelScores:
            values = dict.fromkeys(METRICS, value)
            intervals = dict.fromkeys(METRICS, (value - 0.1, value + 0.1))
            return ModelScores(name, "f", Scores(values, intervals, 0.5, 10))

        table = scores_table([model("low", 0.2), model("high", 0.7)])
        eer = 1 + METRICS.index("eer")
        assert (0, eer) in table.best
        assert {(1, column) for column in range(1, 7) if column != eer} < table.best
        assert len(table.best) == 6
        assert table.rows[1][1] == "0.700\n0.600 to 0.800"
        assert len(table.header) == len(table.rows[0]) == 7


def test_palette_tells_ten_classes_apart() -> None:
    assert len(set(sheets._PALETTE)) == 10
