import itertools
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from likewise.answers.annotators import annotator_name, pace
from likewise.answers.hands import Pending
from likewise.answers.ledger import Ledger
from likewise.answers.links import Links
from likewise.answers.placing import CoverPlace
from likewise.answers.pool import Pool, Proposal, Proposer
from likewise.answers.proposals import RandomPairs
from likewise.answers.questions import LEASE, SHORTEST_VIEW, Questions, Reply
from likewise.answers.screens import Kind, Screen
from likewise.answers.standing import Pair, Verdict
from likewise.answers.store import AnswerStore, NewAnswer
from likewise.errors import UsageError

COUNT = 40
IDS = [f"{row:02}" for row in range(COUNT)]
VERDICTS: tuple[Verdict, ...] = ("similar", "dissimilar", "unsure")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database_url: str) -> Iterator[AnswerStore]:
    with AnswerStore(database_url) as opened:
        yield opened


def pool(ids: Sequence[str] = IDS) -> Pool:
    vectors = np.random.default_rng(0).normal(size=(COUNT, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    positions = {each: int(each) for each in ids}
    return Pool(IDS, vectors, np.fromiter(positions.values(), np.int64), positions)


def questions(
    store: AnswerStore,
    clock: Clock,
    count: int = COUNT,
    proposer: Proposer | None = None,
    second: float = 0.0,
    gold: float = 0.0,
) -> Questions:
    ids = IDS[:count]
    proposer = proposer or CoverPlace(pool(ids), 0)
    return Questions(store, proposer, set(ids), "f1", second, gold, clock)


def first(asker: Questions, annotator: str = "ada", kind: Kind = "pair") -> Screen:
    return asker.hand(annotator, kind)[0]


def reply(screen: Screen, verdict: Verdict = "similar", seen: float = 2.0) -> Reply:
    return Reply(screen.token, dict.fromkeys(screen.candidates, verdict), seen)


def pairs_of(screens: Sequence[Screen]) -> list[Pair]:
    return [pair for screen in screens for pair in screen.pairs]


def test_a_hand_stays_until_it_is_answered(store: AnswerStore, clock: Clock) -> None:
    hand = questions(store, clock).hand("ada", "pair")
    assert len({pair for each in hand for pair in each.pairs}) == 3
    again = questions(store, clock)  # a restart
    assert again.hand("ada", "pair") == hand
    assert again.hand("ada", "pair", count=1) == hand[:1]
    clock.wait(2)
    assert again.answer("ada", reply(hand[1], "dissimilar")) == "stored"
    (stored,) = store.current()
    assert (stored.pair,) == hand[1].pairs
    assert (stored.verdict, stored.annotator, stored.time) == ("dissimilar", "ada", clock.now)
    assert (stored.strategy, stored.fingerprint) == ("cover-place-spread", "f1")
    assert (stored.score,) == hand[1].scores
    left, right = pool().vectors[int(stored.a)], pool().vectors[int(stored.b)]
    assert stored.score == pytest.approx(float(left @ right))
    next_hand = again.hand("ada", "pair")
    assert next_hand[:2] == [hand[0], hand[2]], "those after the answered one move up"
    assert next_hand[2].pairs not in [each.pairs for each in hand]


def test_a_reply_counts_once_however_often_it_comes(store: AnswerStore, clock: Clock) -> None:
    asker = questions(store, clock)
    screen = first(asker)
    assert asker.answer("bob", reply(screen)) == "stale"
    assert asker.answer("ada", Reply("no such token", {}, 2.0)) == "stale"
    assert store.history() == []
    for _ in range(3):
        assert asker.answer("ada", reply(screen)) == "stored"
    assert asker.answer("ada", reply(screen, "dissimilar")) == "stale"
    assert asker.answer("ada", Reply(screen.token, {}, 2.0)) == "stale"
    assert asker.answer("bob", reply(screen)) == "stale"
    assert [each.verdict for each in store.current()] == ["similar"]
    assert len(store.history()) == 1
    assert asker.undo("ada") == "undone"
    assert asker.answer("ada", reply(screen)) == "stored", "a late repetition changes nothing"
    assert store.current() == []


@pytest.mark.parametrize("seen", [0.0, SHORTEST_VIEW - 0.01, float("nan"), -5.0])
def test_what_nobody_can_have_seen_is_not_stored(
    store: AnswerStore, clock: Clock, seen: float
) -> None:
    asker = questions(store, clock)
    screen = first(asker)
    assert asker.answer("ada", reply(screen, seen=seen)) == "too soon"
    assert store.history() == []
    assert first(asker) == screen
    assert asker.answer("ada", reply(screen, seen=SHORTEST_VIEW)) == "stored"


def test_nobody_gets_a_pair_that_is_on_another_screen(store: AnswerStore, clock: Clock) -> None:
    asker = questions(store, clock, count=3)
    hands = {person: asker.hand(person, "pair") for person in ("ada", "bob", "cleo")}
    assert sorted(map(len, hands.values())) == [0, 1, 2], "two screens that settle nothing fit"
    assert len(set(pairs_of([*itertools.chain(*hands.values())]))) == 3
    clock.wait(LEASE.total_seconds() * 0.2)
    assert asker.hand("ada", "pair") == hands["ada"]
    clock.wait(LEASE.total_seconds() * 0.4)
    assert pairs_of(asker.hand("ada", "pair")) == pairs_of(hands["ada"]), "looking keeps it"
    clock.wait(LEASE.total_seconds() * 0.5)
    assert pairs_of(asker.hand("cleo", "pair")) == pairs_of(hands["bob"])
    assert asker.hand("bob", "pair") == []
    assert asker.hand("ada", "pair")[0].token == hands["ada"][0].token


def test_an_answer_after_a_long_pause_counts_unless_somebody_else_was_asked(
    store: AnswerStore, clock: Clock
) -> None:
    asker = questions(store, clock, count=2)
    mine = first(asker)
    clock.wait(LEASE.total_seconds() * 3)
    assert asker.answer("ada", reply(mine, "unsure")) == "stored"
    assert asker.undo("ada") == "undone"
    mine = first(asker)
    clock.wait(LEASE.total_seconds() * 3)
    assert first(asker, "bob").pairs == mine.pairs
    assert asker.answer("ada", reply(mine, "unsure")) == "stale"
    assert asker.hand("ada", "pair") == []


def test_a_hand_never_settles_itself(store: AnswerStore, clock: Clock) -> None:
    """Whatever is answered to the others: by trying all answers."""
    asker = questions(store, clock, count=10)
    rng = np.random.default_rng(1)
    sizes = []
    while hand := asker.hand("ada", "pair"):
        sizes.append(len(hand))
        standing = [(each.a, each.b, each.verdict) for each in store.current()]
        for left_out, pair in enumerate(pairs_of(hand)):
            if hand[left_out].strategy == "audit":
                continue  # asks on purpose what others imply
            others = pairs_of(hand[:left_out] + hand[left_out + 1 :])
            for verdicts in itertools.product(VERDICTS, repeat=len(others)):
                links = Links()
                for answer in standing:
                    links.add(*answer)
                for other, said in zip(others, verdicts, strict=True):
                    links.add(*other, said)
                assert links.relation(*pair) is None
        verdict = VERDICTS[int(rng.choice(3, p=[0.4, 0.55, 0.05]))]
        asker.answer("ada", reply(hand[int(rng.integers(len(hand)))], verdict))
    assert set(sizes) == {1, 2, 3}, "at the end too few are left"


def test_what_was_thought_of_ahead_is_asked_next(store: AnswerStore, clock: Clock) -> None:
    class Counting(RandomPairs):
        asked = 0

        def next(self, *seen: Any) -> Proposal | None:
            self.asked += 1
            return super().next(*seen)

    proposer = Counting(pool(), 0)
    asker = questions(store, clock, proposer=proposer)
    hand = asker.hand("ada", "pair")
    asker.think_ahead()
    before = proposer.asked
    clock.wait(2)
    assert asker.answer("ada", reply(hand[0], "dissimilar")) == "stored"
    new = asker.hand("ada", "pair")[-1]
    assert proposer.asked == before, "nobody waited for the choice"
    assert new.pairs not in [each.pairs for each in hand]


@pytest.mark.parametrize("how", ["answered", "on a screen", "implied"])
def test_what_was_thought_of_ahead_may_have_gone(
    store: AnswerStore, clock: Clock, how: str
) -> None:
    class Fixed(RandomPairs):
        def next(
            self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str] = ()
        ) -> Proposal | None:
            first = self.pool.proposal(0, 1, "random", "The first two")
            asks_nothing_new = self.pool.asks_nothing_new(0, 1, ledger.links, taken)
            return super().next(ledger, taken, busy) if asks_nothing_new else first

    asker = questions(store, clock, proposer=Fixed(pool(), 0))
    asker.think_ahead()
    match how:
        case "answered":
            store.add([NewAnswer(IDS[0], IDS[1], "dissimilar", "bob")])
        case "on a screen":
            assert questions(store, clock, proposer=Fixed(pool(), 0)).hand("bob", "pair")
        case "implied":
            for other in (0, 1):
                store.add([NewAnswer(IDS[other], IDS[2], "similar", "bob")])
    assert (IDS[0], IDS[1]) not in pairs_of(asker.hand("ada", "pair"))


def test_pending_answers_settle_through_chains() -> None:
    links = Links()
    links.add("a", "b", "similar")
    links.add("c", "d", "dissimilar")
    pending = Pending(links, [("a", "x"), ("c", "y"), ("c", "d")])
    assert pending.may_settle(("b", "x"))
    assert not pending.may_settle(("a", "y"))
    assert pending.may_settle(("d", "y")), "y may be c, which is not d"
    assert not pending.may_settle(("d", "x")), "c and d are settled: they join nothing"
    pending.add([("a", "y")])
    assert pending.may_settle(("c", "x"))
    assert pending.may_settle(("d", "x")), "x may be a, that y, that c, which is not d"


def test_what_others_settle_is_replaced_unless_it_is_on_the_screen(
    store: AnswerStore, clock: Clock
) -> None:
    asker = questions(store, clock)
    hand = asker.hand("ada", "pair")
    for screen in hand[:2]:
        store.add([NewAnswer(*screen.pairs[0], "similar", "bob")])
    a, b = hand[2].pairs[0]
    third = next(each for each in IDS if each not in {*itertools.chain(*pairs_of(hand))})
    store.add([NewAnswer(a, third, "similar", "bob"), NewAnswer(b, third, "dissimilar", "bob")])
    now = asker.hand("ada", "pair")
    assert now[0] == hand[0]
    assert not {each.token for each in now[1:]} & {each.token for each in hand}
    assert asker.answer("ada", reply(now[0])) == "stored"
    clock.wait(LEASE.total_seconds() * 2)
    store.add([NewAnswer(*now[1].pairs[0], "similar", "bob")])
    assert now[1].token not in {each.token for each in asker.hand("ada", "pair")}, "nobody looks"


def test_ones_own_answers_from_elsewhere_are_noticed(store: AnswerStore, clock: Clock) -> None:
    asker = questions(store, clock, count=3)
    waiting = first(asker)
    store.add([NewAnswer(*waiting.pairs[0], "similar", "ada")])
    assert first(asker).pairs != waiting.pairs, "ada answered it in a file meanwhile"
    third = ({*IDS[:3]} - {*waiting.pairs[0]}).pop()
    asker.let_go("ada")
    store.add([NewAnswer(waiting.anchor, third, "dissimilar", "bob")])
    assert asker.hand("cleo", "pair") == [], "the third pair is implied"
    store.undo("bob")
    assert len(asker.hand("cleo", "pair")) == 1


def test_the_last_pair_is_asked_though_its_images_are_busy(
    store: AnswerStore, clock: Clock
) -> None:
    asker = questions(store, clock, count=3)
    got = [asker.hand(person, "pair", count=1) for person in ("ada", "bob", "cleo", "dan")]
    assert [len(each) for each in got] == [1, 1, 1, 0]


def test_a_question_about_a_vanished_image_is_replaced(store: AnswerStore, clock: Clock) -> None:
    shown = questions(store, clock).hand("ada", "pair")
    rest = [each for each in IDS if each != shown[0].anchor]
    fewer = Questions(store, RandomPairs(pool(rest), 0), set(rest), "f2", clock=clock)
    now = fewer.hand("ada", "pair")
    assert now[:2] == shown[1:]
    assert shown[0].anchor not in {*itertools.chain(*pairs_of(now))}


def test_screens_of_other_kinds_and_of_people_who_leave_are_given_back(
    store: AnswerStore, clock: Clock
) -> None:
    asker = questions(store, clock, count=5)
    grid = first(asker, kind="grid")
    assert len(grid.candidates) > 1
    asker.answer("ada", Reply(grid.token, {}, 2.0))
    assert {each.kind for each in asker.hand("ada", "pair")} == {"pair"}
    assert grid.token not in {each.token for each in asker.hand("ada", "grid")}
    asker.let_go("ada")
    everything = [asker.hand(person, "pair") for person in ("bob", "cleo", "dan", "eve", "fay")]
    assert len(pairs_of([*itertools.chain(*everything)])) == 10


def test_progress_counts_what_stands(store: AnswerStore, clock: Clock) -> None:
    asker = questions(store, clock)
    store.add([NewAnswer("00", "01", "similar", "bob", time=clock.now - timedelta(days=2))])
    for verdict in ("similar", "dissimilar", "unsure", "unsure", "unsure"):
        clock.wait(5)
        assert asker.answer("ada", reply(first(asker), verdict)) == "stored"
    clock.wait(1)
    assert asker.undo("ada") == "undone"
    asker.hand("ada", "pair")
    progress = asker.progress("ada")
    assert (progress.today, progress.total) == (4, 5)
    assert (progress.similar, progress.dissimilar, progress.unsure) == (2, 1, 2)
    assert progress.groups in (1, 2)
    assert progress.per_minute == pytest.approx(12)
    assert asker.progress("bob").today == 0
    with asker.ledger() as ledger:
        assert len(ledger.settled()) == 5


def test_a_reply_about_other_images_is_refused(store: AnswerStore, clock: Clock) -> None:
    asker = questions(store, clock)
    grid = first(asker, kind="grid")
    other = next(each for each in IDS if each not in (grid.anchor, *grid.candidates))
    for wrong in (
        Reply(grid.token, {grid.candidates[0]: "similar", other: "similar"}, 2.0),
        Reply(grid.token, {}, 2.0, together=(grid.candidates[0], other)),
        Reply(grid.token, {grid.anchor: "similar"}, 2.0),
    ):
        with pytest.raises(UsageError, match="not on the screen"):
            asker.answer("ada", wrong)
    assert store.history() == []
    assert first(asker, kind="grid") == grid


@pytest.mark.parametrize("kind", ["grid", "group"])
def test_a_screen_of_many_pairs_is_one_transaction(
    store: AnswerStore, clock: Clock, kind: Kind
) -> None:
    asker = questions(store, clock)
    screen = first(asker, kind=kind)
    one, two, three = screen.candidates[0], screen.candidates[1], screen.candidates[-1]
    given = Reply(screen.token, {three: "dissimilar", one: "similar"}, 2.0, (one, two, one))
    assert asker.answer("ada", given) == "stored"
    assert asker.answer("ada", given) == "stored"
    found = {each.pair: (each.verdict, each.score) for each in store.current()}

    def key(left: str, right: str) -> Pair:
        return (left, right) if left < right else (right, left)

    assert found == {
        key(screen.anchor, one): ("similar", screen.scores[0]),
        key(screen.anchor, three): ("dissimilar", screen.scores[-1]),
        key(one, two): ("similar", None),
    }
    assert {each.strategy for each in store.current()} == {screen.strategy}


def test_what_was_left_open_is_not_asked_again_at_once(store: AnswerStore, clock: Clock) -> None:
    asker = questions(store, clock, count=10)
    screen = first(asker, kind="grid")
    assert (
        asker.answer("ada", Reply(screen.token, {screen.candidates[0]: "similar"}, 2.0)) == "stored"
    )
    rest = set(screen.pairs[1:])
    asker.let_go("bob")
    seen = {pair for _ in range(3) for pair in _answer_all(asker, "bob")}
    assert seen
    assert not seen & rest
    clock.wait(LEASE.total_seconds() * 2)
    assert _answer_all(asker, "bob") & rest


def _answer_all(asker: Questions, person: str) -> set[Pair]:
    """The pairs of one hand, all answered "unsure"."""
    hand = asker.hand(person, "grid")
    for screen in hand:
        assert asker.answer(person, reply(screen, "unsure")) == "stored"
    return set(pairs_of(hand))


def test_what_was_left_open_is_asked_again_when_nothing_else_is_left(
    store: AnswerStore, clock: Clock
) -> None:
    asker = questions(store, clock, count=3)
    screen = first(asker, kind="grid")
    for _ in range(3):
        assert asker.answer("ada", Reply(screen.token, {}, 2.0)) == "stored"
        following = first(asker, kind="grid")
        assert following.token != screen.token
        screen = following
    assert store.history() == []


@pytest.mark.parametrize(
    ("typed", "name"),
    [("  Ada \n Lovelace ", "Ada Lovelace"), ("", "me"), ("\x00\u200b", "me"), ("Å" * 99, "Å" * 60),
     ("bad\udc80name", "bad name")],
)  # fmt: skip
def test_names_are_fit_to_be_stored(typed: str, name: str) -> None:
    assert annotator_name(typed, "me") == name


def test_pace_is_the_median_gap_without_pauses() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [start + timedelta(seconds=each) for each in (0, 4, 8, 500, 504, 510)]
    assert pace(times, times[-1]) == pytest.approx(15)
    assert pace(times[:3], times[2]) is None
    assert pace(times, times[-1] + timedelta(minutes=11)) is None
    assert pace([], start) is None
