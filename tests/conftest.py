"""Fixtures that several tests share."""

# ruff: noqa: E402 - what is imported after the hook is checked
from tests import shapes

shapes.check()

import json
import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright
from sqlalchemy import create_engine, make_url, select, text

from likewise.answers.screens import give_back_all
from likewise.answers.store import open_answers
from likewise.answers.tables import screens_table
from likewise.images.ingest import ingest
from likewise.images.reading import Outcome, Reading
from likewise.images.scan import File
from likewise.images.store import open_images
from likewise.models.model_files import save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import start_run
from likewise.neighbours.embedding import embed
from likewise.neighbours.vectors import write_embeddings
from likewise.settings import Embed, Ingest
from likewise.workspace import Workspace
from tests import postgresql
from tests.breaking import Figure
from tests.served import Server

# Threads that wait for one another go to sleep: on a busy machine that is three times as fast.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# What is measured while others work is not to be remembered.
os.environ["LIKEWISE_CACHE"] = tempfile.mkdtemp(prefix="likewise-cache-")

# What a shell starts in the background ignores Ctrl-C, and so would what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine may be slow and busy: how long an example takes says nothing.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests write to their own workspaces, whatever the developer's environment says."""
    monkeypatch.delenv("LIKEWISE_WORKSPACE", raising=False)
    monkeypatch.delenv("LIKEWISE_DATABASE_URL", raising=False)
    monkeypatch.delenv("LIKEWISE_VECTORS_URL", raising=False)


@pytest.fixture(autouse=True)
def _main_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit's AppTest puts its script in the place of ``__main__``, which spawned processes
    would import."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def hang_up_heard() -> Iterator[None]:
    """A closed terminal is told, also where the tests run under nohup, whose children ignore it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Iterator[Figure]:
    """Notes what a test that breaks things has seen, in the file that LIKEWISE_FIGURES names."""
    seen: list[str] = []
    failed = request.session.testsfailed
    yield seen.append
    if file := os.environ.get("LIKEWISE_FIGURES"):
        outcome = "failed" if request.session.testsfailed > failed else "passed"
        day = datetime.now(UTC).date().isoformat()
        line = {"test": request.node.nodeid, "figure": "; ".join(seen)}
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({**line, "outcome": outcome, "day": day}) + "\n")


@pytest.fixture
def picture() -> Callable[..., Path]:
    """``picture(path, seed=0, size=(width, height), **options)`` writes an image; returns path.

    The content is smooth coloured noise that depends on the seed alone, so that equal seeds give
    byte-equal files. The suffix chooses the format; options go to `PIL.Image.Image.save`.
    """

    def make(path: Path, seed: int = 0, size: tuple[int, int] = (32, 24), **options: Any) -> Path:
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path, **options)
        return path

    return make


@pytest.fixture
def reading_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of galleries are decoded in this process: starting children takes a second each."""

    def read(files: Iterable[File], reading: Reading, workers: int) -> Iterator[Outcome]:
        return map(reading, files)

    for module in ("neighbours.pictures", "inference.gallery_editing", "inference.gallery_sheet"):
        monkeypatch.setattr(f"likewise.{module}.in_children", read)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace that does not exist yet."""
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def filled(workspace: Workspace, picture: Callable[..., Path], tmp_path: Path) -> Workspace:
    """A workspace with the 26 small images of ``tmp_path / "in"``."""
    for seed in range(26):
        picture(tmp_path / "in" / f"{seed}.png", seed)
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    return workspace


@pytest.fixture(scope="session")
def labelled_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with forty images, half of them tiny, and random vectors; copy it, don't write.

    The images stand in for a folder of somebody's; the vectors are eight-dimensional.
    """
    folder = tmp_path_factory.mktemp("labelled")
    workspace = Workspace(folder / "workspace")
    (folder / "in").mkdir()
    for seed in range(40):
        size = (300, 200) if seed % 2 else (28, 28)
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(coarse).resize(size).save(folder / "in" / f"{seed:02}.png")
    ingest(workspace, Ingest(images=(folder / "in",), workers=1))
    ids = open_images(workspace).ids
    vectors = np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(workspace, [vectors], ids, 8, "f1", "run-1")
    return workspace.path


@pytest.fixture
def ready(labelled_images: Path, tmp_path: Path) -> Workspace:
    """A workspace of one's own with forty images and their vectors, and no answers yet."""
    shutil.copytree(labelled_images, tmp_path / "ready")
    return Workspace(tmp_path / "ready")


@pytest.fixture(scope="session")
def _embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedded")
    workspace = Workspace(folder / "workspace")
    for seed in range(24):
        file = folder / "in" / f"kind-{seed % 3}" / f"{seed:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(coarse).resize((40 + seed, 30), Image.Resampling.BICUBIC).save(file)
    ingest(workspace, Ingest(images=(folder / "in",), workers=1))
    run = start_run(workspace, "pretrain", {}, name=None)
    torch.manual_seed(0)
    save_model(run.model_file, build_backbone("small", image_size=24))
    embed(workspace, Embed(precision="float32"))
    return folder


@pytest.fixture
def embedded(_embedded: Path, tmp_path: Path) -> Workspace:
    """A workspace of one's own with a (random) small net and the vectors of 24 images.

    The images are those of ``tmp_path / "in"``: ``kind-0/00.png``, ``kind-1/01.png``, ...
    """
    shutil.copytree(_embedded / "in", tmp_path / "in")
    shutil.copytree(_embedded / "workspace", tmp_path / "workspace")
    workspace = Workspace(tmp_path / "workspace")
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    return workspace


@pytest.fixture(scope="session")
def _server(labelled_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    copy = shutil.copytree(labelled_images, tmp_path_factory.mktemp("served") / "workspace")
    # Nobody is shown the pairs of others: who sees what is then up to the test.
    with Server(Workspace(copy), LIKEWISE_SECOND_SHARE="0") as server:
        yield server


@pytest.fixture
def server(_server: Server) -> Server:
    """The app over forty images; no answer stands and no pair is reserved."""
    with open_answers(_server.workspace) as store:
        while standing := store.current():  # what was corrected stands again
            store.retract([each.number for each in standing], "nobody")
        with store.leasing() as connection:
            for name in connection.scalars(select(screens_table.c.annotator).distinct()).all():
                give_back_all(connection, name)
    _server.start()  # a test that failed may have left it dead
    return _server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; patient, because a machine may be slow and busy."""
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs Chromium: apt-get install chromium")
        pytest.skip("needs Chromium (apt-get install chromium)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    flags += ["--disable-component-update", "--disable-sync"]
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without a past, 1280 by 720."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server of this run, with no database chosen."""
    with postgresql.running() as server:
        engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:  # its data need not outlive this run
            for setting in ("fsync", "full_page_writes"):
                connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        engine.dispose()
        yield server.url


@pytest.fixture(scope="session")
def durable_postgresql() -> Iterator[postgresql.PostgreSQL]:
    """A server that syncs, and that a test may stop and start."""
    with postgresql.running() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    name = f"test_{uuid.uuid4().hex}"
    engine = create_engine(postgresql_server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(postgresql_server).set(database=name)
    yield url.render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: everything that uses it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'labels.db'}"
    return str(request.getfixturevalue("postgresql_url"))


def close_milvus() -> None:
    """Let go of every file of Milvus Lite that this process has open."""
    from likewise.neighbours.milvus_index import _client

    _client.cache_clear()
    if (lite := sys.modules.get("milvus_lite.server_manager")) is not None:
        lite.server_manager_instance.release_all()


@pytest.fixture
def milvus_file(tmp_path: Path) -> Iterator[Path]:
    """A file of Milvus Lite that does not exist yet."""
    yield tmp_path / "milvus.db"
    close_milvus()
