import multiprocessing
import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, delete, inspect, select, text

from likewise.answers.standing import VERDICTS, Answer, Standing, Undo, Verdict
from likewise.answers.store import AnswerStore, NewAnswer, open_answers
from likewise.answers.tables import answers_table, metadata
from likewise.errors import LikewiseError, UsageError
from likewise.workspace import Workspace

people = st.sampled_from(["ada", "bob"])
verdicts = st.sampled_from(["similar", "dissimilar", "unsure"])
pairs = st.sampled_from([("a", "b"), ("b", "a"), ("a", "c"), ("b", "c")])
steps = st.lists(st.one_of(st.tuples(people, pairs, verdicts), st.tuples(people)), max_size=20)


@given(steps)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_store_behaves_like_a_list_of_answers(
    database_url: str, steps: list[tuple[str, tuple[str, str], Verdict] | tuple[str]]
) -> None:
    model: list[tuple[str, frozenset[str], Verdict] | None] = []
    with AnswerStore(database_url) as store:
        with store.writing() as connection:
            connection.execute(delete(answers_table))
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
        expected = {(each[0], each[1]): each[2] for each in model if each}
        current = store.current()
        assert {
            (each.annotator, frozenset(each.pair)): each.verdict for each in current
        } == expected
        assert standing.answers() == current
        verdicts = [each.verdict for each in current]
        assert store.counts() == {
            "answers": len(expected),
            **{str(each): verdicts.count(each) for each in VERDICTS},
            "annotators": len({person for person, _ in expected}),
            "images": len({image for _, pair in expected for image in pair}),
            "rows": rows,
        }


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


def test_anybody_may_retract_any_answer_once(database_url: str) -> None:
    with AnswerStore(database_url) as store:
        store.add([NewAnswer("a", "b", "similar", "ada"), NewAnswer("a", "c", "similar", "ada")])
        store.add([NewAnswer("a", "b", "unsure", "bob")])
        first, second, third = (each.number for each in store.history())
        assert store.retract([third, first, third], "cleo") == 2
        assert store.retract([first, 99, *range(1000, 2000)], "dan") == 0
        assert [each.number for each in store.current()] == [second]
        undos = [each for each in store.history() if isinstance(each, Undo)]
        assert [(each.undoes, each.annotator) for each in undos] == [
            (first, "cleo"), (third, "cleo")
        ]  # fmt: skip
        assert store.retract([undos[0].number], "cleo") == 0, "an undo cannot be undone"


def test_a_change_happens_as_a_whole(database_url: str) -> None:
    with AnswerStore(database_url) as store:
        store.add([NewAnswer("a", "b", "similar", "ada")])
        with pytest.raises(UsageError, match="twice"):
            store.change([NewAnswer("c", "c", "similar", "bob")], [1], "bob")
        assert [each.number for each in store.current()] == [1]
        assert store.change([NewAnswer("a", "b", "dissimilar", "bob")], [1], "bob") == 2
        assert [(each.annotator, each.verdict) for each in store.current()] == [
            ("bob", "dissimilar")
        ]


def test_one_answer_per_pair_is_settled(database_url: str) -> None:
    def new(a: str, b: str, verdict: Verdict, person: str, strategy: str = "x") -> NewAnswer:
        return NewAnswer(a, b, verdict, person, strategy)

    with AnswerStore(database_url) as store:
        store.add(
            [
                new("a", "b", "similar", "ada"),
                new("a", "b", "similar", "bob"),
                new("a", "c", "similar", "ada"),
                new("a", "c", "dissimilar", "bob"),
                new("b", "c", "similar", "ada"),
                new("b", "c", "dissimilar", "cleo", "adjudication"),
                new("d", "e", "similar", "ada"),
            ]
        )
        store.undo("ada")
        assert [(each.pair, each.verdict, each.annotator) for each in store.settled()] == [
            (("a", "b"), "similar", "ada"),
            (("b", "c"), "dissimilar", "cleo"),
        ]


def test_answers_survive_a_restart_field_by_field(database_url: str) -> None:
    moment = datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=timezone(timedelta(hours=2)))
    with AnswerStore(database_url) as store:
        store.add([NewAnswer("b", "a", "unsure", "Åsa", "random", 0.25, "f00d", moment)])
        store.add([NewAnswer("a", "c", "similar", "Åsa")])
        store.undo("Åsa")
    with AnswerStore(database_url) as store:
        first, second, undo = store.history()
        assert first == Answer("a", "b", "unsure", "Åsa", moment, "random", 0.25, "f00d", 1)
        assert isinstance(first, Answer)
        assert first.time.tzinfo is UTC
        assert isinstance(undo, Undo)
        assert undo.undoes == second.number
        assert store.current() == [first]


def test_a_repeated_token_is_stored_once(database_url: str) -> None:
    with AnswerStore(database_url) as store:
        one = NewAnswer("a", "b", "similar", "ada", token="one")
        two = NewAnswer("a", "c", "similar", "ada", token="two")
        assert store.add([one, one]) == 1
        assert store.add([one, two]) == 1
        many = [NewAnswer("a", f"x{n}", "similar", "ada", token=f"{n}") for n in range(1200)]
        assert store.add(many) == 1200
        assert store.add(many) == 0
        assert len(store.history()) == 1202


def test_a_batch_is_stored_whole_or_not_at_all(database_url: str) -> None:
    with AnswerStore(database_url) as store:
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


def test_two_processes_writing_at_once_lose_nothing(database_url: str) -> None:
    processes = [
        multiprocessing.get_context("spawn").Process(
            target=_add_many, args=(database_url, person, 100)
        )
        for person in ("ada", "bob")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    with AnswerStore(database_url) as store:
        history = store.history()
        assert [each.number for each in history] == list(range(1, 221))
        assert len(store.current()) == 180


def test_commits_of_answers_are_durable(database_url: str) -> None:
    with AnswerStore(database_url) as store:
        with store.leasing():
            pass
        with store.writing() as connection:
            if database_url.startswith("sqlite"):
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
            else:
                assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


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
        AnswerStore(f"sqlite:///{file}").close()
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


FORMAT_1 = """
CREATE TABLE answers (number {number}, token TEXT NOT NULL, a TEXT NOT NULL, b TEXT NOT NULL,
  verdict TEXT, annotator TEXT NOT NULL, time {time} NOT NULL, strategy TEXT NOT NULL,
  score FLOAT, fingerprint TEXT NOT NULL, undoes INTEGER, UNIQUE (token), UNIQUE (undoes),
  FOREIGN KEY(undoes) REFERENCES answers (number));
CREATE INDEX answers_by_annotator ON answers (annotator, number);
CREATE INDEX answers_by_pair ON answers (a, b);
CREATE TABLE leases (token TEXT NOT NULL, a TEXT NOT NULL, b TEXT NOT NULL,
  annotator TEXT NOT NULL, strategy TEXT NOT NULL, score FLOAT, reason TEXT NOT NULL,
  fingerprint TEXT NOT NULL, shown {time} NOT NULL, expires {time} NOT NULL,
  PRIMARY KEY (token), UNIQUE (a, b), UNIQUE (annotator));
CREATE TABLE likewise_format (format INTEGER NOT NULL, PRIMARY KEY (format));
INSERT INTO likewise_format VALUES (1);
INSERT INTO answers (token, a, b, verdict, annotator, time, strategy, score, fingerprint, undoes)
VALUES ('t1', 'a', 'b', 'similar', 'ada', '2026-01-02 03:04:05.000006{zone}', 'x', 0.5, 'f', NULL),
  ('t2', 'a', 'c', 'unsure', 'ada', '2026-01-02 03:04:06.000000{zone}', 'x', NULL, 'f', NULL),
  ('t3', 'a', 'c', NULL, 'ada', '2026-01-02 03:04:07.000000{zone}', 'x', NULL, 'f', 2);
INSERT INTO leases VALUES ('t4', 'a', 'c', 'ada', 'x', NULL, 'because', 'f',
  '2026-01-02 03:04:07.000000{zone}', '2026-01-02 03:14:07.000000{zone}');
"""
"""What the first version made, by its own statements."""


def test_answers_of_the_first_version_are_kept(database_url: str) -> None:
    words = {
        "sqlite": ("INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "DATETIME", ""),
        "postgresql": ("SERIAL NOT NULL PRIMARY KEY", "TIMESTAMP WITH TIME ZONE", "+00"),
    }[database_url.partition(":")[0].partition("+")[0]]
    number, time, zone = words
    engine = create_engine(database_url)
    with engine.begin() as connection:
        for statement in FORMAT_1.format(number=number, time=time, zone=zone).split(";")[:-1]:
            connection.execute(text(statement))
    engine.dispose()
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    kept = Answer("a", "b", "similar", "ada", moment, "x", 0.5, "f", 1)
    with AnswerStore(database_url) as store:
        assert store.current() == [kept]
        assert len(store.history()) == 3
    with AnswerStore(database_url) as store:
        assert store.add([NewAnswer("a", "c", "similar", "bob")]) == 1
        assert [each.number for each in store.current()] == [1, 4]
        with store.reading() as connection:
            rows = connection.execute(select(answers_table).order_by("number")).mappings().all()
            assert [row["screen"] for row in rows[:3]] == ["t1", "t2", "t3"]
            inspector = inspect(connection)
            for table in metadata.sorted_tables:
                made = inspector.get_indexes(table.name)
                assert {
                    (index.name, tuple(column.name for column in index.columns))
                    for index in table.indexes
                } <= {(each["name"], tuple(each["column_names"])) for each in made}
