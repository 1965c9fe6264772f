"""Many annotators at once, on several servers that share one database."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from operator import add
from threading import Thread

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text

from likewise.answers.ledger import Ledger
from likewise.answers.placing import CoverPlace
from likewise.answers.pool import Pool
from likewise.answers.proposals import RandomPairs
from likewise.answers.questions import LEASE, Past, Questions, Reply
from likewise.answers.screens import Kind, Screen, open_screens
from likewise.answers.standing import VERDICTS, Pair, Verdict
from likewise.answers.store import AnswerStore
from likewise.answers.tables import metadata

PEOPLE, EACH = 20, 80
LEASES = """
SELECT count(*), count(DISTINCT leases.a || leases.b), sum(
  CASE WHEN screens.place >= 0 AND screens.strategy = 'random' AND EXISTS (
    SELECT * FROM answers WHERE answers.a = leases.a AND answers.b = leases.b
    AND undoes IS NULL AND number NOT IN (SELECT undoes FROM answers WHERE undoes IS NOT NULL)
  ) THEN 1 ELSE 0 END
) FROM leases JOIN screens ON screen = token"""
"""How many pairs are on a screen; how many different ones; how many have an answer already."""


IDS = [f"{row:03}" for row in range(400)]


def pool(ids: Sequence[str]) -> Pool:
    vectors = np.random.default_rng(0).normal(size=(len(IDS), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    positions = {each: int(each) for each in ids}
    return Pool(IDS, vectors, np.fromiter(positions.values(), np.int64), positions)


class Person:
    """Answers what comes, and remembers what was acknowledged."""

    def __init__(self, asker: Questions, name: str, seed: int) -> None:
        self.asker, self.name, self.rng = asker, name, np.random.default_rng(seed)
        self.acknowledged: list[tuple[Pair, str, str, Verdict]] = []
        """Pair, name, token of the screen, verdict."""
        self.undone = 0
        self.trouble = "not finished"

    def work(self) -> None:
        try:
            while len(self.acknowledged) < EACH:
                self.turn()
            self.trouble = ""
        except Exception as error:
            self.trouble = repr(error)

    def turn(self) -> None:
        """One hand: answer it in order, some twice, and take the last one back now and then."""
        hand = self.asker.hand(self.name, "pair")
        assert hand, "there is always something to ask"
        for screen in hand[: EACH - len(self.acknowledged)]:
            verdict: Verdict = "unsure" if self.rng.random() < 0.7 else "dissimilar"
            reply = Reply(screen.token, {screen.candidates[0]: verdict}, 2.0)
            assert self.asker.answer(self.name, reply) == "stored"
            if self.rng.random() < 0.1:
                assert self.asker.answer(self.name, reply) == "stored", "sent again"
            self.acknowledged.append((screen.pairs[0], self.name, screen.token, verdict))
        if self.rng.random() < 0.1:
            *_, token, _ = self.acknowledged.pop()
            assert self.asker.undo(self.name, token) == "undone"
            self.undone += 1


def serve(url: str, names: Sequence[str], answer: Connection) -> None:
    """A server with some people on it, each in a thread of their own."""
    with AnswerStore(url) as store:
        asker = Questions(store, RandomPairs(pool(IDS), 0), set(IDS), "f", 0.1, 0.0)
        people = [Person(asker, name, seed) for seed, name in enumerate(names)]
        threads = [Thread(target=each.work) for each in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    answer.send([(each.acknowledged, each.undone, each.trouble) for each in people])


def test_twenty_people_on_two_servers_lose_and_double_nothing(database_url: str) -> None:
    names = [f"person {each}" for each in range(PEOPLE)]
    spawn = multiprocessing.get_context("spawn")
    with AnswerStore(database_url) as store:
        ends, servers = [], []
        for some in (names[::2], names[1::2]):
            mine, theirs = spawn.Pipe()
            ends.append(mine)
            servers.append(spawn.Process(target=serve, args=(database_url, some, theirs)))
        for server in servers:
            server.start()
        seen = []
        while any(server.is_alive() for server in servers) and not all(e.poll(0.02) for e in ends):
            with store.reading() as connection:
                seen.append(connection.execute(text(LEASES)).one())
        found = [each for end in ends for each in end.recv()]
        for server in servers:
            server.join()
        history, current = store.history(), store.current()
    assert [trouble for *_, trouble in found] == [""] * PEOPLE
    assert len(seen) > 20
    assert max(leases for leases, *_ in seen) > PEOPLE / 2
    for leases, pairs, answered in seen:
        assert pairs == leases, "no pair on two screens at any time"
        assert not answered, "and none that was answered"
    given = Counter((pair, name, verdict) for told, *_ in found for pair, name, _, verdict in told)
    assert given.total() == PEOPLE * EACH
    assert Counter((each.pair, each.annotator, each.verdict) for each in current) == given
    undone = sum(each for _, each, _ in found)
    assert undone > PEOPLE
    assert len(history) == PEOPLE * EACH + 2 * undone
    assert [each.number for each in history] == list(range(1, len(history) + 1))
    second = {each.pair for each in current if each.strategy == "second reading"}
    assert len(second) > 0.02 * len(current)
    readers = Counter(each.pair for each in current)
    assert {pair for pair, count in readers.items() if count > 1} <= second, "only on purpose"
    assert [pair for pair, count in readers.items() if count > 2] == []


SERVER = """
import sys
from likewise.answers.proposals import RandomPairs
from likewise.answers.pool import Pool
from likewise.answers.questions import Questions, Reply
from likewise.answers.store import AnswerStore
import numpy as np

ids = [f"{row:03}" for row in range(100)]
vectors = np.eye(100, dtype=np.float32)
pool = Pool(ids, vectors, np.arange(100), {each: int(each) for each in ids})
with AnswerStore(sys.argv[1]) as store:
    asker = Questions(store, RandomPairs(pool, 0), set(ids), "f")
    while True:
        for screen in asker.hand("ada", "pair")[:-1]:  # some pair is always in hand
            reply = Reply(screen.token, {screen.candidates[0]: "unsure"}, 2.0)
            if asker.answer("ada", reply) == "stored":
                print(*screen.pairs[0], flush=True)
"""


def test_a_killed_server_loses_no_acknowledged_answer(database_url: str) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, database_url], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    acknowledged = [server.stdout.readline() for _ in range(25)]
    os.kill(server.pid, signal.SIGKILL)
    acknowledged += server.stdout.readlines()
    server.stdout.close()
    assert server.wait() == -signal.SIGKILL
    pairs = [tuple(line.split()) for line in acknowledged if line.endswith("\n")]
    with AnswerStore(database_url) as store:
        stored = [each.pair for each in store.current()]
        assert stored[: len(pairs)] == pairs
        assert len(stored) - len(pairs) in (0, 1), "the last one was stored, not acknowledged"
        with store.reading() as connection:
            left = {(a, b) for a, b in connection.execute(text("SELECT a, b FROM leases"))}
        assert left
        ids = sorted({*itertools.chain(*left)})
        now = datetime.now(UTC)
        for wait, expected in ((0, set()), (2, left)):
            clock = partial(add, now, wait * LEASE)
            asker = Questions(store, RandomPairs(pool(ids), 0), ids, "f", 0.0, 0.0, clock)
            offered: set[Pair] = set()
            while hand := asker.hand("bob", "pair"):
                offered |= {pair for screen in hand for pair in screen.pairs}
                for screen in hand:
                    reply = Reply(screen.token, {screen.candidates[0]: "unsure"}, 2.0)
                    assert asker.answer("bob", reply) == "stored"
            assert offered & left == expected


NAMES = ("ada", "bob", "cleo")
KINDS: tuple[Kind, ...] = ("pair", "pair", "grid")
steps = st.lists(
    st.tuples(
        st.sampled_from(["hand", "answer", "answer", "undo", "correct", "wait", "leave"]),
        st.sampled_from(NAMES),
        st.integers(0, 20),
    ),
    max_size=25,
)


@given(steps)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_three_people_do_nothing_is_asked_twice_at_once(
    database_url: str, steps: list[tuple[str, str, int]]
) -> None:
    with AnswerStore(database_url) as store:
        with store.writing() as connection:
            for table in reversed(metadata.sorted_tables):
                if table.name != "likewise_format":
                    connection.execute(delete(table))
        team = Team(store)
        for what, name, number in steps:
            getattr(team, what)(name, number)
            team.check()


class Team:
    """Three people at one small set of images, and what should be true of them."""

    def __init__(self, store: AnswerStore) -> None:
        self.store, self.now = store, datetime(2026, 1, 1, tzinfo=UTC)
        ids = [f"{row:03}" for row in range(7)]
        self.askers = [  # two servers
            Questions(store, CoverPlace(pool(ids), 0), ids, "f", 0.5, 0.0, lambda: self.now)
            for _ in range(2)
        ]
        self.hands: dict[str, list[Screen]] = {name: [] for name in NAMES}
        self.given: dict[str, list[Screen]] = {name: [] for name in NAMES}
        self.rows = 0

    def hand(self, name: str, number: int) -> None:
        """Look at the screens."""
        self.hands[name] = self.askers[number % 2].hand(name, KINDS[number % 3])

    def answer(self, name: str, number: int) -> None:
        """Answer some of one screen that was in hand at some time, twice."""
        if not self.hands[name]:
            return
        screen = self.hands[name][number % len(self.hands[name])]
        some = screen.candidates[: 1 + number % 3]
        verdict = VERDICTS[number % 3]
        reply = Reply(screen.token, dict.fromkeys(some, verdict), 1.0)
        outcome = self.askers[number % 2].answer(name, reply)
        assert self.askers[0].answer(name, reply) == outcome
        if outcome == "stored" and screen not in self.given[name]:
            self.given[name].append(screen)
            self.rows += len(some)

    def undo(self, name: str, number: int) -> None:
        """Take back the last screen, or any."""
        past = self.askers[0].past(name, count=100)
        if number % 2 and past:
            chosen: Past | None = past[number % len(past)]
            assert self.askers[1].undo(name, past[number % len(past)].screen) == "undone"
        else:
            chosen = past[0] if past else None
            assert self.askers[1].undo(name) == ("undone" if past else "nothing")
        if chosen:
            kept = {each.number for each in self.store.current()}
            assert not kept & {each.number for each in chosen.answers}
            self.rows = len(self.store.history())

    def correct(self, name: str, number: int) -> None:
        """Change one's mind about an earlier answer."""
        past = self.askers[0].past(name, count=100)
        if past:
            old = past[number % len(past)].answers[0]
            new: Verdict = "unsure" if old.verdict != "unsure" else "similar"
            for asker in self.askers:
                assert asker.correct(name, *old.pair, new, f"c-{old.number}") == "stored"
            assert [
                each.verdict
                for each in self.store.current()
                if (each.pair, each.annotator) == (old.pair, name)
            ] == [new]
            self.rows = len(self.store.history())

    def wait(self, name: str, number: int) -> None:
        """Let time pass; leases may expire."""
        self.now += number * LEASE / 6

    def leave(self, name: str, number: int) -> None:
        """Give everything back."""
        self.askers[0].let_go(name)

    def check(self) -> None:
        """What always holds."""
        history = self.store.history()
        assert len(history) == self.rows, "stored once, and nothing else"
        with self.store.reading() as connection:
            query = "SELECT leases.a, leases.b, closed FROM leases JOIN screens ON screen = token"
            leases = [(a, b) for a, b, _ in connection.execute(text(query))]
            on_screens = [
                pair
                for name in NAMES
                for each in open_screens(connection, name)
                for pair in each.pairs
            ]
        assert len(on_screens) == len({*on_screens})
        assert {*on_screens} <= {*leases}
        rebuilt = Ledger(history)
        for asker in self.askers:
            with asker.ledger() as ledger:
                assert ledger.settled() == rebuilt.settled()
                assert ledger.groups() == rebuilt.groups()
                assert ledger.standing.answers() == rebuilt.standing.answers()
                assert sorted(ledger.answered()) == sorted(rebuilt.answered())
