"""What the Review page decides and does, without a browser."""

import contextlib
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from likewise.answers.history import Filter, Found, find
from likewise.answers.ledger import Dispute
from likewise.answers.links import Links
from likewise.answers.questions import Questions
from likewise.answers.standing import VERDICTS, Answer, Verdict
from likewise.answers.store import AnswerStore, NewAnswer, open_answers
from likewise.errors import UsageError
from likewise.images.store import open_images
from likewise.neighbours.vectors import Embeddings
from likewise.workspace import Workspace
from likewise_labeler import review_adjudication
from likewise_labeler.picker import marked
from likewise_labeler.review_adjudication import sides
from likewise_labeler.review_contradictions import item_of
from likewise_labeler.review_deeds import Deed, Reviewer
from likewise_labeler.review_filters import Asked
from likewise_labeler.review_find import (
    images_named,
    largest_groups,
    nearest_groups,
    nearest_images,
)
from likewise_labeler.review_groups import change_of
from likewise_labeler.review_history import became, row_of, why
from likewise_labeler.review_page import label, sentence

IMAGES = [f"{digit:x}" * 32 for digit in range(6)]
A, B, C, D = IMAGES[:4]
PEOPLE = ["ada", "bob", "cyd"]


class Nobody:
    """Proposes nothing."""

    pool: Any = None

    def next(self, *_: object) -> None:
        return None

    def exemplars(self) -> list[str]:
        return []


class Table:
    """A store with its questions, and answers in short."""

    def __init__(self, file: Path) -> None:
        self.store = AnswerStore(f"sqlite:///{file}")
        self.questions = Questions(self.store, Nobody(), set(IMAGES), "f1")

    def reviewer(self, name: str) -> Reviewer:
        return Reviewer(self.questions, self.store, name)

    def say(self, a: str, b: str, verdict: Verdict, who: str, strategy: str = "random") -> Answer:
        self.store.add([NewAnswer(a, b, verdict, who, strategy=strategy, score=0.5)])
        return self.store.current()[-1]

    def counts_as(self, a: str, b: str) -> Verdict | None:
        with self.questions.ledger() as ledger:
            return ledger.verdict((min(a, b), max(a, b)))

    def standing(self) -> Counter[tuple[object, ...]]:
        """What stands, whatever its number; an answer that was put back is the same answer."""
        return Counter(
            (*e.pair, e.verdict, e.annotator, e.strategy, e.time) for e in self.store.current()
        )


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    table = Table(tmp_path / "labels.db")
    yield table
    table.store.close()


def only(store: AnswerStore, **chosen: Any) -> Found:
    (found,) = find(store, Filter(**chosen))
    return found


# Deeds


def test_ones_own_answer_is_corrected_and_the_correction_undone(table: Table) -> None:
    answer = table.say(A, B, "similar", "ada")
    deed = table.reviewer("ada").change(answer, "dissimilar")
    assert [(e.verdict, e.annotator, e.strategy) for e in table.store.current()] == [
        ("dissimilar", "ada", "random")
    ]
    assert only(table.store, state="corrected").answer == answer
    table.reviewer("ada").undo(deed)
    assert table.store.current() == [answer]
    assert len(find(table.store, Filter())) == 2, "history stays"


def test_the_answer_of_another_stays_but_an_adjudication_settles_the_pair(table: Table) -> None:
    answer = table.say(A, B, "similar", "bob")
    deed = table.reviewer("ada").change(answer, "dissimilar")
    assert table.counts_as(A, B) == "dissimilar"
    assert {(e.annotator, e.verdict, e.strategy) for e in table.store.current()} == {
        ("bob", "similar", "random"),
        ("ada", "dissimilar", "adjudication"),
    }
    table.reviewer("ada").undo(deed)
    assert table.store.current() == [answer]


def test_a_known_truth_is_not_overruled(table: Table) -> None:
    answer = table.say(A, B, "similar", "bob", "gold")
    with pytest.raises(UsageError, match="only taken back"):
        table.reviewer("ada").change(answer, "dissimilar")
    assert table.store.current() == [answer]


def test_what_was_taken_back_can_be_put_back_as_it_was(table: Table) -> None:
    answer = table.say(A, B, "similar", "bob")
    before = table.standing()
    table.reviewer("ada").take_back(answer)
    assert table.store.current() == []
    undone = only(table.store, state="undone")
    assert undone.undone_by == "ada"
    deed = table.reviewer("cyd").put_back(undone.answer)
    assert table.standing() == before
    with pytest.raises(UsageError, match="bob has answered similar since"):
        table.reviewer("cyd").put_back(undone.answer)
    table.reviewer("cyd").undo(deed)
    assert table.store.current() == []


def test_a_second_click_on_an_answer_that_has_changed_does_nothing(table: Table) -> None:
    answer = table.say(A, B, "similar", "bob")
    reviewer = table.reviewer("bob")
    reviewer.change(answer, "unsure")
    rows = len(table.store.history())
    with pytest.raises(UsageError, match="changed meanwhile"):
        reviewer.change(answer, "dissimilar")
    with pytest.raises(UsageError, match="changed meanwhile"):
        reviewer.take_back(answer)
    assert len(table.store.history()) == rows


def test_a_dispute_is_settled_once_for_each_showing(table: Table) -> None:
    table.say(A, B, "similar", "ada")
    table.say(A, B, "dissimilar", "bob")
    assert table.counts_as(A, B) is None
    for _ in range(2):
        deed = table.reviewer("cyd").adjudicate((A, B), "similar", "shown-once")
    assert table.counts_as(A, B) == "similar"
    assert len(table.store.history()) == 3
    table.reviewer("cyd").undo(deed)
    assert table.counts_as(A, B) is None


def test_retracting_a_step_takes_everybody_who_said_so_and_what_that_would_uncover(
    table: Table,
) -> None:
    table.say(A, B, "similar", "ada")
    table.say(A, B, "similar", "ada")
    table.say(A, B, "similar", "bob")
    table.say(A, B, "similar", "cyd")
    kept = table.say(A, B, "dissimilar", "cyd")
    before = table.standing()
    deed = table.reviewer("dora").retract((A, B), "similar")
    assert "ada, bob" in deed.text
    assert table.store.current() == [kept]
    with pytest.raises(UsageError, match="taken back meanwhile"):
        table.reviewer("dora").retract((A, B), "similar")
    table.reviewer("dora").undo(deed)
    assert table.standing() == before


def test_retracting_either_side_resolves_a_contradiction(table: Table) -> None:
    for a, b in ((A, B), (B, C)):
        table.say(a, b, "similar", "ada")
    table.say(A, C, "dissimilar", "bob")
    with table.questions.ledger() as ledger:
        (conflict,) = ledger.contradictions()
    steps = [conflict.claim, *conflict.chain]
    assert {each.pair for each in steps} == {(A, B), (B, C), (A, C)}
    for step in steps:
        deed = table.reviewer("cyd").retract(step.pair, step.verdict)
        with table.questions.ledger() as ledger:
            assert ledger.contradictions() == []
        table.reviewer("cyd").undo(deed)
        with table.questions.ledger() as ledger:
            assert len(ledger.contradictions()) == 1


def test_a_group_is_split_merged_and_put_together_again(table: Table) -> None:
    for a, b in ((A, B), (B, C), (C, D)):
        table.say(a, b, "similar", "ada")
    reviewer = table.reviewer("bob")

    def groups() -> list[set[str]]:
        with table.questions.ledger() as ledger:
            return [set(each) for each in ledger.groups()]

    deed = reviewer.regroup(*change_of([A, B, C, D], [C, D], "split"))
    assert deed.text == "Split 2 images off."
    assert groups() == [{A, B}, {C, D}]
    merged = reviewer.regroup(*change_of([A, B], [C, D], "merge"))
    assert groups() == [{A, B, C, D}]
    reviewer.undo(merged)
    assert groups() == [{A, B}, {C, D}]
    reviewer.undo(deed)
    assert groups() == [{A, B, C, D}]
    reviewer.regroup(*change_of([A, B, C, D], [D], "throw out"))
    assert {frozenset(each) for each in groups()} == {frozenset({A, B, C}), frozenset({D})}


def _some_deed(table: Table, rng: random.Random) -> Deed:
    """Any deed that the page could do now."""
    reviewer = table.reviewer(rng.choice(PEOPLE))
    everything = find(table.store, Filter(), limit=500)
    answer = rng.choice(everything).answer
    a, b = sorted(rng.sample(IMAGES, 2))
    with table.questions.ledger() as ledger:
        group = ledger.links.group_of(answer.a)
        other = ledger.links.group_of(rng.choice(IMAGES))
    part = rng.sample(group, max(1, len(group) // 2))
    verdict = rng.choice(VERDICTS)
    deeds: list[Callable[[], Deed]] = [
        lambda: reviewer.change(answer, verdict),
        lambda: reviewer.adjudicate((a, b), verdict, uuid.uuid4().hex),
        lambda: reviewer.take_back(answer),
        lambda: reviewer.put_back(answer),
        lambda: reviewer.retract(answer.pair, verdict),
        lambda: reviewer.regroup(*change_of(group, part, "split")),
        lambda: reviewer.regroup(*change_of(group, part, "throw out")),
        lambda: reviewer.regroup(*change_of(group, other, "merge")),
    ]
    return rng.choice(deeds)()


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32 - 1))
def test_undoing_any_deed_restores_what_stood_and_deletes_nothing(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    table = Table(tmp_path / f"{uuid.uuid4().hex}.db")
    pairs = rng.choices(list(combinations(IMAGES, 2)), k=12)
    table.store.add([NewAnswer(a, b, rng.choice(VERDICTS), rng.choice(PEOPLE)) for a, b in pairs])
    for _ in range(8):
        before, rows = table.standing(), table.store.history()
        try:
            deed = _some_deed(table, rng)
        except UsageError:
            assert table.store.history() == rows, "a refused deed stores nothing"
            continue
        reviewer = table.reviewer("dora")
        reviewer.undo(deed)
        assert table.standing() == before
        after = table.store.history()
        assert after[: len(rows)] == rows
        reviewer.undo(deed)
        assert len(table.store.history()) == len(after), "undone once"
        with contextlib.suppress(UsageError):
            _some_deed(table, rng)
    table.store.close()


# History


def found(state: str = "standing", strategy: str = "random", verdict: Verdict = "similar") -> Found:
    moment = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    answer = Answer(A, B, verdict, "ada", moment, strategy, 0.25, "f1", 7)
    return Found(answer, state, "bob" if state == "undone" else None)  # type: ignore[arg-type]


def about(image: str) -> dict[str, Any]:
    return {"id": image, "name": f"{image[:2]}.png", "tile": "t", "thumb": "s", "tiny": False}


def _acts(item: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    parts = [part for row in item["rows"] for part in row["parts"]]
    steps = [part["step"]["button"] for part in parts if "step" in part]
    rows = [each for part in parts for each in part.get("buttons", ())]
    return [(each["label"], each["deed"]) for each in [*steps, *rows]]


def test_each_state_of_an_answer_has_its_buttons() -> None:
    standing = _acts(row_of(found(), "similar", about, UTC))
    assert standing == [
        ("Dissimilar", {"do": "change", "number": 7, "verdict": "dissimilar"}),
        ("Unsure", {"do": "change", "number": 7, "verdict": "unsure"}),
        ("Take back", {"do": "take back", "number": 7}),
    ]
    undone = _acts(row_of(found("undone"), None, about, UTC))
    assert undone == [("Put back", {"do": "put back", "number": 7})]
    assert _acts(row_of(found("corrected"), None, about, UTC)) == []
    gold = _acts(row_of(found(strategy="gold"), "similar", about, UTC))
    assert [text for text, _ in gold] == ["Take back"]


def test_a_row_says_who_when_why_and_what_became_of_it() -> None:
    text = json.dumps(row_of(found(), "similar", about, ZoneInfo("Europe/Berlin")))
    assert "ada \\u00b7 2 Mar 2026, 00:30 \\u00b7 asked at random, similarity 0.25" in text
    assert "00.png \\u00b7 11.png" in text
    assert became(found("undone"), None) == "taken back by bob"
    assert became(found("corrected"), "similar") == "corrected since"
    assert became(found(), None) == "disputed"
    assert became(found(), "dissimilar") == "the pair counts as dissimilar"
    assert became(found(), "similar") == ""
    assert row_of(found("undone"), None, about, UTC)["faded"]
    assert not row_of(found(), "similar", about, UTC)["faded"]
    assert why("second reading", None) == why("gold check", None), "which it was stays unknown"
    assert why("of my own", None) == "of my own"


def test_the_address_says_what_to_show() -> None:
    asked = Asked.of(
        {"image": " a.png ", "verdict": "unsure", "since": "2026-02-28", "until": "2026-03-01"}
    )
    zone = ZoneInfo("America/New_York")
    assert asked.filter(A, zone) == Filter(
        image=A,
        verdict="unsure",
        since=datetime(2026, 2, 28, 5, tzinfo=UTC),
        until=datetime(2026, 3, 2, 5, tzinfo=UTC),
    )
    wrong = Asked.of({"verdict": "same", "state": "gone", "since": "soon", "other": "x"})
    assert wrong == Asked()
    assert wrong.filter(None, UTC) == Filter()
    assert Asked.of({"person": "ada", "state": "undone"}).filter(None, UTC) == Filter(
        annotator="ada", state="undone"
    )


@given(st.dictionaries(st.sampled_from([*Asked.__dataclass_fields__, "tab"]), st.text()))
def test_no_address_is_an_error(parameters: dict[str, str]) -> None:
    asked = Asked.of(parameters)
    asked.filter(None, UTC)
    assert Asked.of(vars(asked)) == asked


# Contradictions, adjudication


def test_a_contradiction_shows_its_chain_from_left_to_right(table: Table) -> None:
    table.say(A, B, "similar", "ada")
    table.say(A, B, "similar", "cyd")
    table.say(B, C, "dissimilar", "ada")
    table.say(A, C, "similar", "bob")
    with table.questions.ledger() as ledger:
        (conflict,) = ledger.contradictions()
    item = item_of(conflict, about)
    names = [
        [part["image"]["name"] for part in row["parts"] if "image" in part] for row in item["rows"]
    ]
    assert names == [["00.png", "22.png"], ["00.png", "11.png", "22.png"]]
    people = [
        [part["step"]["people"] for part in row["parts"] if "step" in part] for row in item["rows"]
    ]
    assert people == [["bob"], ["ada, cyd", "ada"]]
    assert [deed["verdict"] for _, deed in _acts(item)] == ["similar", "similar", "dissimilar"]
    assert all({deed["a"], deed["b"]} < {A, B, C} for _, deed in _acts(item))


def test_names_are_hidden_until_asked_for() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    given: list[tuple[str, Verdict]] = [
        ("<b>ada", "similar"),
        ("bob", "similar"),
        ("cyd", "dissimilar"),
    ]
    answers = tuple(
        Answer(A, B, verdict, who, moment, "random", None, "f1", number)
        for number, (who, verdict) in enumerate(given, 1)
    )
    hidden = sides(Dispute((A, B), answers, None), named=False)
    assert "2 people" in hidden
    assert "1 person" in hidden
    assert not any(name in hidden for name in ("ada", "bob", "cyd"))
    shown = sides(Dispute((A, B), answers, "similar"), named=True)
    assert "&lt;b&gt;ada, bob" in shown
    assert "counts as similar until it is settled" in shown


# Groups, images


def links_of(*groups: list[str]) -> Links:
    links = Links()
    for group in groups:
        for a, b in pairwise(group):
            links.add(a, b, "similar")
    return links


def test_groups_come_largest_first_and_in_pages() -> None:
    ids = [f"{number:032x}" for number in range(30)]
    links = links_of(ids[:2], ids[2:7], ids[7:10])
    links.add(ids[20], ids[21], "dissimilar")
    total, first = largest_groups(links, 0, 2)
    assert (total, [set(each) for each in first]) == (3, [set(ids[2:7]), set(ids[7:10])])
    assert [set(each) for each in largest_groups(links, 2, 2)[1]] == [set(ids[:2])]


def test_the_nearest_groups_are_those_of_a_brute_force_search() -> None:
    rng = np.random.default_rng(3)
    ids = np.array([f"{number:032x}" for number in range(80)])
    vectors = rng.normal(size=(80, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = Embeddings(Path("nowhere"), "f1", "run-1", ids, vectors)
    groups = [ids[start : start + 4].tolist() for start in range(0, 60, 4)]
    links = links_of(*groups)
    near = nearest_images(embeddings, groups[0])
    means = {
        tuple(group): vectors[[int(each, 16) for each in group]].mean(axis=0) for group in groups
    }
    own = means[tuple(groups[0])]
    expected = {
        frozenset(group): float(mean @ own / np.linalg.norm(mean) / np.linalg.norm(own))
        for group, mean in means.items()
        if list(group) != groups[0]
    }
    best = sorted(expected, key=lambda group: -expected[group])[:4]
    got = nearest_groups(embeddings, links, groups[0], near, 5)
    assert [frozenset(group) for group, _ in got[:4]] == best
    assert [likeness for _, likeness in got[:4]] == pytest.approx([expected[each] for each in best])
    assert nearest_images(embeddings, ["unknown"]) == []
    assert nearest_groups(embeddings, links, ["unknown"], [], 5) == []


def test_images_are_found_by_id_name_and_part_of_it(ready: Workspace) -> None:
    images = open_images(ready)
    names = {images.path(row).name: str(image) for row, image in enumerate(images.ids)}
    assert images_named(images, names["07.png"]) == [names["07.png"]]
    assert images_named(images, " 07.PNG ") == [names["07.png"]]
    assert names["07.png"] in images_named(images, names["07.png"][:8])
    assert set(images_named(images, "1.png")) == {names[f"{n}1.png"] for n in range(4)}
    assert images_named(images, "") == []
    assert images_named(images, "nothing like it") == []
    assert len(images_named(images, "png")) == 20


def test_only_shown_images_are_marked_in_the_order_of_the_cards() -> None:
    assert marked([A, B, C], [C, "gone", A], [B]) == [A, C]
    assert marked([A, B, C], None, [B]) == [B]
    assert marked([A, B, C], [], [B]) == []


def test_texts() -> None:
    assert label("history", 0) == "History"
    assert label("adjudication", 1200) == "Adjudication (1,200)"
    assert sentence("the group has changed; look again") == "The group has changed; look again."
    assert sentence("Done.") == "Done."


# The page


def _page() -> None:
    from likewise_labeler.desk import the_desk
    from likewise_labeler.review_page import review_page

    review_page(the_desk())


@pytest.fixture
def opened(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(ready.path))
    monkeypatch.setattr(review_adjudication, "SHORTEST_VIEW", 0.0)

    def run(tab: str = "history", **parameters: str) -> AppTest:
        app = AppTest.from_function(_page, default_timeout=30)
        for name, value in {"annotator": "cyd", "tab": tab, **parameters}.items():
            app.query_params[name] = value
        return _shown(app.run())

    return run


def _shown(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def text(app: AppTest) -> str:
    captions = [each.value for each in app.caption]
    return "".join([*(str(each.proto.body) for each in app.get("html")), *captions])


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [each for each in app.button if each.label == label]
    return _shown(button.click().run())


def boards(app: AppTest) -> list[Any]:
    return [json.loads(each.proto.json or each.proto.mixed.json) for each in _components(app)]


def _components(app: AppTest) -> list[Any]:
    return list(app.get("bidi_component"))


def ids_of(workspace: Workspace) -> list[str]:
    return [str(each) for each in open_images(workspace).ids]


def store(workspace: Workspace, *said: tuple[int, int, Verdict, str]) -> list[str]:
    ids = ids_of(workspace)
    with open_answers(workspace) as answers:
        answers.add([NewAnswer(ids[a], ids[b], verdict, who) for a, b, verdict, who in said])
    return ids


@pytest.mark.parametrize(
    ("tab", "title"),
    [
        ("history", "No answers yet"),
        ("contradictions", "No contradictions"),
        ("adjudication", "Nobody disagrees"),
        ("groups", "No groups yet"),
    ],
)
def test_empty_tabs_say_what_will_be_there(
    opened: Callable[..., AppTest], tab: str, title: str
) -> None:
    assert title in text(opened(tab))


def test_the_history_is_filtered_by_the_address_and_paged(
    ready: Workspace, opened: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = [
        (a, b, "similar" if a == 0 else "dissimilar", "ada" if b % 2 else "bob")
        for a, b in combinations(range(13), 2)
    ]
    ids = store(ready, *everything)  # type: ignore[arg-type]
    monkeypatch.setattr(AnswerStore, "history", lambda *_: pytest.fail("reads the whole table"))
    monkeypatch.setattr(AnswerStore, "current", lambda *_: pytest.fail("reads the whole table"))
    app = opened()
    (board,) = boards(app)
    assert len(board["items"]) == 50
    press(app, "Older")
    assert len(boards(app)[0]["items"]) == 28
    assert app.button(key="review-older").disabled
    press(app, "Newer")
    assert boards(app)[0]["items"] == board["items"]
    narrow = opened(person="ada", image=ids[0], verdict="similar")
    (board,) = boards(narrow)
    assert len(board["items"]) == 6
    assert all("ada" in json.dumps(each) for each in board["items"])
    assert "No such answers" in text(opened(person="ada", verdict="unsure"))
    assert "No such image" in text(opened(image="what.png"))
    app.text_input(key="review-image").set_value("nothing").run()
    assert app.query_params["image"] in ("nothing", ["nothing"])
    app.text_input(key="review-image").set_value("").run()
    assert "image" not in app.query_params


def test_a_dispute_is_settled_and_unsettled_on_the_page(
    ready: Workspace, opened: Callable[..., AppTest]
) -> None:
    store(ready, (0, 1, "similar", "ada"), (0, 1, "dissimilar", "bob"))
    app = opened("adjudication")
    assert "1 person" in text(app)
    assert "ada" not in text(app)
    app.toggle(key="review-named").set_value(True).run()
    assert "ada" in text(app)
    press(app, "Dissimilar")
    assert "Nobody disagrees" in text(app)
    assert "Settled as dissimilar." in text(app)
    with open_answers(ready) as answers:
        assert [each.verdict for each in answers.settled()] == ["dissimilar"]
        assert answers.current()[-1].strategy == "adjudication"
    press(app, "Undo")
    assert "1 person" in text(app) or "bob" in text(app)
    press(app, "Similar")
    with open_answers(ready) as answers:
        assert [each.verdict for each in answers.settled()] == ["similar"]


def test_a_verdict_that_comes_too_soon_is_not_stored(
    ready: Workspace, opened: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    store(ready, (0, 1, "similar", "ada"), (0, 1, "dissimilar", "bob"))
    app = opened("adjudication")
    monkeypatch.setattr(review_adjudication, "SHORTEST_VIEW", 1e6)
    press(app, "Similar")
    assert "That was quick" in text(app)
    with open_answers(ready) as answers:
        assert len(answers.current()) == 2


def test_a_dispute_can_wait(ready: Workspace, opened: Callable[..., AppTest]) -> None:
    store(
        ready,
        *((0, 1, "similar", "ada"), (0, 1, "dissimilar", "bob")),
        *((2, 3, "similar", "ada"), (2, 3, "dissimilar", "bob")),
    )
    app = opened("adjudication")
    first = text(app)
    press(app, "Later")
    second = text(app)
    assert first != second
    press(app, "Later")
    assert text(app) == first


def test_trouble_with_the_database_is_one_line(
    ready: Workspace, opened: Callable[..., AppTest]
) -> None:
    app = opened()
    with open_answers(ready) as answers, answers.writing() as connection:
        connection.exec_driver_sql("DROP TABLE answers")
    _shown(app.run())
    assert "Something is in the way" in text(app)
