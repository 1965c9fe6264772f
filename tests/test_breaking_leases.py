"""Many people, of whom many leave in the middle: nobody waits for a pair, and none is doubled."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text

from likewise.answers.pool import Pool
from likewise.answers.proposals import RandomPairs
from likewise.answers.questions import Questions, Reply
from likewise.answers.standing import Pair
from likewise.answers.store import AnswerStore
from tests.breaking import Figure, times

PEOPLE, OPINIONS, LEAVING = 20, 3, 0.3
BACK_WITHIN = timedelta(minutes=5)
SECONDS = 2.0
"""That a person takes for an answer."""


class Crowd:
    """Twenty people on two servers, one after the other, by a clock that the test moves."""

    def __init__(self, store: AnswerStore, images: int, seed: int) -> None:
        ids = [f"{row:03}" for row in range(images)]
        vectors = np.eye(images, dtype=np.float32)
        pool = Pool(ids, vectors, np.arange(images), {each: int(each) for each in ids})
        self.now, self.dice = datetime(2026, 1, 1, tzinfo=UTC), random.Random(seed)
        self.store, self.pairs = store, images * (images - 1) // 2
        self.servers = [
            Questions(store, RandomPairs(pool, seed), set(ids), "f", 1.0, 0.0, self.clock, OPINIONS)
            for _ in range(2)
        ]
        self.away = {f"person {each}": self.now for each in range(PEOPLE)}
        """Until when each person is away."""
        self.left: list[tuple[datetime, str, set[Pair]]] = []
        """When somebody left in the middle of which pairs, and was not yet back."""
        self.leavings = self.late = self.given = self.idle = 0

    def clock(self) -> datetime:
        return self.now

    def turn(self) -> bool:
        """Whoever is there answers one hand, or leaves in the middle; False if nothing was left."""
        self.now += timedelta(seconds=3 * SECONDS / PEOPLE)
        self._look_after_left()
        there = [name for name, until in self.away.items() if until <= self.now]
        if not there:
            self.now = min(self.away.values())
            return True
        name = self.dice.choice(there)
        asker = self.dice.choice(self.servers)
        hand = asker.hand(name, "pair")
        self.left = [each for each in self.left if each[1] != name]  # back, or still here
        if not hand:
            self.away[name] = self.now + timedelta(minutes=1)
            self.idle += 1
            return self.idle < 3 * PEOPLE
        self.idle = 0
        leaves_at = self.dice.randrange(len(hand)) if self.dice.random() < LEAVING else None
        for place, screen in enumerate(hand):
            if place == leaves_at:
                self._leave(name, {pair for each in hand[place:] for pair in each.pairs})
                break
            reply = Reply(screen.token, {screen.candidates[0]: "unsure"}, SECONDS)
            assert asker.answer(name, reply) == "stored"
            self.given += 1
        return True

    def _leave(self, name: str, pairs: set[Pair]) -> None:
        self.leavings += 1
        self.left.append((self.now, name, pairs))
        self.away[name] = self.now + timedelta(minutes=self.dice.uniform(1, 30))

    def _look_after_left(self) -> None:
        """Whether what was left five minutes ago can be had by others."""
        due = [each for each in self.left if each[0] + BACK_WITHIN <= self.now]
        self.left = [each for each in self.left if each not in due]
        for _, name, pairs in due:
            self.late += len(pairs & {*self._reserved_for(name)})

    def _reserved_for(self, name: str) -> Iterator[Pair]:
        query = (
            "SELECT a, b, expires FROM leases JOIN screens ON screen = token "
            "WHERE annotator = :name"
        )
        with self.store.reading() as connection:
            for a, b, expires in connection.execute(text(query), {"name": name}):
                moment = datetime.fromisoformat(expires) if isinstance(expires, str) else expires
                if moment.replace(tzinfo=moment.tzinfo or UTC) > self.now:
                    yield a, b


@pytest.mark.breaking
@times(reduced=15, full=10_000)
def test_whoever_leaves_every_pair_is_read_three_times_and_none_doubled(
    database_url: str, figure: Figure, times: int
) -> None:
    images = next(each for each in range(2, 1000) if each * (each - 1) // 2 >= times)
    with AnswerStore(database_url) as store:
        crowd = Crowd(store, images, seed=times)
        while crowd.turn():
            pass
        current, history = store.current(), store.history()
    opinions = Counter(each.pair for each in current)
    doubled = len(history) - len({(each.pair, each.annotator) for each in current})
    lacking = crowd.pairs - sum(count == OPINIONS for count in opinions.values())
    figure(
        f"{PEOPLE} people, {crowd.leavings:,} leavings in the middle, {crowd.pairs:,} pairs: "
        f"{doubled} answers doubled, {lacking} pairs without {OPINIONS} opinions, "
        f"{crowd.late} abandoned pairs not back within five minutes"
    )
    assert crowd.leavings > 0
    assert len(history) == crowd.given == OPINIONS * crowd.pairs
    assert (doubled, lacking, crowd.late) == (0, 0, 0)
