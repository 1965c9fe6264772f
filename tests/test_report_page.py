"""The parts of a page: markup, thumbnails and charts."""

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from likewise.evaluation.scores import METRICS, Scores
from likewise.evaluation.table import ModelScores
from likewise.report import charts
from likewise.report.charts import Range, Scored
from likewise.report.figures import scores_table
from likewise.report.headline import gain_words
from likewise.report.page import Card, Html, Section, Table, paragraph, render, table
from likewise.report.thumbnails import Thumbnails, as_url, smallest
from likewise.wording import percent
from tests.report_pages import Seen, outside, stored

NASTY = "a\"><script>alert(1)</script>&'`b`"


@pytest.fixture
def thumbnails(tmp_path: Path) -> Callable[..., Thumbnails]:
    def make(*pictures: Any, name: str = "in/a.png") -> Thumbnails:
        names = [f"{number}{name}" for number in range(len(pictures))]
        return Thumbnails(stored(tmp_path / "workspace", pictures, names))

    return make


@pytest.fixture
def page(thumbnails: Callable[..., Thumbnails]) -> str:
    rows = [[NASTY, f"1\n{NASTY}"]]
    tile = thumbnails(np.zeros((8, 8, 3), np.uint8), name=NASTY).tile(0, "same", NASTY)
    body = [table(Table([NASTY, "x"], rows, frozenset({(0, 1)}))), tile, paragraph(NASTY)]
    return render(NASTY, NASTY, [Card(NASTY, NASTY)], [Section(NASTY, NASTY, body)])


class TestMarkup:
    def test_names_are_text_and_nothing_else(self, page: str) -> None:
        seen = Seen(page)
        assert "script" not in seen.tags
        assert not seen.handlers
        shown = NASTY.replace("`b`", "b")
        # title, h1, about, card twice, contents, heading, lead, table thrice, caption, paragraph
        assert seen.text.count(NASTY) + seen.text.count(shown) == 13

    def test_what_is_typed_stands_out(self) -> None:
        assert "<code>b</code>" in paragraph(NASTY)
        assert "<code>" not in paragraph("a ` b")

    def test_nothing_is_fetched(self, page: str) -> None:
        assert outside(page) == []
        assert "default-src 'none'" in page

    def test_outside_would_be_noticed(self) -> None:
        body = [Html('<img src="https://x.org/a.png">')]
        assert outside(render("", "", [], [Section("", "", body)]))

    @given(st.text())
    def test_any_text_is_inert(self, text: str) -> None:
        seen = Seen(paragraph(text))
        assert set(seen.tags) <= {"p", "code"}
        if text.isprintable() and "`" not in text and text:
            assert seen.text.rstrip("\n").replace("\xa0", " ") == text

    def test_bytes_that_are_no_text_are_shown(self) -> None:
        assert "caf\\xe9" in paragraph("caf\udce9")

    def test_best_and_second_line(self, page: str) -> None:
        assert "<td><strong>1</strong><br><small>" in page

    def test_table_marks_the_best_of_each_column(self) -> None:
        made = scores_table((model("low", 0.2), model("high", 0.7)))
        eer = 1 + METRICS.index("eer")
        assert (0, eer) in made.best
        assert {(1, column) for column in range(1, 7) if column != eer} < made.best
        assert len(made.best) == 6
        assert made.rows[1][1] == "0.700\n0.600 to 0.800"
        assert len(made.header) == len(made.rows[0]) == 7


def model(name: str, value: float) -> ModelScores:
    values = dict.fromkeys(METRICS, value)
    intervals = dict.fromkeys(METRICS, (value - 0.1, value + 0.1))
    return ModelScores(name, "f", Scores(values, intervals, 0.5, 10))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [(0.2, 0.7, "larger than chance"), (0.7, 0.2, "surely worse"), (0.5, 0.6, "may be chance")],
)
def test_a_gain_is_called_sure_only_where_intervals_are_apart(
    before: float, after: float, said: str
) -> None:
    assert said in gain_words(model("new", after), model("old", before))


class TestThumbnails:
    def test_noise_is_squeezed_into_bounds(self, thumbnails: Callable[..., Thumbnails]) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (2, 600, 900, 3), np.uint8)
        for tile in map(thumbnails(*noise).tile, (0, 1)):
            assert len(tile) < 7_000 * 4 / 3 + 300

    def test_a_small_image_keeps_its_pixels(self, thumbnails: Callable[..., Thumbnails]) -> None:
        picture = np.random.default_rng(0).integers(0, 256, (28, 20, 3), np.uint8)
        tile = thumbnails(picture).tile(0)
        assert 'class="small"' in tile
        assert np.array_equal(opened(tile), picture)

    def test_a_large_one_keeps_its_proportions(self, thumbnails: Callable[..., Thumbnails]) -> None:
        picture = np.zeros((300, 600, 3), np.uint8)
        picture[:, :300] = 255
        drawn = opened(thumbnails(picture).tile(0))
        assert drawn.shape[1] == 2 * drawn.shape[0]
        assert drawn[:, :70].min() > 240
        assert drawn[:, -70:].max() < 15

    def test_the_number_of_those_left_out(self, thumbnails: Callable[..., Thumbnails]) -> None:
        made = thumbnails(*[np.zeros((8, 8, 3), np.uint8)] * 4)
        assert made.strip([0, 1, 2, 3]).count("<img") == 4
        cut = made.strip([0, 1, 2, 3], 10)
        assert cut.count("<img") == 3
        assert "+7" in cut

    def test_quality_falls_only_as_far_as_needed(self) -> None:
        smooth = Image.fromarray(np.full((100, 100, 3), 99, np.uint8))
        noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
        rough = Image.fromarray(noise)
        assert smallest(smooth, "JPEG", 5_000) == smallest(smooth, "JPEG", 50_000)
        assert len(smallest(rough, "JPEG", 5_000)) <= 5_000 < len(smallest(rough, "JPEG", 50_000))
        assert as_url(b"abc", "png") == "data:image/png;base64,YWJj"


def opened(tile: str) -> Any:
    found = re.search(r"base64,([^\"]+)", tile)
    assert found is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB"))


class TestCharts:
    def test_a_range_is_where_its_figures_are(self) -> None:
        drawn = charts.ranges(
            ["both", Range("a <b>", 0.5, 0.25, 0.75), Range("b", 1.0, 0.9, 1.5, 2.0)]
        )
        assert re.findall(r"left: ([\d.]+)%", drawn) == ["25.0", "50.0", "45.0", "50.0"]
        assert re.findall(r"width: ([\d.]+)%", drawn) == ["50.0", "30.0"]
        assert "a &lt;b&gt;" in drawn
        assert "50 %" in drawn
        assert "25 to 75 %" in drawn

    def test_a_figure_that_is_not_known(self) -> None:
        nan = float("nan")
        assert "n/a" in charts.ranges([Range("a", nan, nan, nan)])
        assert "to" not in charts.ranges([Range("a", 0.5, nan, nan)])

    def test_a_curve_goes_through_its_points(self) -> None:
        lines = [{"epoch": n, "loss": value} for n, value in enumerate((4.0, 2.0, 1.0), 1)]
        drawn = charts.curves(lines)
        found = re.search(r'd="M([\d. L-]+)" style', drawn)
        assert found is not None
        points = [tuple(map(float, each.split())) for each in found[1].split(" L")]
        assert points == [(0, 0), (150, 100), (300, 150)]
        assert drawn.count("<svg") == 1

    def test_one_epoch_and_unknown_figures(self) -> None:
        drawn = charts.curves([{"epoch": 1, "loss": 1.0, "seconds": 3}])
        assert drawn.count("<svg") == 1
        assert "circle" in drawn

    def test_columns_are_as_tall_as_groups_are_large(self) -> None:
        drawn = charts.group_sizes(np.array([40, 10, 1]))
        assert re.findall(r' height="([\d.]+)"', drawn) == ["100.0", "25.0", "2.5"]

    def test_the_roc_curve_of_scores_that_are_always_right(self) -> None:
        same = np.array([True] * 5 + [False] * 5)
        drawn = charts.roc([Scored("m", np.linspace(1, 0, 10), same)])
        assert "AUC 1.000, EER 0.0 %" in drawn
        found = re.search(r'class="line" d="M([^"]+)"', drawn)
        assert found is not None
        assert "0.0 0.0" in found[1].split(" L")  # no different pair, all same ones

    def test_shares_in_words(self) -> None:
        assert percent(0.126) == "13 %"
        assert percent(0.126, 1) == "12.6 %"
