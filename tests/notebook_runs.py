"""Executes the example notebooks, as the tests do it; see docs/notebooks/README.md.

python -m tests.notebook_runs docs/notebooks/03-glyphs.ipynb    # write its outputs anew
"""

import argparse
import ast
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from benchmarks.answers.lite0_weights import write_weights

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
DATA = {"01-product-photos": "LIKEWISE_PHOTOS", "02-faces": "LIKEWISE_FACES", "03-glyphs": ""}
"""The variable that names the folder of images, by notebook."""
WEIGHTS = "LIKEWISE_WEIGHTS"
TIMEOUT = 1800
"""Seconds for a cell: a machine may be busy."""
_BUSY = re.compile(r"^\d+ of \d+ threads: .*\n?", re.MULTILINE)
"""What training says when others use the machine."""


def execute(notebook: Path, folder: Path, variables: Mapping[str, str]) -> nbformat.NotebookNode:
    """Run all cells in ``folder`` in a fresh kernel; the notebook's file stays as it is.

    Raises:
        CellExecutionError: a cell failed.
    """
    node = nbformat.read(notebook, as_version=4)
    weights = folder / "lite0.safetensors"
    write_weights(weights)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("LIKEWISE_")},
        WEIGHTS: str(weights),
        **variables,
    }
    client = NotebookClient(
        node,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
    )
    client.execute(env=environment)
    return tidy(node)


def tidy(node: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what differs from run to run and means nothing, and without emptied outputs."""
    node.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(node.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            for each in cell.outputs:
                if "text" in each:
                    each.text = _BUSY.sub("", each.text)
            cell.outputs = [each for each in cell.outputs if not _is_empty(each)]
            for each in cell.outputs:
                each.pop("transient", None)
    return node


def _is_empty(output: nbformat.NotebookNode) -> bool:
    if output.output_type == "stream":
        return not output.text.strip()
    return "data" in output and not any(output.data.values())


def figures_of(node: nbformat.NotebookNode) -> dict[str, Any]:
    """What the last cell shows: the figures of the notebook by name."""
    (output,) = code_cells(node)[-1].outputs
    found: dict[str, Any] = ast.literal_eval(output.data["text/plain"])
    return found


def code_cells(node: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells with code, in their order."""
    return [cell for cell in node.cells if cell.cell_type == "code"]


def kinds_of(node: nbformat.NotebookNode) -> list[list[tuple[str, ...]]]:
    """Of each cell with code what its outputs are made of; lines that were printed count as one."""
    kinds = []
    for cell in code_cells(node):
        shown = [(each.output_type, *sorted(each.get("data", {}))) for each in cell.outputs]
        kinds.append([each for n, each in enumerate(shown) if n == 0 or each != shown[n - 1]])
    return kinds


def noise_of(node: nbformat.NotebookNode) -> list[str]:
    """What was written to stderr, and errors."""
    outputs = [output for cell in code_cells(node) for output in cell.outputs]
    return [
        str(each) for each in outputs if each.output_type == "error" or each.get("name") == "stderr"
    ]


def texts_of(node: nbformat.NotebookNode) -> Iterator[str]:
    """All text of the outputs; pictures are left out."""
    for cell in code_cells(node):
        for output in cell.outputs:
            yield output.get("text", "")
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/"):
                    yield re.sub(r"data:image/\w+;base64,[A-Za-z0-9+/=]+", "", content)


def main() -> None:
    """Write the outputs of a notebook anew."""
    parser = argparse.ArgumentParser(description="write the outputs of a notebook anew")
    parser.add_argument("notebook", type=Path)
    notebook = parser.parse_args().notebook.resolve()
    variable = DATA[notebook.stem]
    given = {variable: os.environ[variable]} if os.environ.get(variable) else {}
    with tempfile.TemporaryDirectory(prefix="likewise-notebook-") as folder:
        node = execute(notebook, Path(folder), given)
    nbformat.write(node, notebook)


if __name__ == "__main__":
    main()
