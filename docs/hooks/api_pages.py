"""Pages about what Python calls return, and about functions on arrays: lists for mkdocstrings."""

import ast
from pathlib import Path

_API = Path(__file__).parents[2] / "ssl" / "likewise" / "api.py"

FUNCTIONS = (
    "likewise.training.losses",
    "likewise.evaluation.metrics",
    "likewise.evaluation.bootstrap",
    "likewise.evaluation.protocol",
    "likewise.answers.links",
    "likewise.inference.linkage",
    "likewise.inference.balance",
    "likewise.neighbours.search",
)
"""Modules of functions on arrays and tensors, which know nothing of a workspace."""


def pages() -> dict[str, str]:
    """Markdown of every page, by its place in the docs."""
    return {"reference/results.md": results(), "reference/functions.md": functions()}


def results() -> str:
    """What the methods of a workspace return."""
    parts = ["# What the methods return", ""]
    parts += [
        "Each is a frozen dataclass; `print(result.as_text())` says what the command says, "
        "`result.as_json()` is what it writes with `--json`.",
        "",
    ]
    for module, name in returned():
        parts += [f"::: {module}.{name}", "    options:", "      heading_level: 2", ""]
    return "\n".join(parts)


def functions() -> str:
    """The pure functions."""
    parts = ["# Functions on arrays", ""]
    parts += [
        "Losses, metrics and what follows from answers are plain functions on arrays and tensors. "
        "They can be used without a workspace. Letters in the types are sizes: `Float[Tensor, "
        '"B D"]` is a matrix of B rows and D columns.',
        "",
    ]
    for module in FUNCTIONS:
        parts += [f"## {module}", "", f"::: {module}", "    options:"]
        parts += ["      show_root_heading: false", "      show_root_toc_entry: false", ""]
    return "\n".join(parts)


def returned() -> list[tuple[str, str]]:
    """Module and name of each class that a method of `likewise.Workspace` returns."""
    tree = ast.parse(_API.read_text("utf-8"))
    modules = {
        name.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    names = [
        node.returns.value
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and isinstance(node.returns, ast.Constant)
    ]
    known = dict.fromkeys(str(name) for name in names if name in modules)
    return [(modules[name], name) for name in known]
