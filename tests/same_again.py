"""The whole loop in small, and everything that came of it, as JSON.

python -m tests.same_again FOLDER IMAGES SEED [deep]
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import likewise
from likewise.answers.proposals import proposer_for
from likewise.answers.questions import Questions, Reply
from likewise.answers.standing import VERDICTS
from likewise.answers.store import AnswerStore, open_answers
from likewise.neighbours.vectors import load_embeddings

SETTLED: dict[str, Any] = {"threads": 1, "precision": "float32", "device": "cpu"}
EPOCHS = 1


def asked(folder: Path, seed: int) -> list[Any]:
    """Thirty screens of one person, of each of two ways to ask."""
    embeddings = load_embeddings(likewise.Workspace(folder))
    proposer = proposer_for("cover-place-spread", embeddings, set(), seed)
    noon, found = datetime(2026, 1, 1, tzinfo=UTC), []
    with AnswerStore("sqlite://" if seed < 0 else f"sqlite:///{folder / 'asked.db'}") as store:
        images = set(embeddings.positions)
        questions = Questions(store, proposer, images, "f", clock=lambda: noon)
        for number in range(30):
            screen = questions.hand("ada", "grid" if number % 5 == 4 else "pair")[0]
            found.append([screen.kind, screen.anchor, screen.candidates, screen.reason])
            verdicts = {
                each: VERDICTS[(place + number) % 3] for place, each in enumerate(screen.candidates)
            }
            questions.answer("ada", Reply(screen.token, verdicts, 2.0))
    return found


def everything(folder: Path, images: Path, seed: int, deep: bool) -> dict[str, Any]:
    """Run it, with ``deep`` all of it; times and speeds are left out."""
    workspace = likewise.Workspace(folder)
    workspace.ingest(images, workers=1)
    pretrained = workspace.pretrain(epochs=EPOCHS, batch_size=16, seed=seed, workers=0, **SETTLED)
    workspace.embed(**SETTLED)
    workspace.simulate(budget=40, noise=0.05, seed=seed)
    tuned = workspace.finetune(seed=seed, **SETTLED)
    with open_answers(workspace) as store:
        answers = [
            (*each.pair, each.verdict, each.strategy, each.score) for each in store.current()
        ]
    found: dict[str, Any] = {
        "pretrained": pretrained.fingerprint,
        "loss": [row["loss"] for row in pretrained.metrics],
        "answers": answers,
        "asked": asked(folder, seed),
        "tuned": [tuned.fingerprint, tuned.kept, tuned.blend, tuned.before, tuned.after],
    }
    if deep:
        net = workspace.finetune(
            depth="backbone", steps=4, seed=seed, workers=0, model=pretrained.run.name, **SETTLED
        )
        workspace.embed(model=pretrained.run.name, **SETTLED)
        found["net"] = [net.fingerprint, net.kept, net.before, net.after]
        found["evaluated"] = workspace.evaluate(bootstrap=20).as_json()
        found["groups"] = workspace.groups().as_json()
    return found


if __name__ == "__main__":
    given = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    found = everything(*given, deep="deep" in sys.argv[4:])
    told = json.dumps(found, sort_keys=True).replace(sys.argv[1], "WORKSPACE")
    sys.stdout.write(told)
