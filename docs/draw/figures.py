"""Draws the figures of the pages on concepts, with the code that they explain.

    likewise demo && python -m docs.draw.figures workspace

Takes the digits, and the embeddings before and after the answers, from the demo's workspace, which
it only reads. ``--only`` names some of the figures.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from docs.draw import gradient_figures, learning_figures, question_figures, use_figures
from docs.draw.setting import Setting
from likewise.workspace import Workspace

FIGURES: dict[str, Callable[[Setting], None]] = {
    "views": learning_figures.views,
    "health": learning_figures.health,
    "losses": gradient_figures.losses,
    "gradients": gradient_figures.gradients,
    "questions": question_figures.questions,
    "imbalance": question_figures.imbalance,
    "one-shot": use_figures.one_shot,
    "thresholds": use_figures.thresholds,
}


def main(arguments: list[str] | None = None) -> None:
    """Draw all, or some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/concepts"))
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES))
    parser.add_argument("--quick", action="store_true", help="fewer draws, for tests")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    setting = Setting(Workspace(options.workspace), options.out, options.quick)
    for name in options.only:
        FIGURES[name](setting)


if __name__ == "__main__":
    main()
