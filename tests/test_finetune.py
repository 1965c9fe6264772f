"""Fine-tuning: it learns the answers, measures honestly, and never uses what was not said."""

import signal
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from likewise.answers.belief import Belief, belief_of
from likewise.answers.holdout import split_answers
from likewise.answers.pool import Pool
from likewise.answers.reserved import CALIBRATION
from likewise.answers.standing import Answer, Verdict
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.images.ingest import ingest
from likewise.images.store import Images, open_images
from likewise.models.heads import untouched
from likewise.models.model_files import load_model, save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import runs_of, start_run
from likewise.settings import Finetune, Ingest, Loss
from likewise.training.answer_sampler import AnswerSampler
from likewise.training.backbone_gate import Judged
from likewise.training.finetune import finetune
from likewise.training.gate import Learnt
from likewise.training.held_out import measures_of, scores_by
from likewise.training.spread import Spread
from likewise.training.tuning import Tuning
from likewise.workspace import Workspace

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = {
    "depth": "backbone",
    "precision": "float32",
    "workers": 0,
    "threads": 1,
    "steps": 50,
    "batch_size": 16,
    "hold_out": 0.25,
}


def settings(**changes: object) -> Finetune:
    return Finetune(**(SETTINGS | changes))  # type: ignore[arg-type]


@pytest.fixture
def stripes(workspace: Workspace, tmp_path: Path) -> Workspace:
    """48 noisy pictures; what people mean by similar is the stripes' direction, not the colour."""
    rng = np.random.default_rng(0)
    for number in range(48):
        period, phase = rng.uniform(5, 8), rng.uniform(0, 6)
        line = (np.sin(np.arange(24) * 2 * np.pi / period + phase) + 1) / 2
        grid = np.tile(line, (24, 1)) if number % 2 else np.tile(line[:, None], (1, 24))
        picture = grid[..., None] * rng.uniform(80, 255, 3) + rng.normal(0, 12, (24, 24, 3))
        folder = tmp_path / "in" / ("down" if number % 2 else "across")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = picture.clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    torch.manual_seed(0)
    run = start_run(workspace, "pretrain", {"preset": "glyph"}, name=None)
    save_model(run.model_file, build_backbone("small", image_size=24))
    return workspace


def kind(images: Images, image_id: str) -> str:
    return images.path(images.positions[image_id]).parent.name


def give_answers(workspace: Workspace, count: int, unsure: int = 0, *, blind: bool = False) -> None:
    images = open_images(workspace)
    rng = np.random.default_rng(1)
    given = []
    for number in range(count + unsure):
        a, b = (str(each) for each in rng.choice(images.ids, 2, replace=False))
        alike = bool(rng.integers(2)) if blind else kind(images, a) == kind(images, b)
        same: Verdict = "similar" if alike else "dissimilar"
        given.append(NewAnswer(a, b, "unsure" if number >= count else same, "test"))
    with open_answers(workspace) as store:
        store.add(given)


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "supcon"])
def test_every_loss_teaches_what_people_mean(stripes: Workspace, loss: Loss) -> None:
    give_answers(stripes, 60)
    told = finetune(stripes, settings(loss=loss, hold_out=0.0)).as_json()
    assert told["loss"] == loss
    assert told["answers"] == 58  # two pairs were drawn twice; the later answer stands
    images = open_images(stripes)
    same = [[kind(images, a) == kind(images, b) for b in images.ids] for a in images.ids]
    truth = [
        Answer(a, b, "similar" if same[i][j] else "dissimilar", "test", NOW, "", None, "", 1)
        for i, a in enumerate(images.ids.tolist())
        for j, b in enumerate(images.ids.tolist())
        if i < j
    ]
    run = runs_of(stripes)
    before, after = (
        measures_of(scores_by(load_model(each.model_file), images, truth), truth)["auc"]
        for each in run
    )
    assert before is not None
    assert after is not None
    assert before < 0.8
    assert after > 0.95


def test_adapters_learn_too_and_leave_a_plain_net(
    stripes: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Judged, "passed", True)
    give_answers(stripes, 60)
    told = finetune(stripes, settings(depth="adapters", lr=1e-2, steps=100))
    assert told.depth == "adapters"
    assert (told.after["auc"] or 0) > (told.before["auc"] or 1)
    first, tuned = (load_model(each.model_file) for each in runs_of(stripes))
    assert tuned.net.state_dict().keys() == first.net.state_dict().keys()
    norms = [key for key in first.net.state_dict() if key.endswith("running_mean")]
    assert norms
    assert all(
        torch.equal(tuned.net.state_dict()[key], first.net.state_dict()[key]) for key in norms
    )


def test_before_and_after_come_from_answers_nobody_trained_on(
    stripes: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_answers(stripes, 30, unsure=5)
    images = open_images(stripes)
    shown: list[set[str]] = []
    original = Tuning.loss_of

    def watched(self: Tuning, request: object, views: torch.Tensor) -> object:
        shown[-1].update(str(images.ids[row]) for row in request.rows)  # type: ignore[attr-defined]
        return original(self, request, views)  # type: ignore[arg-type]

    run = Tuning.run

    def started(self: Tuning) -> str:
        shown.append(set())
        return run(self)

    monkeypatch.setattr(Judged, "passed", True)

    monkeypatch.setattr(Tuning, "loss_of", watched)
    monkeypatch.setattr(Tuning, "run", started)
    done = finetune(stripes, settings())
    with open_answers(stripes) as store:
        answers = [each for each in store.current() if each.verdict != "unsure"]
    learnt, held_out = split_answers(answers, 0.25, seed=0)
    measured = {image for each in held_out for image in each.pair}
    assert held_out
    assert done.before["answers"] == done.after["answers"] == len(held_out)
    assert len(shown) == 2  # a copy to measure, then the one that is kept
    assert not shown[0] & measured
    assert shown[0] <= {image for each in learnt for image in each.pair}
    assert shown[1] == {image for each in answers for image in each.pair}
    assert done.after["auc"] is not None


def test_a_net_that_is_not_surely_better_is_not_used(stripes: Workspace) -> None:
    give_answers(stripes, 60, blind=True)
    done = finetune(stripes, settings(steps=25))
    parent, attempt = runs_of(stripes)
    assert done.kept
    assert (done.run.name, done.fingerprint) == (parent.name, parent.fingerprint)
    assert attempt.kept
    assert not attempt.finished
    assert not list(attempt.folder.rglob("*.safetensors"))
    first, *_, last = done.as_text().splitlines()
    assert first.startswith("pretrain-1 stays in use, no new model: on answers that it had not")
    assert last == "next: `likewise label`; more answers may change that"
    again = finetune(stripes, settings(steps=25))
    assert [each.name for each in runs_of(stripes)][1:] == ["finetune-1", "finetune-2"]
    assert again.why_kept == done.why_kept


@pytest.mark.parametrize("depth", ["head", "backbone"])
def test_answers_kept_for_calibration_teach_nothing(
    stripes: Workspace, monkeypatch: pytest.MonkeyPatch, depth: str
) -> None:
    """Nor does what a second person said of their pairs."""
    give_answers(stripes, 40)
    with open_answers(stripes) as store:
        given = store.settled()
        spare = [each for each in given[:6] if each.strategy != CALIBRATION]
        store.add(
            [NewAnswer(e.a, e.b, e.verdict, "other", strategy=CALIBRATION) for e in spare[:3]]
            + [NewAnswer(e.a, e.b, e.verdict, "test", strategy=CALIBRATION) for e in spare[3:]]
        )
    kept = {each.pair for each in spare}
    taught: list[set[tuple[str, str]]] = []
    tuning = Tuning.__init__

    def tuned(self: object, images: object, answers: list[Answer], *rest: object) -> None:
        taught.append({each.pair for each in answers})
        tuning(self, images, answers, *rest)  # type: ignore[arg-type]

    def believed(pool: Pool, answers: list[Answer]) -> Belief:
        taught.append({each.pair for each in answers})
        return belief_of(pool, answers)

    monkeypatch.setattr(Tuning, "__init__", tuned)
    monkeypatch.setattr("likewise.training.answered.belief_of", believed)
    done = finetune(stripes, settings(depth=depth, hold_out=0.3, steps=25, spread=5))
    assert len(taught) >= 2
    assert not set.union(*taught) & kept
    assert done.answers == len({each.pair for each in given} - kept)


def test_an_interrupted_run_goes_on_exactly(stripes: Workspace) -> None:
    give_answers(stripes, 30)
    whole = finetune(stripes, settings(hold_out=0.0))
    original = torch.optim.AdamW.step
    left = 30

    def step(optimizer: torch.optim.AdamW) -> None:
        nonlocal left
        original(optimizer)
        left -= 1
        if left == 0:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", lambda optimizer: step(optimizer))
        with pytest.raises(KeyboardInterrupt):
            finetune(stripes, settings(hold_out=0.0))
    resumed = finetune(stripes, settings(hold_out=0.0))
    assert (whole.run.name, resumed.run.name) == ("finetune-1", "finetune-2")
    assert resumed.fingerprint == whole.fingerprint


def test_batches_hold_related_images_and_every_answer_has_its_turn(
    stripes: Workspace,
) -> None:
    give_answers(stripes, 40)
    images = open_images(stripes)
    with open_answers(stripes) as store:
        answers = store.current()
    sampler = AnswerSampler(answers, images.positions, batch_size=10, seed=3)
    pairs = {tuple(images.positions[each] for each in answer.pair) for answer in answers}
    batches = [batch for epoch in range(8) for batch in sampler.plan(epoch)]
    met = set()
    for batch in batches:
        rows = set(batch.tolist())
        assert 2 <= len(rows) == len(batch) <= 10
        inside = {pair for pair in pairs if set(pair) <= rows}
        assert len(inside) >= 4
        met |= inside
    assert met == pairs
    again = AnswerSampler(answers, images.positions, batch_size=10, seed=3).plan(5)
    assert all(np.array_equal(a, b) for a, b in zip(again, sampler.plan(5), strict=True))


def test_too_few_answers_are_told(stripes: Workspace) -> None:
    with pytest.raises(LikewiseError, match="0 similar or dissimilar answers are too few"):
        finetune(stripes, settings())
    give_answers(stripes, 4, unsure=20)
    with pytest.raises(LikewiseError, match="4 similar"):
        finetune(stripes, settings())
    assert [run.kind for run in runs_of(stripes)] == ["pretrain"]


def test_spread_answers_and_simsiam_join_in(
    stripes: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_answers(stripes, 40)
    images = open_images(stripes)
    with open_answers(stripes) as store:
        answers = store.settled()
    asked = {image for each in answers for image in each.pair}
    left = [str(each) for each in images.ids if str(each) not in asked]
    assert left
    told = Spread(np.zeros(48, np.int64), np.ones(48))
    monkeypatch.setattr(
        "likewise.training.answered.learn_from", lambda *_: Learnt(untouched(256), told, (), None)
    )
    taught: list[set[str]] = []
    original = Tuning.__init__

    def watched(self: object, images: object, answers: list[Answer], *rest: object) -> None:
        taught.append({image for each in answers for image in each.pair})
        original(self, images, answers, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Tuning, "__init__", watched)
    plain = finetune(stripes, settings(hold_out=0.0, steps=25))
    done = finetune(stripes, settings(hold_out=0.0, steps=25, spread=100, simsiam=0.5))
    assert taught == [asked, asked | set(left)]
    assert done.fingerprint != plain.fingerprint
    assert load_model(done.run.model_file).dim == 256


def test_with_nothing_to_measure_it_says_so(stripes: Workspace) -> None:
    give_answers(stripes, 12)
    done = finetune(stripes, settings(hold_out=0.0, steps=25))
    assert done.after["auc"] is None
    assert "not measured" in done.as_text()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hold_out": 1.0}, "--hold-out"),
        ({"steps": 0}, "--steps"),
        ({"margin": 0.0}, "--margin"),
        ({"simsiam": -1.0}, "--simsiam"),
        ({"model": "nothing"}, "no run"),
    ],
)
def test_wrong_settings_are_told(stripes: Workspace, changes: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        finetune(stripes, settings(**changes))
