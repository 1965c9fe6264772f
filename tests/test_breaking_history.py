"""The history of answers: against a slow model, against tampering, copied while people answer."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import IntegrityError

from likewise.answers.answering import correct
from likewise.answers.backup import backup_answers, restore_answers
from likewise.answers.standing import VERDICTS, Answer, Entry, Standing, Undo, pair_of
from likewise.answers.store import AnswerStore, NewAnswer, open_answers
from likewise.answers.verification import reading_file, require_unbroken, verify_answers
from likewise.errors import LikewiseError, UsageError
from likewise.settings import AnswersBackup, AnswersRestore, AnswersVerify
from likewise.workspace import Workspace
from tests.breaking import Figure, times
from tests.postgresql import PostgreSQL

PEOPLE = ("ada", "bob", "cleo")
IMAGES = tuple("abcdefgh")
START = datetime(2026, 1, 1, tzinfo=UTC)


class Model:
    """A history as a list, and every question to it answered by looking through it."""

    def __init__(self) -> None:
        self.rows: list[Entry] = []
        self.tokens: set[str] = set()
        self.undone: set[int] = set()

    def add(self, answers: list[NewAnswer]) -> int:
        added = 0
        for each in answers:
            if each.token not in self.tokens:
                self.tokens.add(each.token)
                a, b = sorted((each.a, each.b))
                number = len(self.rows) + 1
                kept = (each.annotator, each.time, each.strategy, each.score, each.fingerprint)
                self.rows.append(Answer(a, b, each.verdict, *kept, number))
                added += 1
        return added

    def retract(self, numbers: list[int], annotator: str, time: datetime) -> int:
        found = [
            each.number
            for each in self.rows
            if each.number in numbers
            and isinstance(each, Answer)
            and each.number not in self.undone
        ]
        for number in found:
            self.undone.add(number)
            self.rows.append(Undo(number, annotator, time, len(self.rows) + 1))
        return len(found)

    def last(self, annotator: str, pair: tuple[str, str] | None = None) -> Answer | None:
        for each in reversed(self.rows):
            if (
                isinstance(each, Answer)
                and each.annotator == annotator
                and each.number not in self.undone
                and pair in (None, each.pair)
            ):
                return each
        return None

    def current(self) -> list[Answer]:
        found: dict[Any, Answer] = {}
        for each in self.rows:
            if isinstance(each, Answer) and each.number not in self.undone:
                found[each.pair, each.annotator] = each
        return sorted(found.values(), key=lambda each: each.number)


class Both:
    """A store and the model, which are done the same to."""

    def __init__(self, store: AnswerStore, seed: int) -> None:
        self.store, self.model, self.dice = store, Model(), random.Random(seed)
        self.sent: list[NewAnswer] = []

    def new(self) -> NewAnswer:
        dice = self.dice
        one, other = dice.sample(IMAGES, 2)
        time = START + timedelta(microseconds=dice.randrange(10**12))
        score = dice.choice((None, 0.5, -0.0, dice.uniform(-1, 1)))
        given = NewAnswer(
            *(one, other, dice.choice(VERDICTS), dice.choice(PEOPLE)),
            *(dice.choice(("", "random")), score, "f", time),
        )
        self.sent.append(given)
        return given

    def do(self) -> None:
        """One operation, drawn."""
        person, dice = self.dice.choice(PEOPLE), self.dice
        match dice.choice("aaaasucrx"):
            case "a":
                some = [self.new() for _ in range(dice.choice((1, 1, 1, 5)))]
                assert self.store.add(some) == self.model.add(some)
            case "s" if self.sent:
                again = dice.sample(self.sent[-100:], min(3, len(self.sent)))
                assert self.store.add(again) == self.model.add(again) == 0
            case "u":
                expected = self.model.last(person)
                assert self.store.undo(person) == expected
                if expected:
                    self.model.retract([expected.number], person, self.time())
            case "c":
                self.correct(person)
            case "r":
                numbers = [dice.randint(1, len(self.model.rows) + 2) for _ in range(3)]
                made = self.store.retract(numbers, person)
                assert made == self.model.retract(numbers, person, self.time(made))
            case "x":
                some, numbers = [self.new()], [dice.randint(1, len(self.model.rows) + 1)]
                made = self.store.change(some, numbers, person)
                time = self.time(made, skip=1)
                assert made == self.model.retract(numbers, person, time) + self.model.add(some)

    def correct(self, person: str) -> None:
        a, b = self.dice.sample(IMAGES, 2)
        verdict, token = self.dice.choice(VERDICTS), f"c{self.dice.random()}"
        with self.store.writing() as connection:
            said = correct(connection, person, pair_of(a, b), verdict, token, START)
        old = self.model.last(person, pair_of(a, b))
        assert said == ("stored" if old else "stale")
        if old and old.verdict != verdict:
            kept = (old.strategy, old.score, old.fingerprint, START, token)
            self.model.add([NewAnswer(a, b, verdict, person, *kept)])

    def time(self, made: int = 1, skip: int = 0) -> datetime:
        """When the rows that were just made were, by the store's own clock."""
        after = len(self.model.rows)
        return self.store.history(after)[0].time if made > skip else START

    def compare(self) -> None:
        """Whatever can be asked."""
        history, current = self.store.history(), self.model.current()
        assert history == self.model.rows
        assert self.store.current() == current == Standing(history).answers()
        counts = self.store.counts()
        assert (counts["answers"], counts["rows"]) == (len(current), len(history))
        with self.store.reading() as connection:
            require_unbroken(connection, "the answers")


@pytest.mark.breaking
@times(reduced=250, full=100_000)
def test_random_operations_leave_what_a_slow_model_says(
    database_url: str, figure: Figure, times: int
) -> None:
    with AnswerStore(database_url) as store:
        both = Both(store, seed=times)
        for number in range(times):
            both.do()
            if number % (times // 10) == 0:
                both.compare()
        both.compare()
    figure(f"{kind_of(database_url)}: {times:,} operations, {len(both.model.rows):,} rows, 0 wrong")


def kind_of(url: str) -> str:
    return "SQLite" if url.startswith("sqlite") else "PostgreSQL"


def filled(store: AnswerStore) -> None:
    """Sixty rows or so, of every kind."""
    both = Both(store, seed=1)
    while len(both.model.rows) < 60:
        both.do()


class Tampering(Exception):
    """Ends a transaction that is not to be kept."""


@contextmanager
def undone(store: AnswerStore) -> Iterator[Connection]:
    """A transaction of which nothing stays."""
    with suppress(Tampering), store.writing() as connection:
        yield connection
        raise Tampering


CHANGES = {
    "token": "token || 'x'",
    "a": "b || a",
    "b": "a || b",
    "verdict": "CASE verdict WHEN 'similar' THEN 'dissimilar' ELSE 'similar' END",
    "annotator": "annotator || ' '",
    "strategy": "strategy || 'x'",
    "score": "CASE WHEN score IS NULL THEN 0.0 ELSE score + 1e-12 END",
    "fingerprint": "'g'",
    "undoes": "CASE WHEN undoes IS NULL THEN number ELSE NULL END",
    "screen": "token || 'y'",
    "number": "number + 1000",
    "digest": "screen || digest",
}
ROW = "number, token, a, b, verdict, annotator, time, strategy, score, fingerprint, undoes, screen"


def tamper(connection: Connection, dice: random.Random, rows: int) -> str:
    """One thing that nobody should do to the tables; says which."""
    here, there = sorted(dice.sample(range(1, rows + 1), 2))

    def sql(statement: str) -> int:
        return connection.execute(text(statement)).rowcount

    where = f"WHERE number = {here}"
    late = "2031-01-01 00:00:00.000001"
    kind = dice.choice(
        ["change", "change", "change", "time", "delete", "end", "all", "insert", "append",
         "swap", "digests", "seal", "unsealed", "sealed twice", "older seal"]
    )  # fmt: skip
    match kind:
        case "change":
            column = dice.choice(list(CHANGES))
            kind = f"change of {column}"
            sql(f"UPDATE answers SET {column} = {CHANGES[column]} {where}")
        case "time":
            zone = "" if connection.dialect.name == "sqlite" else "+00"
            sql(f"UPDATE answers SET time = '{late}{zone}' {where}")
        case "delete":
            assert sql(f"DELETE FROM answers {where}")
        case "end":
            assert sql(f"DELETE FROM answers WHERE number >= {there}")
            if dice.random() < 0.5:  # and the seal with it, as far as one can
                sql(f"UPDATE answers_seal SET number = {there - 1}")
        case "all":
            sql("DELETE FROM answers WHERE undoes IS NOT NULL")
            sql("DELETE FROM answers")
        case "insert" | "append":
            number = rows + 1 if kind == "append" else 2 * rows + here
            columns = ROW.replace("number", str(number), 1).replace("token", "token || 'new'", 1)
            columns = columns.replace("undoes", "NULL")
            sql(
                f"INSERT INTO answers ({ROW}, digest) SELECT {columns}, digest FROM answers {where}"
            )
            if dice.random() < 0.5:
                sql(f"UPDATE answers_seal SET number = {number}")
        case "swap":
            sql(f"UPDATE answers SET number = -1 {where}")
            sql(f"UPDATE answers SET number = {here} WHERE number = {there}")
            sql(f"UPDATE answers SET number = {there} WHERE number = -1")
        case "digests":
            sql(
                "UPDATE answers SET digest = (SELECT digest FROM answers AS other "
                f"WHERE other.number = {there}) {where}"
            )
        case "seal":
            sql("UPDATE answers_seal SET digest = 'x' || digest")
        case "unsealed":
            sql("DELETE FROM answers_seal")
        case "sealed twice":
            sql("INSERT INTO answers_seal SELECT number, digest FROM answers_seal")
        case "older seal":
            sql(
                f"UPDATE answers_seal SET number = {here}, digest = "
                f"(SELECT digest FROM answers {where})"
            )
    return kind


@pytest.mark.breaking
@times(reduced=60, full=1000)
def test_every_tampering_with_the_history_is_seen(
    database_url: str, figure: Figure, times: int
) -> None:
    dice, seen, missed, kinds = random.Random(0), 0, list[str](), set[str]()
    with AnswerStore(database_url) as store:
        filled(store)
        rows = len(store.history())
        while seen + len(missed) < times:
            with undone(store) as connection:
                try:
                    with connection.begin_nested():
                        kind = tamper(connection, dice, rows)
                except IntegrityError:  # the database itself refused
                    continue
                try:
                    require_unbroken(connection, "the answers")
                    missed.append(kind)
                except LikewiseError:
                    seen += 1
                kinds.add(kind)
        with store.reading() as connection:
            require_unbroken(connection, "the answers")
        assert len(store.history()) == rows
    figure(f"{kind_of(database_url)}: {seen:,} of {times:,} tamperings of {len(kinds)} kinds seen")
    assert missed == []
    assert len(kinds) > 15


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["UPDATE answers SET verdict = 'similar' WHERE number = 5"], "row 5 was changed"),
        (["DELETE FROM answers WHERE number = 5"], "a row between 4 and it removed"),
        (["DELETE FROM answers WHERE number = 6"], "rows up to 6 were there and are gone"),
        (["DELETE FROM answers WHERE number = 6", "DELETE FROM answers_seal"], "the seal"),
        (["UPDATE answers SET time = 'noon' WHERE number = 2"], "row 2 was changed"),
        (["UPDATE answers SET score = 'x', digest = 3 WHERE number = 1"], "row 1 was changed"),
    ],
)
def test_what_was_tampered_with_stays_seen_and_is_told(
    tmp_path: Path, statements: list[str], told: str
) -> None:
    workspace = Workspace(tmp_path).create()
    with open_answers(workspace) as store:
        store.add([NewAnswer("a", f"b{each}", "unsure", "ada") for each in range(6)])
        noted = verify_answers(workspace, AnswersVerify()).digest
        store.add([NewAnswer("a", "c", "unsure", "ada")])
        assert verify_answers(workspace, AnswersVerify(noted=noted)).rows == 7
        store.retract([7], "ada")
    with pytest.raises(LikewiseError, match="has the digest 0000"):
        verify_answers(workspace, AnswersVerify(noted="0" * 64))
    for file in tmp_path.glob("labels.db*"):
        file.unlink()
    with open_answers(workspace) as store:
        store.add([NewAnswer("a", f"b{each}", "unsure", "ada") for each in range(6)])
        with store.writing() as connection:
            for statement in statements:
                connection.execute(text(statement))
    with pytest.raises(LikewiseError, match=told):
        verify_answers(workspace, AnswersVerify())
    with open_answers(workspace) as store:
        for _ in range(3):  # people go on, and do not mend it
            store.add([NewAnswer("a", "d", "unsure", "ada")])
            store.undo("ada")
    with pytest.raises(LikewiseError, match="not as they were written"):
        verify_answers(workspace, AnswersVerify())


PAUSE = 0.02
"""Seconds between two answers of one; without, each backup would find the more rows the longer the
one before took."""


class People:
    """Ten people who answer until told to stop; tokens of what was acknowledged."""

    def __init__(self, url: str) -> None:
        self.store, self.acknowledged = AnswerStore(url), list[str]()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(each,)) for each in range(10)]

    def __enter__(self) -> "People":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.store.close()

    def warm_up(self) -> None:
        """Wait until there is something to lose."""
        while len(self.acknowledged) < 50:
            time.sleep(0.01)

    def _work(self, person: int) -> None:
        count = 0
        while not self._over.is_set():
            answer = NewAnswer(f"a{person}", f"b{count}", "similar", f"person {person}")
            self.store.add([answer])
            self.acknowledged.append(answer.token)
            count += 1
            time.sleep(PAUSE)


def tokens_in(connection: Connection) -> set[str]:
    return {*connection.execute(text("SELECT token FROM answers")).scalars()}


@pytest.mark.breaking
@times(reduced=4, full=200)
def test_a_backup_while_ten_people_answer_holds_all_and_restores(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure, times: int
) -> None:
    monkeypatch.setenv("LIKEWISE_DATABASE_URL", database_url)
    workspace, file, lacking, held = Workspace(tmp_path / "one").create(), tmp_path / "b.db", 0, 0
    with People(database_url) as people:
        people.warm_up()
        for _ in range(times):
            before = {*people.acknowledged}
            made = backup_answers(workspace, AnswersBackup(file=file))
            with reading_file(file) as copy:
                found = tokens_in(copy)
            lacking += len(before - found)
            held += len(before)
            assert made.rows == len(found)
    assert sorted(each.name for each in tmp_path.glob("b.db*")) == ["b.db"]
    figure(f"{kind_of(database_url)}: {times} backups under way, {lacking} of {held:,} not in it")
    assert lacking == 0
    with open_answers(workspace) as store:
        history = store.history()
    monkeypatch.setenv("LIKEWISE_DATABASE_URL", f"sqlite:///{tmp_path / 'two.db'}")
    assert restore_answers(workspace, AnswersRestore(file=file)).rows == made.rows
    assert verify_answers(workspace, AnswersVerify(noted=made.digest)).rows == made.rows
    with open_answers(workspace) as store:
        assert store.history() == history[: made.rows]
        assert restore_answers(workspace, AnswersRestore(file=file)).rows == 0
        store.add([NewAnswer("a", "c", "similar", "ada")])
    with pytest.raises(LikewiseError, match="holds answers that are not in"):
        restore_answers(workspace, AnswersRestore(file=file))
    monkeypatch.setenv("LIKEWISE_DATABASE_URL", database_url)
    with open_answers(workspace) as store, store.writing() as connection:
        for number in range(len(history), 10, -1):  # what is missing in PostgreSQL comes back
            connection.execute(text(f"DELETE FROM answers WHERE number = {number}"))
        ten = connection.execute(text("SELECT digest FROM answers WHERE number = 10")).scalar()
        connection.execute(text(f"UPDATE answers_seal SET number = 10, digest = '{ten}'"))
    assert restore_answers(workspace, AnswersRestore(file=file)).rows == made.rows - 10
    assert verify_answers(workspace, AnswersVerify(noted=made.digest)).rows == made.rows


def test_a_dump_of_postgresql_while_people_answer_restores(
    durable_postgresql: PostgreSQL, tmp_path: Path
) -> None:
    names = {each: make_url(durable_postgresql.url).set(database=each) for each in ("one", "two")}
    urls = {name: url.render_as_string(hide_password=False) for name, url in names.items()}
    engine = create_engine(durable_postgresql.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in names:
            connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    plain = {name: url.replace("+psycopg", "") for name, url in urls.items()}
    dump = durable_postgresql.folder / "answers.dump"
    with People(urls["one"]) as people:
        people.warm_up()
        before = {*people.acknowledged}
        durable_postgresql.program("pg_dump", "--format=custom", f"--file={dump}", plain["one"])
    durable_postgresql.program("pg_restore", f"--dbname={plain['two']}", dump)
    with AnswerStore(urls["two"]) as store:
        with store.snapshot() as connection:
            require_unbroken(connection, "the answers")
            assert before <= tokens_in(connection)
        assert store.add([NewAnswer("a", "b", "similar", "ada")]) == 1


def test_what_is_no_backup_is_refused_and_nothing_lost(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w").create()
    with open_answers(workspace) as store:
        store.add([NewAnswer("a", "b", "similar", "ada")])
        history = store.history()
    own = workspace.path / "labels.db"
    with pytest.raises(UsageError, match="holds the answers themselves"):
        backup_answers(workspace, AnswersBackup(file=own))
    file = tmp_path / "some.db"
    backup_answers(workspace, AnswersBackup(file=file))
    whole = file.read_bytes()
    damages: list[Callable[[], object]] = [
        lambda: file.write_bytes(b"not a database, but long enough to be read as one" * 10),
        lambda: file.write_bytes(whole[: len(whole) // 2]),
        lambda: file.write_bytes(b""),
        lambda: file.write_bytes(whole.replace(b"similar", b"similaR")),
        file.unlink,
    ]
    for damage in damages:
        damage()
        for look in (
            lambda: restore_answers(workspace, AnswersRestore(file=file)),
            lambda: verify_answers(workspace, AnswersVerify(file=file)),
        ):
            with pytest.raises(LikewiseError) as caught:
                look()
            assert "\n" not in str(caught.value)
        with open_answers(workspace) as store:
            assert store.history() == history
