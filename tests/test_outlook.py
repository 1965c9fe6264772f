import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from streamlit.testing.v1 import AppTest

from likewise.answers import quality as quality_module
from likewise.answers.agreement import Agreement, agreement
from likewise.answers.ledger import Ledger
from likewise.answers.outlook import Outlook, outlook, people, per_day, per_minute, rounded
from likewise.answers.placing import PATIENCE
from likewise.answers.quality import (
    FEWEST,
    Model,
    Quality,
    auc,
    auc_interval,
    known_to,
    models_of,
    new_to,
    quality,
)
from likewise.answers.standing import Answer, Entry, Undo, Verdict
from likewise.answers.store import NewAnswer, open_answers
from likewise.evaluation import metrics
from likewise.evaluation.bootstrap import Pairs, pair_intervals
from likewise.images.store import open_images
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.workspace import Workspace
from likewise_labeler import progress_charts as charts
from likewise_labeler import progress_words as words

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
VERDICTS: list[Verdict] = ["similar", "dissimilar", "unsure"]


def answer(
    number: int,
    a: str,
    b: str,
    verdict: Verdict = "similar",
    name: str = "ada",
    after: float = 0.0,
    strategy: str = "",
) -> Answer:
    """``after`` in seconds from noon."""
    time = NOON + timedelta(seconds=after)
    return Answer(min(a, b), max(a, b), verdict, name, time, strategy, None, "", number)


def at(*seconds: float) -> list[datetime]:
    return [NOON + timedelta(seconds=each) for each in seconds]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], None),
        ([0, 5, 10], None),
        ([0, 5, 10, 15], 12.0),
        ([0, 10, 20, 30, 30 + 3600, 3640, 3650, 3660], 6.0),
        ([0, *[60] * 24, *[120] * 24, *[180] * 24], 24.0),
        ([0, 120, 240, 360], 0.5),
        ([0, 121, 242, 363], None),
    ],
)
def test_the_pace_is_that_of_work_not_of_pauses(
    seconds: list[float], expected: float | None
) -> None:
    assert per_minute(at(*seconds)) == (None if expected is None else pytest.approx(expected))
    assert per_minute(reversed(at(*seconds))) == per_minute(at(*seconds))


def test_people_come_with_their_shares_and_files_have_no_pace() -> None:
    verdicts: list[Verdict] = ["similar", "similar", "dissimilar", "unsure"]
    said = [answer(n, "a", f"{n}", each, after=10.0 * n) for n, each in enumerate(verdicts, 1)]
    said += [
        answer(n, "b", f"{n}", "dissimilar", "bob", after=-86400 + n, strategy="import")
        for n in range(5, 11)
    ]
    said.append(answer(11, "a", "b", "similar", "truth", strategy="gold"))
    bob, ada = people(said, NOON + timedelta(minutes=1))
    assert (ada.name, ada.answers, ada.today) == ("ada", 4, 4)
    assert ada.shares == {"similar": 0.5, "dissimilar": 0.25, "unsure": 0.25}
    assert ada.per_minute == pytest.approx(6)
    assert ada.last == NOON + timedelta(seconds=40)
    assert (bob.name, bob.answers, bob.today, bob.per_minute) == ("bob", 6, 0, None)
    assert [(each.name, each.answers) for each in per_day(said)] == [("bob", 6), ("ada", 4)]
    days = [each.day for each in per_day(said)]
    assert days[1] - days[0] == timedelta(days=1)


images = st.sampled_from([f"{number:02}" for number in range(12)])


@given(st.lists(st.tuples(images, images, st.sampled_from(VERDICTS)), max_size=40))
@settings(max_examples=100, deadline=None)
def test_images_are_placed_by_a_group_or_by_many_answers(
    steps: list[tuple[str, str, Verdict]],
) -> None:
    settled = [answer(n, a, b, v) for n, (a, b, v) in enumerate(steps) if a != b]
    asked = {f"{number:02}" for number in range(10)}

    def placed(answers: Sequence[Answer]) -> int:
        groups = Ledger(
            [answer(n, e.a, e.b, e.verdict, name=f"{n}") for n, e in enumerate(answers, 1)]
        )
        links = groups.links if len({e.pair for e in answers}) == len(answers) else None
        if links is None:
            return -1
        counts = [sum(image in each.pair for each in answers) for image in sorted(asked)]
        return sum(
            len(links.group_of(image)) > 1 or count >= PATIENCE
            for image, count in zip(sorted(asked), counts, strict=True)
        )

    expected = placed(settled)
    found = outlook(settled, asked)
    assert found.images == 10
    if expected < 0:
        return
    assert found.placed == expected
    assert found.window == len(settled) // 2
    assert found.placed_lately == expected - placed(settled[: len(settled) - found.window])


def test_answers_left_follow_the_last_ones() -> None:
    """Ten wasted answers, then two answers for each image that is placed."""
    settled = [answer(n, f"w{n}", f"v{n}", "dissimilar") for n in range(10)]
    for n in range(10):
        settled += [
            answer(100 + n, "g", f"{n:02}", "similar"),
            answer(200 + n, "h", f"{n:02}", "dissimilar"),
        ]
    pool = [f"{n:02}" for n in range(40)]
    found = outlook(settled, pool)
    assert (found.window, found.placed, found.placed_lately) == (15, 10, 7)
    assert found.left == round(30 * 15 / 7)
    assert outlook(settled[:12], pool).left is None
    assert outlook(settled, pool[:10]).left == 0
    assert outlook([], pool) == Outlook(40, 0, 0, 0, None)


@pytest.mark.parametrize(
    ("count", "shown"), [(0, 0), (7, 7), (99, 99), (104, 100), (1251, 1300), (98_765, 99_000)]
)
def test_estimates_are_rounded(count: int, shown: int) -> None:
    assert rounded(count) == shown


scored = st.lists(
    st.tuples(st.integers(-5, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=40
)


@given(scored)
@settings(max_examples=100, deadline=None)
def test_auc_is_sklearns(pairs: list[tuple[int, bool, int]]) -> None:
    scores = np.array([each[0] / 5 for each in pairs])
    same = np.array([each[1] for each in pairs])
    weights = np.array([float(each[2]) for each in pairs])
    if 0 < same.sum() < len(same):
        assert auc(scores, same) == pytest.approx(roc_auc_score(same, scores))
        assert auc(scores, same) == pytest.approx(metrics.auc(metrics.roc(scores, same)))
    else:
        assert np.isnan(auc(scores, same))
    if (weights * same).sum() and (weights * ~same).sum():
        expected = roc_auc_score(same, scores, sample_weight=weights)
        assert auc(scores, same, weights) == pytest.approx(expected)


def test_the_interval_is_that_of_the_evaluation() -> None:
    """The same bootstrap as `likewise evaluate`, which is tested for its coverage."""
    rng = np.random.default_rng(0)
    first, second = np.triu_indices(40, k=1)
    same = rng.random(len(first)) < 0.3
    scores = rng.normal(size=len(first)) + same
    low, high = auc_interval(scores, same, first, second, seed=1)
    draws = [rng.multinomial(40, np.full(40, 1 / 40)) for _ in range(800)]
    (least, most), _ = pair_intervals(
        scores, Pairs(first, second, same), np.array(draws, dtype=np.float64)
    )
    assert low == pytest.approx(least, abs=0.012)
    assert high == pytest.approx(most, abs=0.012)
    assert low < auc(scores, same) < high
    assert (low, high) == auc_interval(scores, same, first, second, seed=1)


def model(name: str = "m", began: float = 0.0, learnt: bool = True) -> Model:
    return Model(name, name, NOON + timedelta(seconds=began), learnt)


def test_a_model_knows_what_was_stored_before_its_run_began() -> None:
    history: list[Entry] = [
        answer(1, "a", "b", after=-50),
        answer(2, "c", "d", after=9000, strategy="import"),
        answer(3, "e", "f", after=-10),
        answer(4, "g", "h", after=-9000, strategy="import"),
        Undo(1, "ada", NOON + timedelta(seconds=20), 5),
        answer(6, "i", "j", after=30),
        answer(7, "k", "l", after=-30),
    ]
    assert [each.number for each in known_to(model(), history)] == [1, 2, 3, 4]
    assert [each.number for each in known_to(model(began=25), history)] == [1, 2, 3, 4, 5]
    assert known_to(model(began=100), history) == history
    assert known_to(model(began=-100), history) == []
    assert known_to(model(began=100, learnt=False), history) == []


def test_new_to_a_model_is_what_was_neither_answered_nor_implied() -> None:
    before: list[Entry] = [
        answer(1, "a", "b", "similar", after=-9),
        answer(2, "b", "c", "similar", after=-8),
        answer(3, "c", "d", "dissimilar", after=-7),
        answer(4, "e", "f", "unsure", after=-6),
        answer(5, "g", "h", "similar", after=-5),
    ]
    after: list[Entry] = [
        answer(6, "a", "c", "similar", "bob", after=6),  # implied
        answer(7, "a", "d", "dissimilar", "bob", after=7),  # implied
        answer(8, "e", "f", "similar", "bob", after=8),  # answered, unsure then
        answer(9, "g", "h", "dissimilar", after=9),  # corrected
        answer(10, "a", "g", "dissimilar", after=10),
        answer(11, "x", "y", "similar", after=11),
        answer(12, "x", "z", "unsure", after=12),
    ]
    settled = Ledger([*before, *after]).settled()
    found = new_to(model(), [*before, *after], settled)
    assert [each.number for each in found] == [10, 11]
    everything = new_to(model(learnt=False), [*before, *after], settled)
    assert everything == [each for each in settled if each.verdict != "unsure"]


def embeddings_of(folder: Path, vectors: np.ndarray) -> Embeddings:
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = np.array([f"{row:04}" for row in range(len(vectors))])
    return Embeddings(folder=folder, fingerprint="f", model="m", ids=ids, vectors=vectors)


def test_quality_is_the_auc_of_the_vectors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    embeddings = embeddings_of(tmp_path, rng.normal(size=(3000, 4)))
    pairs = [(f"{n:04}", f"{n + 1500:04}") for n in range(1500)]
    scores = np.array([float(embeddings.vectors[n] @ embeddings.vectors[n + 1500]) for n in
                       range(1500)])  # fmt: skip
    same = rng.random(1500) < 1 / (1 + np.exp(-3 * scores))
    said = [
        answer(n, *pair, "similar" if alike else "dissimilar")
        for n, (pair, alike) in enumerate(zip(pairs, same, strict=True))
    ]
    gone = [answer(9999, "0001", "no such image")]
    found = quality(embeddings, [*said, *gone])
    assert (found.similar, found.dissimilar) == (int(same.sum()), int((~same).sum()))
    assert found.auc == pytest.approx(roc_auc_score(same, scores), abs=1e-6)
    assert found.low is not None
    assert found.high is not None
    assert found.low < roc_auc_score(same, scores) < found.high
    few = [*[e for e in said if e.verdict == "similar"][: FEWEST - 1],
           *[e for e in said if e.verdict == "dissimilar"]]  # fmt: skip
    assert quality(embeddings, few).auc is None
    assert quality(embeddings, []) == Quality(0, 0, None)


def test_only_the_newest_pairs_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_module, "MOST", 60)
    embeddings = embeddings_of(tmp_path, np.eye(100) + 0.1)
    said = [
        answer(n, f"{n // 2:04}", f"{99 - n // 7:04}", "similar" if n % 2 else "dissimilar")
        for n in range(80)
    ]
    found = quality(embeddings, said)
    assert (found.similar, found.dissimilar) == (30, 30)
    assert found == quality(embeddings, said[20:])


def start_run(workspace: Workspace, name: str, kind: str, started: datetime) -> None:
    folder = workspace.runs / name
    folder.mkdir(parents=True)
    config = {"format": 1, "kind": kind, "settings": {}, "parent": None}
    (folder / "config.json").write_text(json.dumps(config | {"started": started.isoformat()}))


def test_models_are_read_from_the_folders_without_torch(ready: Workspace) -> None:
    (unknown,) = models_of(ready)
    assert (unknown.name, unknown.fingerprint, unknown.learnt) == ("run-1", "f1", True)
    start_run(ready, "run-1", "pretrain", NOON)
    assert models_of(ready) == [Model("run-1", "f1", NOON, learnt=False)]
    measured = {"before": {"auc": 0.5, "answers": 12}, "after": {"auc": 0.75, "answers": 12}}
    (ready.runs / "run-1" / "measured.json").write_text(json.dumps(measured))
    assert models_of(ready)[0].after == 0.75
    assert words.held_out_words(models_of(ready)[0]) == "0.500 → 0.750 on 12 answers"


# The words


def many(count: int, name: str, verdicts: Sequence[Verdict], start: int = 1) -> list[Answer]:
    return [
        answer(start + n, f"{n:03}", f"{n + 500:03}", verdicts[n % len(verdicts)], name, 5.0 * n)
        for n in range(count)
    ]


def test_agreement_is_told_in_plain_words_and_what_is_missing() -> None:
    alone = agreement(Ledger(many(50, "ada", ["similar", "dissimilar"])))
    assert "Nobody else" in words.agreement_words(alone.overall, 1)
    assert "No pair was read by two people yet" in words.agreement_words(alone.overall, 2)

    def told(second: Sequence[Verdict]) -> str:
        rows = [*many(60, "ada", ["similar", "dissimilar"]), *many(60, "bob", second, 61)]
        return words.agreement_words(agreement(Ledger(rows)).overall, 2)

    assert "nearly the same" in told(["similar", "dissimilar"])
    assert "little more than by chance" in told(["similar", "similar", "dissimilar", "dissimilar"])
    assert "100 % of the verdicts agree" in told(["similar", "dissimilar"])
    few = [*many(10, "ada", ["similar", "dissimilar"]), *many(10, "bob", VERDICTS[:2], 11)]
    assert "rough" in words.agreement_words(agreement(Ledger(few)).overall, 2)


def test_the_estimate_says_how_it_was_made() -> None:
    text = words.left_words(Outlook(1000, 400, 500, 100, 3012))
    assert "600 of 1,000 images have no place yet" in text
    assert "last 500 answers placed 100 images" in text
    assert "about 3,000 more" in text
    assert "With more answers" in words.left_words(Outlook(1000, 4, 5, 1, None))
    assert "Every image has its place" in words.left_words(Outlook(9, 9, 5, 5, 0))


def test_nobody_is_told_to_stop_and_to_give_thousands_of_answers() -> None:
    view, nobody = Outlook(1000, 400, 500, 100, 3012), agreement(Ledger([]))
    card = words.cards([], nobody, view, 12, stop=True)[-1]
    assert (card.label, card.figure, card.note) == ("Answers left", words.NONE, "worth stopping")
    text = words.left_words(view, stop=True)
    assert "600 of 1,000 images have no place yet" in text
    assert "3,0" not in text
    placed = Outlook(9, 9, 5, 5, 0)
    assert words.cards([], nobody, placed, 1, stop=True)[-1].figure == "0"
    assert words.left_words(placed, stop=True) == words.left_words(placed)


def test_models_are_only_compared_on_the_same_pairs() -> None:
    good, missing = Quality(30, 40, 0.9, 0.8, 0.95), Quality(3, 40, None)
    two = [(model("one"), good), (model("two"), good)]
    assert "may be compared" in words.quality_words(two, same=True)
    assert "same 70 pairs" in words.quality_words(two, same=True)
    assert "compare with care" in words.quality_words(two, same=False)
    alone = words.quality_words([(model(), good), (model(), missing)], same=False)
    assert "compare" not in alone
    assert f"{FEWEST} similar and {FEWEST} dissimilar" in words.quality_words(
        [(model(), missing)], same=False
    )
    assert words.quality_note(model(), missing).startswith("too few new answers: 3 similar")
    assert charts.quality_chart([(model(), missing)], same=False) is None
    joined, apart = charts.quality_chart(two, same=True), charts.quality_chart(two, same=False)
    assert joined is not None
    assert apart is not None
    assert '"line"' in joined.to_json()
    assert '"line"' not in apart.to_json()


def test_the_cards_and_the_table_hold_everybody() -> None:
    rows = [*many(20, "ada", ["similar", "dissimilar"]), *many(10, "bob", ["similar"], 21)]
    ledger = Ledger(rows)
    found = people(rows, NOON + timedelta(minutes=5))
    cards = words.cards(found, agreement(ledger), Outlook(100, 40, 10, 5, 1234), 12)
    figures = {each.label: each.figure for each in cards}
    assert figures["Answers"] == "30"
    assert figures["People"] == "2"
    assert figures["Answers a minute"] == "12"
    assert figures["Answers left"] == "≈ 1,200"
    table = words.people_rows(found, agreement(ledger), NOON + timedelta(minutes=5), UTC)
    assert [each["Name"] for each in table] == ["ada", "bob"]
    assert [each["Similar"] for each in table] == [50, 100]
    nobody = Agreement(agreement(Ledger([])).overall, ())
    table = words.people_rows(found, nobody, NOON, UTC)
    assert {each["Agreement"] for each in table} == {words.NONE}
    empty = words.cards(found[:1], nobody, Outlook(9, 9, 4, 4, 0), 1)
    assert [each.figure for each in empty][3:] == [words.NONE, "9", "0"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(5, "just now"), (65, "1 min ago"), (3599, "59 min ago"), (7300, "2 h ago"),
     (90_000, "2026-03-04")],
)  # fmt: skip
def test_times_are_told_as_people_do(seconds: int, said: str) -> None:
    assert words.ago(timedelta(seconds=seconds), NOON) == said


def test_many_people_share_a_colour() -> None:
    rows = [answer(n, "a", f"{n}", name=f"p{n:02}") for n in range(1, 12)]
    chart = charts.days_chart(per_day(rows), people(rows, NOON), date(2026, 3, 4)).to_dict()
    assert chart["encoding"]["color"]["scale"]["domain"][-1] == "others"
    (data,) = chart["datasets"].values()
    assert sum(each["answers"] for each in data) == 11
    assert max(data, key=lambda each: each["answers"])["name"] == "others"


# The page


def show() -> None:
    import os

    from likewise.workspace import Workspace
    from likewise_labeler.desk import Desk
    from likewise_labeler.progress_page import progress_page

    progress_page(Desk(Workspace(os.environ["LIKEWISE_WORKSPACE"])))


@pytest.fixture
def page(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(ready.path))
    return AppTest.from_function(show, default_timeout=60)


def test_without_answers_the_page_says_what_to_do(page: AppTest) -> None:
    page.run()
    assert not page.exception
    assert "No answers yet" in page.get("html")[0].proto.body
    assert not page.dataframe


def test_the_page_shows_people_and_models(page: AppTest, ready: Workspace) -> None:
    start_run(ready, "run-1", "pretrain", NOON)
    ids = open_images(ready).ids.tolist()
    vectors = load_embeddings(ready).vectors
    with open_answers(ready) as store:
        pairs = list(itertools.combinations(range(40), 2))[::7][:90]
        said: list[Verdict] = [
            "similar" if vectors[a] @ vectors[b] > 0 else "dissimilar" for a, b in pairs
        ]
        store.add(
            [
                NewAnswer(ids[a], ids[b], verdict, name)
                for name in ("ada", "<b>bob</b>")
                for (a, b), verdict in zip(pairs, said, strict=True)
            ]
        )
    page.run()
    assert not page.exception
    text = " ".join(each.proto.body for each in page.get("html"))
    assert "180" in text
    assert "nearly the same" in text
    assert "<b>bob" not in text
    table, models = (each.value for each in page.dataframe)
    assert sorted(table["Name"]) == ["<b>bob</b>", "ada"]
    assert models["Model"].tolist() == ["run-1"]
    with open_answers(ready) as store:
        links = Ledger(store.history())
    new = [each for each in links.settled() if each.verdict != "unsure"]
    expected = quality(load_embeddings(ready), new).auc
    assert expected is not None
    assert models["AUC"].tolist() == [f"{expected:.3f}"]


def test_what_the_page_rests_on_needs_no_torch() -> None:
    code = (
        "import sys, likewise.answers.quality, likewise.answers.agreement; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
