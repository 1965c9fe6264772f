"""The rules of the house: what may be named how, and what may import what."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "ssl", ROOT / "labeler"]
LAYERS = [
    {
        "cores",
        "errors",
        "files",
        "interpreter",
        "notebook",
        "progress",
        "ranks",
        "seals",
        "settings",
        "signals",
        "usage",
        "wording",
        "workspace",
    },
    {"images", "models"},
    {"neighbours"},
    {"answers"},
    {"training", "evaluation"},
    {"inference"},
    {"export"},
    {"demo", "jobs", "people", "report", "serve", "status", "api", "cli"},
]


@pytest.mark.parametrize("root", SOURCES, ids=lambda root: root.name)
def test_a_source_root_is_not_a_package(root: Path) -> None:
    assert root.is_dir()
    assert not (root / "__init__.py").exists()


@pytest.mark.parametrize("root", [*SOURCES, ROOT / "benchmarks"], ids=lambda root: root.name)
def test_nothing_bears_a_standard_librarys_name(root: Path) -> None:
    own = {path.stem for path in root.rglob("*.py")} | {
        path.parent.name for path in root.rglob("__init__.py")
    }
    assert not (own - {"__init__", "__main__"}) & sys.stdlib_module_names


def test_pythons_own_ssl_is_importable() -> None:
    code = "import ssl, likewise; print(ssl.create_default_context().verify_mode.name)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "CERT_REQUIRED"


def _room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "likewise" and len(parts) > 1 else None


def _imports(file: Path) -> set[str]:
    """Rooms of likewise that a module imports, at any depth of its code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    rooms = {_room(name) for name in names}
    return {room for room in rooms if room in {each for layer in LAYERS for each in layer}}


def test_imports_go_one_way() -> None:
    level = {room: number for number, layer in enumerate(LAYERS) for room in layer}
    package = ROOT / "ssl" / "likewise"
    wrong = []
    for file in package.rglob("*.py"):
        own = file.relative_to(package).parts[0].removesuffix(".py")
        if own in ("__init__", "__main__"):
            continue
        wrong += [
            f"{file.relative_to(ROOT)} imports {room}"
            for room in _imports(file)
            if level[room] > level[own]
        ]
    assert not wrong


def test_every_module_has_a_place_in_the_layers() -> None:
    package = ROOT / "ssl" / "likewise"
    rooms = {path.stem for path in package.glob("*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    assert rooms - {"__init__", "__main__"} == {room for layer in LAYERS for room in layer}


def test_a_share_is_written_in_one_way() -> None:
    """As `likewise.wording` does: 4 %, not 4%."""
    for root in SOURCES:
        for file in root.rglob("*.py"):
            found = re.search(r":\.?\d?%\}", file.read_text("utf-8"))
            assert found is None, f"{file} formats {found}"


def test_learning_knows_nothing_of_the_app() -> None:
    for file in (ROOT / "ssl").rglob("*.py"):
        text = file.read_text("utf-8")
        assert "import streamlit" not in text
        assert "from likewise_labeler" not in text
