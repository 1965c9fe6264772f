import multiprocessing
import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from likewise.answers.standing import Answer, Standing, Undo, Verdict
from likewise.answers.store import AnswerStore, NewAnswer, open_answers
from likewise.answers.tables import metadata
from likewise.errors import LikewiseError, UsageError
from likewise.workspace import Workspace

people = st.sampled_from(["ada", "bob"])
verdicts = st.sampled_from(["similar", "dissimilar", "unsure"])
pairs = st.sampled_from([("a", "b"), ("b", "a"), ("a", "c"), ("b", "c")])
steps = st.lists(st.one_of(st.tuples(people, pairs, verdicts), st.tuples(people)), max_size=20)


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'labels.db'}"


@given(steps)
@settings(max_examples=60, deadline=None)
def test_the_store_behaves_like_a_list_of_answers(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, tuple[str, str], Verdict] | tuple[str]],
) -> None:
    model: list[tuple[str, frozenset[str], Verdict] | None] = []
    with AnswerStore(url_of(tmp_path_factory.mktemp("store"))) as store:
        standing, rows = Standing(), 0
        for step in steps:
            if len(step) == 3:
                person, pair, verdict = step
                assert store.add([NewAnswer(*pair, verdict, person)]) == 1
                model.append((person, frozenset(pair), verdict))
                rows += 1
            else:
                rows += _undo_both(store, model, step[0])
            assert len(store.history()) == rows, "history never shrinks"
            for entry in store.history(after=standing.last):
                standing.add(entry)
        expected = {
            (person, pair): verdict for each in model if each for person, pair, verdict in [each]
        }
        current = store.current()
        assert {
            (each.annotator, frozenset(each.pair)): each.verdict for each in current
        } == expected
        assert len(current) == len(expected) == store.counts()["answers"]
        assert standing.answers() == current
        for verdict in ("similar", "dissimilar", "unsure"):
            assert standing.verdicts[verdict] == list(expected.values()).count(verdict)
        answered = {pair for _, pair in expected}
        assert all(standing.has(pair) == (frozenset(pair) in answered) for pair in ALL_PAIRS)


ALL_PAIRS = [("a", "b"), ("a", "c"), ("b", "c")]


def _undo_both(
    store: AnswerStore, model: list[tuple[str, frozenset[str], Verdict] | None], person: str
) -> int:
    """Undo in the store and in the model; return how many rows that made."""
    live = [row for row, each in enumerate(model) if each and each[0] == person]
    undone = store.undo(person)
    if not live:
        assert undone is None
        return 0
    expected = model[live[-1]]
    assert undone is not None
    assert expected == (undone.annotator, frozenset(undone.pair), undone.verdict)
    model[live[-1]] = None
    return 1


def test_answers_survive_a_restart_field_by_field(tmp_path: Path) -> None:
    moment = datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=timezone(timedelta(hours=2)))
    with AnswerStore(url_of(tmp_path)) as store:
        store.add([NewAnswer("b", "a", "unsure", "Åsa", "random", 0.25, "f00d", moment)])
        store.add([NewAnswer("a", "c", "similar", "Åsa")])
        store.undo("Åsa")
    with AnswerStore(url_of(tmp_path)) as store:
        first, second, undo = store.history()
        assert first == Answer("a", "b", "unsure", "Åsa", moment, "random", 0.25, "f00d", 1)
        assert isinstance(first, Answer)
        assert first.time.tzinfo is UTC
        assert isinstance(undo, Undo)
        assert undo.undoes == second.number
        assert store.current() == [first]


def test_a_repeated_token_is_stored_once(tmp_path: Path) -> None:
    with AnswerStore(url_of(tmp_path)) as store:
        one = NewAnswer("a", "b", "similar", "ada", token="one")
        two = NewAnswer("a", "c", "similar", "ada", token="two")
        assert store.add([one, one]) == 1
        assert store.add([one, two]) == 1
        many = [NewAnswer("a", f"x{n}", "similar", "ada", token=f"{n}") for n in range(1200)]
        assert store.add(many) == 1200
        assert store.add(many) == 0
        assert len(store.history()) == 1202


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    with AnswerStore(url_of(tmp_path)) as store:
        with pytest.raises(UsageError, match="twice"):
            store.add(
                [NewAnswer("a", "b", "similar", "ada"), NewAnswer("c", "c", "similar", "ada")]
            )
        assert store.history() == []
        zoneless = NewAnswer("a", "b", "similar", "ada", time=datetime(2026, 1, 1))
        with pytest.raises(LikewiseError, match="zone"):
            store.add([zoneless])
        assert store.history() == []


def _add_many(url: str, person: str, count: int) -> None:
    with AnswerStore(url) as store:
        for number in range(count):
            store.add([NewAnswer("a", f"{person}{number}", "similar", person)])
            if number % 10 == 9:
                store.undo(person)


def test_two_processes_writing_at_once_lose_nothing(tmp_path: Path) -> None:
    processes = [
        multiprocessing.get_context("spawn").Process(
            target=_add_many, args=(url_of(tmp_path), person, 100)
        )
        for person in ("ada", "bob")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    with AnswerStore(url_of(tmp_path)) as store:
        history = store.history()
        assert [each.number for each in history] == list(range(1, 221))
        assert len(store.current()) == 180


def test_commits_are_durable(tmp_path: Path) -> None:
    with AnswerStore(url_of(tmp_path)) as store, store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


@pytest.mark.parametrize("damage", ["folder", "text", "newer", "no folder"])
def test_what_cannot_be_opened_is_said_in_one_line(
    tmp_path: Path, damage: Literal["folder", "text", "newer", "no folder"]
) -> None:
    file, expected = tmp_path / "labels.db", "unable to open"
    if damage == "folder":
        file.mkdir()
    elif damage == "text":
        file.write_text("not a database, but long enough to be read as one" * 10)
        expected = "not a database"
    elif damage == "newer":
        AnswerStore(url_of(tmp_path)).close()
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE likewise_format SET format = 99")
        connection.close()
        expected = "format 99"
    else:
        file = tmp_path / "missing" / "labels.db"
    with pytest.raises(LikewiseError, match=expected) as caught:
        AnswerStore(f"sqlite:///{file}")
    assert "\n" not in str(caught.value)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(LikewiseError) as caught:
        AnswerStore("mysql+nothing://ada:secret@nowhere/answers")
    assert "secret" not in str(caught.value)


def test_a_workspace_keeps_its_answers_in_labels_db(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIKEWISE_DATABASE_URL", raising=False)
    with pytest.raises(LikewiseError, match="no workspace"):
        open_answers(Workspace(tmp_path / "none"))
    open_answers(Workspace(tmp_path / "some").create()).close()
    assert (tmp_path / "some" / "labels.db").is_file()


def test_the_tables_can_be_made_on_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = "".join(
        str(CreateTable(each).compile(dialect=dialect)) for each in metadata.sorted_tables
    )
    assert "TIMESTAMP WITH TIME ZONE" in made
    assert "number SERIAL" in made
