"""Links of what is believed: a wrong answer joins nothing, once others tell against it."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.answers.belief import Belief
from likewise.answers.ledger import Ledger
from likewise.answers.links import Links
from likewise.answers.pool import Pool
from likewise.answers.standing import Answer, Verdict, pair_of
from likewise.answers.strips import propose_strip
from likewise.answers.trusted import TrustedLinks

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KINDS, EACH = 3, 20
IDS = [f"{row:02}" for row in range(KINDS * EACH)]


def pool() -> Pool:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(KINDS, 16))
    vectors = centres[np.arange(len(IDS)) // EACH] + 0.4 * rng.normal(size=(len(IDS), 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return Pool(IDS, vectors, np.arange(len(IDS)), {each: row for row, each in enumerate(IDS)})


def tell(ledger: Ledger, one: int, other: int, verdict: Verdict | None = None) -> int:
    """The true verdict unless another is given; returns the answer's number."""
    right: Verdict = "similar" if one // EACH == other // EACH else "dissimilar"
    number = ledger.standing.last + 1
    pair = pair_of(IDS[one], IDS[other])
    ledger.add(Answer(*pair, verdict or right, "ada", NOW, "x", None, "", number))
    return number


def well_known() -> Ledger:
    """Groups of twelve, each told by many answers, and told apart."""
    ledger = Ledger()
    for kind in range(KINDS):
        for place in range(12):
            tell(ledger, kind * EACH + place, kind * EACH + (place + 1) % 12)
            tell(ledger, kind * EACH + place, (kind * EACH + EACH + place) % len(IDS))
    return ledger


def alike(one: Links, other: Links) -> bool:
    return bool((one.relations(IDS) == other.relations(IDS)).all())


def test_of_answers_that_fit_they_are_the_ledgers_own() -> None:
    ledger = well_known()
    assert TrustedLinks(Belief(pool())).of(ledger) is ledger.links


def test_a_wrong_answer_joins_nothing_and_its_correction_changes_nothing() -> None:
    ledger, known = well_known(), well_known()
    trusted = TrustedLinks(Belief(pool()))
    trusted.of(ledger)
    tell(ledger, 12, 0)  # joins the first group
    tell(known, 12, 0)
    tell(ledger, 12, EACH + 13, "similar")
    tell(ledger, EACH + 13, EACH + 1)
    tell(known, EACH + 13, EACH + 1)
    for one, other in ((12, 1), (12, 2), (EACH + 13, EACH + 2), (EACH + 13, 1), (12, EACH + 3)):
        tell(ledger, one, other)
        tell(known, one, other)
    assert not alike(ledger.links, known.links)
    links = trusted.of(ledger)
    assert links is not ledger.links
    assert links.asks == ledger.links.asks
    assert alike(links, known.links)


def test_strips_go_on_telling_groups_apart_that_a_wrong_answer_joined() -> None:
    ledger, images = Ledger(), pool()
    for kind in range(KINDS):
        for place in range(8):
            tell(ledger, kind * EACH + place, kind * EACH + (place + 1) % 8)
    tell(ledger, 0, EACH, "similar")
    for place in range(1, 7):
        tell(ledger, place, EACH + place)
    trusted = TrustedLinks(Belief(images)).of(ledger)
    answered = ledger.answered()
    joined = propose_strip(images, ledger.links, answered, (), IDS[EACH + 10 :])
    apart = propose_strip(images, trusted, answered, (), IDS[EACH + 10 :])
    assert joined is not None
    assert apart is not None
    assert {int(each) // EACH for each in joined.candidates} < {0, 1, 2}
    assert {int(each) // EACH for each in apart.candidates} == {0, 1, 2}


@given(st.lists(st.tuples(st.integers(0, 23), st.integers(0, 23), st.integers(0, 9)), max_size=60))
@settings(max_examples=40)
def test_they_follow_from_what_is_not_doubted_whatever_came_before(
    told: list[tuple[int, int, int]],
) -> None:
    ledger = Ledger()
    trusted = TrustedLinks(Belief(pool()))
    for one, other, wrong in told:
        if one == other:
            continue
        right = one // EACH == other // EACH
        tell(ledger, one, other, "similar" if right == (wrong > 0) else "dissimilar")
        links = trusted.of(ledger)
    if not ledger.answered():
        return
    doubted = trusted._doubted
    expected = Links()
    for each in ledger.settled():
        expected.add(*each.pair, "unsure" if each.pair in doubted else each.verdict, each.number)
    assert alike(links, expected)
    assert links.asks == expected.asks
