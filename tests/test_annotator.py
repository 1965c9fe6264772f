from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.answers.standing import Answer
from likewise.answers.store import open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.evaluation.annotator import is_mistaken, simulate, true_verdict
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.neighbours.vectors import write_embeddings
from likewise.settings import Ingest, Simulate
from likewise.workspace import Workspace


@pytest.fixture
def labelled(workspace: Workspace, tmp_path: Path, picture: Any) -> Workspace:
    """Thirty images of three classes with vectors, a third of them held out."""
    for seed in range(30):
        picture(tmp_path / "photos" / f"class{seed % 3}" / f"{seed}.png", seed, (12, 12))
    ingest(workspace, Ingest(images=(tmp_path / "photos",), hold_out=0.33, workers=1))
    ids = open_images(workspace).ids
    vectors = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(workspace, iter([vectors]), ids, 8, "fingerprint", "run-1")
    return workspace


def answers_of(workspace: Workspace) -> list[Answer]:
    with open_answers(workspace) as store:
        return store.current()


def class_of(workspace: Workspace) -> dict[str, str]:
    images = open_images(workspace)
    return {str(images.ids[row]): images.path(row).parent.name for row in range(len(images))}


SIDE_QUESTIONS = {("cover-place-spread", "calibration"), ("cover-place-spread", "audit")}


@pytest.mark.parametrize("strategy", ["cover-place-spread", "neighbours", "random"])
def test_answers_are_true_and_never_about_held_out_images(
    labelled: Workspace, strategy: Any
) -> None:
    result = simulate(labelled, Simulate(budget=12, strategy=strategy, annotator="robot"))
    answers, classes, images = answers_of(labelled), class_of(labelled), open_images(labelled)
    held_out = set(images.ids[images.held_out].tolist())
    assert held_out
    assert result.as_json() == {
        "answers": len(answers),
        "similar": sum(each.verdict == "similar" for each in answers),
        "dissimilar": sum(each.verdict == "dissimilar" for each in answers),
        "unsure": 0,
        "strategy": strategy,
        "asked": dict(Counter(each.strategy for each in answers).most_common()),
        "wrong": 0,
    }
    assert f"{strategy} {result.asked[strategy]}" in result.as_text()
    assert len(answers) == 12
    for each in answers:
        assert each.verdict == true_verdict(classes[each.a], classes[each.b])
        assert not {each.a, each.b} & held_out
        assert (each.annotator, each.fingerprint) == ("robot", "fingerprint")
        assert each.strategy == strategy or (strategy, each.strategy) in SIDE_QUESTIONS
        assert each.score is not None


def test_running_again_goes_on(labelled: Workspace) -> None:
    simulate(labelled, Simulate(budget=5))
    first = {each.pair for each in answers_of(labelled)}
    assert simulate(labelled, Simulate(budget=5)).answers == 5
    both = [each.pair for each in answers_of(labelled)]
    assert len(both) == len(set(both)) == 10
    assert first < set(both)


def test_it_stops_when_nothing_is_left_to_ask(labelled: Workspace) -> None:
    result = simulate(labelled, Simulate(budget=1000, strategy="random"))
    assert result.answers < 300
    assert "every pair is now answered" in result.as_text()
    assert simulate(labelled, Simulate(budget=5)).answers == 0


def test_unknown_classes_make_it_unsure(labelled: Workspace, tmp_path: Path) -> None:
    ids = list(class_of(labelled))
    truth = tmp_path / "truth.csv"
    truth.write_text(f"id,class\n{ids[0]},a\n")
    result = simulate(labelled, Simulate(budget=6, noise=1.0, truth=str(truth)))
    assert (result.unsure, result.wrong) == (6, 0)


def test_noise_turns_the_answers_it_hits(labelled: Workspace) -> None:
    result = simulate(labelled, Simulate(budget=40, noise=0.4, strategy="random", seed=1))
    classes = class_of(labelled)
    for each in answers_of(labelled):
        right = true_verdict(classes[each.a], classes[each.b])
        assert (each.verdict != right) == is_mistaken(each.pair, 0.4, seed=1)
    assert 0 < result.wrong < result.answers


def test_errors_belong_to_the_pair() -> None:
    pairs = [(f"{one:032x}", f"{other:032x}") for one in range(60) for other in range(one)]
    few = {pair for pair in pairs if is_mistaken(pair, 0.1, seed=0)}
    many = {pair for pair in pairs if is_mistaken(pair, 0.3, seed=0)}
    assert few < many
    assert len(few) / len(pairs) == pytest.approx(0.1, abs=0.025)
    assert few == {(a, b) for a, b in pairs if is_mistaken((b, a), 0.1, seed=0)}
    assert few != {pair for pair in pairs if is_mistaken(pair, 0.1, seed=1)}
    assert not any(is_mistaken(pair, 0.0, 0) for pair in pairs)
    assert all(is_mistaken(pair, 1.0, 0) for pair in pairs)


@pytest.mark.parametrize("wrong", [{"budget": 0}, {"noise": 1.5}, {"noise": -0.1}])
def test_wrong_settings(workspace: Workspace, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--"):
        simulate(workspace, Simulate(**wrong))


def test_without_embeddings(workspace: Workspace, tmp_path: Path, picture: Any) -> None:
    picture(tmp_path / "photos" / "a.png")
    ingest(workspace, Ingest(images=(tmp_path / "photos",), workers=1))
    with pytest.raises(LikewiseError, match="no embeddings yet"):
        simulate(workspace, Simulate())
