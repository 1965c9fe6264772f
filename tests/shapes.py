"""Shapes and types of arrays are checked at run time, wherever a module of ours tells them."""

from pathlib import Path

from jaxtyping import install_import_hook

INNERMOST = {
    f"likewise.answers.{name}" for name in ("asked", "explaining", "likeness", "partition", "views")
}
"""Called thousands of times for one answer: there the checks would take as long as the work."""
ROOTS = [Path(__file__).parents[1] / name for name in ("ssl", "labeler")]


def told() -> list[str]:
    """The modules whose signatures tell shapes.

    The others have plain types, which mypy proves; checking those too would double the time.
    """
    found = {
        ".".join(file.relative_to(root).with_suffix("").parts)
        for root in ROOTS
        for file in root.rglob("*.py")
        if "from jaxtyping import" in file.read_text(encoding="utf-8")
    }
    assert found >= INNERMOST
    return sorted(found - INNERMOST)


def check() -> None:
    """From now on whatever is imported of these checks its arguments and results."""
    install_import_hook(told(), "beartype.beartype")
