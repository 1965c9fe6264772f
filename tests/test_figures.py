"""The figures of the pages on concepts are those that are drawn, and can be drawn anew."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from docs.draw.figures import FIGURES, main
from docs.draw.gradient_figures import ANGLES, KINDS, LOSSES, descent
from likewise.api import Workspace
from likewise.images.samples import write_digits

CONCEPTS = Path(__file__).parents[1] / "docs" / "concepts"
KEPT = CONCEPTS.parent / "pictures" / "concepts"


def test_the_pages_show_the_figures_that_are_kept() -> None:
    text = "".join(each.read_text("utf-8") for each in CONCEPTS.glob("*.md"))
    shown = set(re.findall(r"\(\.\./pictures/concepts/([\w-]+)\.png\)", text))
    assert shown == set(FIGURES) == {each.stem for each in KEPT.iterdir()}


@pytest.mark.parametrize("name", LOSSES)
def test_arrows_lower_the_loss_and_leave_alone_what_is_unknown(name: str) -> None:
    points, steps = descent(LOSSES[name])
    lengths = steps.norm(dim=1)
    assert lengths.max() == pytest.approx(0.6)
    assert lengths[KINDS.index(-1)] == 0
    assert torch.allclose((points * steps).sum(dim=1), torch.zeros(len(ANGLES)), atol=1e-6)
    kinds = torch.tensor(KINDS)
    known = (kinds[:, None] >= 0) & (kinds[None, :] >= 0)
    relations = torch.where(known, torch.where(kinds[:, None] == kinds[None, :], 1, -1), 0)
    moved = torch.nn.functional.normalize(points + 0.02 * steps, dim=1)
    before, after = (LOSSES[name](each, relations.to(torch.int8)) for each in (points, moved))
    assert after < before


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_all_can_be_drawn_anew(tmp_path: Path) -> None:
    write_digits(tmp_path / "all")
    for number in "0123456789":
        (tmp_path / "few" / number).mkdir(parents=True)
        for file in sorted((tmp_path / "all" / number).iterdir())[:60]:
            file.rename(tmp_path / "few" / number / file.name)
    workspace = Workspace(tmp_path / "workspace")
    workspace.ingest(tmp_path / "few", hold_out=0.3)
    workspace.pretrain(epochs=2, precision="float32")
    workspace.embed(precision="float32")
    workspace.simulate(budget=60)
    workspace.finetune()
    workspace.embed(precision="float32")
    main([str(workspace.path), "--out", str(tmp_path / "out"), "--quick"])
    for name in FIGURES:
        picture = np.asarray(Image.open(tmp_path / "out" / f"{name}.png").convert("RGB"))
        assert picture.std() > 5, f"{name} is blank"
