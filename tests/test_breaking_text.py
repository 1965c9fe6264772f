"""Text from anywhere is shown and stored as text: in the app, in reports, notebooks and tables."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Dialog, Page, expect
from sqlalchemy import text

from likewise import api
from likewise.answers.annotators import annotator_name
from likewise.answers.exchange import export_answers, import_answers
from likewise.answers.standing import Answer, pair_of
from likewise.answers.store import NewAnswer, open_answers
from likewise.answers.tabular import read_records, write_records
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.inference.table_files import write_table
from likewise.models.model_files import save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import start_run
from likewise.neighbours.embedding import embed
from likewise.report.job import report
from likewise.settings import AnswersExport, AnswersImport, Embed, Ingest, Report
from likewise.workspace import Workspace
from tests.breaking import Figure
from tests.label_screen import shown
from tests.served import Server
from tests.test_breaking_pixels import here

MARKUP = [
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    '"><svg onload=window.ran=1>',
    "</style><script>window.ran=1</script>",
    "<iframe srcdoc='<script>parent.ran=1</script>'>",
    "<a href=javascript:window.ran=1>go</a>",
    "[go](javascript:window.ran=1) ![x](y)",
    "{{window.ran=1}}${window.ran=1}`",
    "</script><script>window.ran=1//",
    "' onmouseover='window.ran=1",
    "<!--<script>window.ran=1</script>-->",
    ":material/home: :red[x] $$x$$",
]
FORMULAS = [
    *('=HYPERLINK("http://evil.example","x")', "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)"),
    *("\t=1+1", "\r=1+1", "'=1+1", "''quoted", "=1,2;3\t4", '="a""b"', "-", "=", "+", "@"),
]
SQL = ["'; DROP TABLE answers;--", '" OR ""="', "1; DELETE FROM screens", "%_\\'", "Robert');--"]
PATHS = ["../../../../etc/passwd", "/etc/passwd", "..\\..\\x", "file:///etc/passwd", "a\0b", "~/x"]
NASTY = MARKUP + FORMULAS + SQL + PATHS
RUNS = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would run (OWASP, CSV injection)."""


def file_names() -> list[str]:
    """Names of files that are nasty, as far as a file system lets them be."""
    found = [each.replace("/", "\u2215").replace("\0", "")[:120] for each in NASTY]
    return [f"{each}.png" for each in dict.fromkeys(found)]


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Images with nasty names in nasty folders, embedded, answered by people with nasty names."""
    folder = tmp_path_factory.mktemp("poisoned")
    workspace = Workspace(folder / "workspace")
    for seed, name in enumerate(file_names()):
        place = folder / "in" / MARKUP[seed % 3].replace("/", "\u2215")
        place.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(coarse).resize((40, 30)).save(place / name, "PNG")
    ingest(workspace, Ingest(images=(folder / "in",), workers=1), reader=here)
    run = start_run(workspace, "pretrain", {}, name=None)
    save_model(run.model_file, build_backbone("small", image_size=24))
    embed(workspace, Embed(precision="float32", device="cpu"))
    ids = open_images(workspace).ids
    with open_answers(workspace) as store:
        store.add(
            [
                NewAnswer(
                    *pair_of(str(ids[row]), str(ids[row + 1])),
                    verdict,
                    annotator_name(name, "ada"),
                    name,
                )
                for row, name in enumerate(NASTY[: len(ids) - 1])
                for verdict in (("similar", "dissimilar") if row % 2 else ("similar",))
                if "\0" not in name
            ]
        )
    return workspace


@pytest.fixture(scope="module")
def served(poisoned: Workspace) -> Iterator[Server]:
    with Server(poisoned) as server:
        yield server


class Watched:
    """A page in which anything that runs, opens or asks elsewhere is noticed."""

    def __init__(self, context: BrowserContext, home: str) -> None:
        self.page: Page = context.new_page()
        self.dialogs: list[str] = []
        self.elsewhere: list[str] = []
        self.home = home
        self.page.on("dialog", self._spoke)
        self.page.on("request", lambda each: self._asked(each.url))

    def _spoke(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _asked(self, url: str) -> None:
        if not url.startswith((self.home, "data:", "blob:", "file:", "ws:", "about:")):
            self.elsewhere.append(url)

    def ran(self) -> list[str]:
        """What was run or asked for."""
        ran = self.page.evaluate("() => window.ran === undefined ? [] : ['script']")
        handlers = self.page.evaluate(
            """() => [...document.querySelectorAll('*')].flatMap((element) =>
                [...element.attributes].filter((each) => each.value.includes('window.ran')
                    && (/^on/.test(each.name) || /^javascript:/.test(each.value.trim())
                        || each.name === 'srcdoc')).map((each) => each.name))"""
        )
        return [*ran, *handlers, *self.dialogs, *self.elsewhere]


@pytest.mark.breaking
@pytest.mark.browser
@pytest.mark.timeout(600)
def test_nothing_runs_in_the_app(served: Server, context: BrowserContext, figure: Figure) -> None:
    watched = Watched(context, served.url)
    page, ran, screens = watched.page, list[str](), 0
    for name in (MARKUP[0], MARKUP[1], SQL[0]):
        page.goto(f"{served.url}/?annotator={quote(name)}&mode=pair")
        shown(page)
        page.wait_for_timeout(400)
        ran += watched.ran()
        screens += 1
    for mode in ("grid", "strip"):
        page.goto(f"{served.url}/?annotator={quote(MARKUP[2])}&mode={mode}")
        page.wait_for_timeout(1500)
        ran += watched.ran()
        screens += 1
    for path, sign in (("review", "History"), ("progress", "Progress"), ("explore", "Explore")):
        page.goto(f"{served.url}/{path}?annotator={quote(MARKUP[3])}")
        expect(page.get_by_text(re.compile(sign)).first).to_be_visible(timeout=60_000)
        page.wait_for_timeout(2000)
        ran += watched.ran()
        screens += 1
    page.get_by_label(re.compile("name", re.IGNORECASE)).first.fill(MARKUP[1])
    page.keyboard.press("Enter")
    page.wait_for_timeout(2000)
    ran += watched.ran()
    figure(f"{screens + 1} screens over {len(file_names())} nasty names: {len(ran)} executed {ran}")
    assert ran == []


@pytest.mark.breaking
@pytest.mark.browser
def test_nothing_runs_in_reports_and_notebooks(
    poisoned: Workspace, context: BrowserContext, tmp_path: Path, figure: Figure
) -> None:
    report(poisoned, Report(out=tmp_path / "report.html"))
    workspace = api.Workspace(poisoned.path)
    image = next(poisoned.path.parent.joinpath("in").rglob("*.png"))
    class_count, gallery = 0, workspace.gallery()
    for seed, name in enumerate(each for each in NASTY if each.strip().isprintable()):
        if class_count < 6:
            folder = poisoned.path.parent / "in"
            gallery.add(name, sorted(folder.rglob("*.png"))[seed])
            class_count += 1
    results = [
        workspace.search(image, top=40),
        workspace.duplicates(),
        workspace.status(),
        gallery.classify(image),
        gallery,
        workspace,
    ]
    pages = {"report": (tmp_path / "report.html").read_text("utf-8")}
    for number, each in enumerate(results):
        html = getattr(each, "_repr_html_", lambda: "")()
        pages[f"result {number}"] = f"<!doctype html><meta charset=utf-8><body>{html}</body>"
    ran = []
    for name, content in pages.items():
        file = tmp_path / f"{name}.html"
        file.write_text(content, "utf-8")
        watched = Watched(context, "file:")
        watched.page.goto(file.as_uri())
        watched.page.wait_for_timeout(200)
        ran += [(name, each) for each in watched.ran()]
    named = sum("window.ran" in content for content in pages.values())
    figure(f"the report and {len(results)} results as HTML: {len(ran)} executed")
    assert ran == []
    assert named >= 2  # the names are there, as text


# --- tables


@pytest.mark.breaking
def test_tables_run_nothing_in_a_spreadsheet_and_come_back_unchanged(
    poisoned: Workspace, tmp_path: Path, figure: Figure
) -> None:
    values = [each for each in NASTY if "\0" not in each]
    records = [
        {"name": each, "other": other} for each, other in zip(values, values[::-1], strict=True)
    ]
    files = [tmp_path / f"table{suffix}" for suffix in (".csv", ".jsonl", ".parquet")]
    for file in files:
        write_records(file, records, ["name", "other"])
        assert read_records(file) == records, file
    write_table(tmp_path / "sheet.csv", records, ["name", "other"])
    export_answers(poisoned, AnswersExport(file=tmp_path / "answers.csv"))
    export_answers(poisoned, AnswersExport(file=tmp_path / "history.csv", history=True))
    cells = 0
    for file in sorted(tmp_path.glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as opened:
            for row in csv.reader(opened):
                for cell in row:
                    cells += 1
                    number = re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell)
                    assert number or not cell.startswith(RUNS), (file, cell)
    with open_answers(poisoned) as store:
        before = [each for each in store.history() if isinstance(each, Answer)]
    again = import_answers(poisoned, AnswersImport(file=tmp_path / "history.csv"))
    with open_answers(poisoned) as store:
        after = [each for each in store.history() if isinstance(each, Answer)]
    figure(f"{cells:,} cells of 4 tables: 0 are formulas; {len(before)} answers came back the same")
    assert (again.answers, again.problems) == (0, ())
    assert after == before


@pytest.mark.breaking
def test_nasty_text_is_stored_as_it_is_or_refused(
    poisoned: Workspace, tmp_path: Path, figure: Figure
) -> None:
    """In every column of an import: SQL, markup, formulas and paths change nothing else."""
    ids = [str(each) for each in open_images(poisoned).ids[:2]]
    columns = ["id_a", "id_b", "path_a", "path_b", "verdict", "annotator", "time", "strategy"]
    columns += ["score", "fingerprint"]
    rows = []
    for column in columns:
        for each in NASTY:
            row = {"id_a": ids[0], "id_b": ids[1], "verdict": "similar", "annotator": "ada"}
            rows.append(row | {column: each.replace("\0", "")})
    write_records(tmp_path / "given.jsonl", rows, columns)
    with open_answers(poisoned) as store:
        before = len(store.history())
    told = import_answers(poisoned, AnswersImport(file=tmp_path / "given.jsonl"))
    with open_answers(poisoned) as store:
        history = store.history()
        with store.reading() as connection:
            tables = connection.execute(text("SELECT name FROM sqlite_master")).scalars().all()
    figure(
        f"{len(rows)} rows of nasty text: {told.answers} stored as text, {len(told.problems)} "
        f"refused with a reason, {told.skipped} known; 0 executed, every table is there"
    )
    assert {"answers", "screens", "leases"} <= set(tables)
    assert len(history) == before + told.answers
    assert told.answers + told.skipped + len(told.problems) == len(rows)
    said = [reason for _, reason in told.problems]
    assert not any("root:" in each for each in said)  # no file was read
    stored = {each.annotator for each in history if isinstance(each, Answer)}
    for each in SQL + MARKUP:
        assert " ".join(each.split())[:60].strip() in stored
