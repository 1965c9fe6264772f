"""Checkpoints: as many as take little of the time."""

import time
from collections.abc import Callable

import pytest

from likewise.settings import Pretrain
from likewise.training import loop, saving
from likewise.training.pretrain import pretrain
from likewise.training.saving import Saving
from likewise.workspace import Workspace


def test_the_next_is_due_after_twenty_times_as_long_as_one_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    each = Saving()
    assert each.due()
    with each.writing():
        now[0] += 0.5
    assert not each.due()
    now[0] += 9.9
    assert not each.due()
    now[0] += 0.1
    assert each.due()
    with each.writing():
        pass
    assert each.due()


@pytest.mark.parametrize(("share", "saved"), [(0, [1, 2, 3, 4]), (10**9, [1, 4])])
def test_the_first_and_the_last_epoch_are_always_saved(
    share: int, saved: list[int], filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    original: Callable[[loop.Training, loop.Position], None] = loop.save_checkpoint

    def save(training: loop.Training, position: loop.Position) -> None:
        written.append(position.epoch)
        original(training, position)

    monkeypatch.setattr(saving, "SHARE", share)
    monkeypatch.setattr(loop, "save_checkpoint", save)
    settings = Pretrain(
        batch_size=13,
        epochs=4,
        projector_dim=32,
        predictor_dim=8,
        preset="natural",
        image_size=16,
        precision="float32",
        workers=0,
    )
    done = pretrain(filled, settings)
    assert written == saved
    assert len(done.metrics) == len(done.run.metrics()) == 4
