"""The example notebooks: whole and honest as they are committed; executed again in the long run."""

import ast
import dataclasses
import inspect
import os
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from likewise import cli
from likewise.api import Workspace
from likewise.inference.gallery import Gallery
from likewise.inference.search import ImageSearch
from likewise.inference.verifier import Verifier
from tests.notebook_runs import (
    DATA,
    FOLDER,
    code_cells,
    execute,
    figures_of,
    kinds_of,
    noise_of,
    texts_of,
)

LARGEST = 1_500_000
"""Bytes of a notebook."""
OWN = {"workspace": Workspace, "gallery": Gallery, "searcher": ImageSearch, "verifier": Verifier}
"""The classes of names that all notebooks use for the same thing."""
MACHINE = re.compile(r"(?<![\w.<])/(?:home|root|Users|work|tmp|mnt|opt|srv|var)\b\S*")

every_notebook = pytest.mark.parametrize("name", DATA)


def committed(name: str) -> nbformat.NotebookNode:
    found: nbformat.NotebookNode = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    return found


def test_every_notebook_is_tested() -> None:
    assert sorted(each.stem for each in FOLDER.glob("*.ipynb")) == sorted(DATA)


@every_notebook
def test_a_notebook_is_valid_and_small(name: str) -> None:
    node = committed(name)
    nbformat.validate(node)
    assert node.cells[0].cell_type == "markdown"
    assert (FOLDER / f"{name}.ipynb").stat().st_size < LARGEST
    assert "@@" not in "".join(each.source for each in node.cells)


@every_notebook
def test_a_notebook_was_executed_in_order_without_errors(name: str) -> None:
    node = committed(name)
    cells = code_cells(node)
    assert [each.execution_count for each in cells] == list(range(1, len(cells) + 1))
    assert not noise_of(node)
    assert sum(bool(each.outputs) for each in cells) > len(cells) / 2
    assert all(isinstance(each, int | float) for each in figures_of(node).values())


@every_notebook
def test_a_notebook_does_not_speak_of_somebodys_machine(name: str) -> None:
    for text in (*texts_of(committed(name)), *(each.source for each in committed(name).cells)):
        assert not MACHINE.findall(text)


def test_a_path_of_a_machine_is_noticed() -> None:
    assert MACHINE.findall("saved to /home/me/photos and '/tmp/x'") == [
        "/home/me/photos",
        "/tmp/x'",
    ]
    assert not MACHINE.findall("work/faces/people, <td></td>, and/or")


@every_notebook
def test_a_notebook_calls_what_exists(name: str) -> None:
    called = set()
    for cell in code_cells(committed(name)):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                if isinstance(owner, ast.Name) and owner.id in OWN:
                    check_call(OWN[owner.id], node.func.attr, [k.arg or "" for k in node.keywords])
                    called.add(node.func.attr)
    assert {"ingest", "images", "embed", "simulate", "finetune"} <= called


def check_call(owner: type, method: str, keywords: list[str]) -> None:
    parameters = inspect.signature(getattr(owner, method)).parameters
    known = set(parameters)
    command = (
        "gallery evaluate" if owner is Gallery else method.replace("_", " ").split(" pairs")[0]
    )
    if "settings" in parameters:
        known |= {each.name for each in dataclasses.fields(cli.COMMANDS[command].settings)}
    assert set(keywords) <= known, (owner.__name__, method)


def class_folders(folder: Path, classes: int, of_each: int) -> Path:
    """Coloured patterns, one for each class, with noise: they stand in for the real pictures."""
    random = np.random.default_rng(0)
    for number in range(classes):
        place = folder / f"kind-{number:02d}"
        place.mkdir(parents=True)
        pattern = random.integers(0, 256, (4, 4, 3)).astype(np.int64)
        for each in range(of_each):
            coarse = np.clip(pattern + random.integers(-40, 41, (4, 4, 3)), 0, 255)
            image = Image.fromarray(coarse.astype(np.uint8))
            image.resize((64, 72), Image.Resampling.BICUBIC).save(place / f"{each:03d}.png")
    return folder


@pytest.mark.long
@pytest.mark.timeout(7200)
@every_notebook
def test_a_notebook_can_be_executed_again(name: str, tmp_path: Path) -> None:
    """With the same data the figures are the committed ones; else all cells work on other data."""
    variable, before = DATA[name], committed(name)
    data = os.environ.get(variable) if variable else None
    given = {}
    if variable:
        substitute = {"01-product-photos": (10, 105), "02-faces": (40, 10)}
        given[variable] = data or str(class_folders(tmp_path / "data", *substitute[name]))
    (tmp_path / "run").mkdir()
    after = execute(FOLDER / f"{name}.ipynb", tmp_path / "run", given)
    nbformat.validate(after)
    assert not noise_of(after)
    assert kinds_of(after) == kinds_of(before)
    told, expected = figures_of(after), figures_of(before)
    assert told.keys() == expected.keys()
    if data or not variable:
        for key, value in expected.items():
            assert told[key] == pytest.approx(value, abs=0.05, rel=0.1), key
