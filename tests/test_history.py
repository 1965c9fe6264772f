from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from likewise.answers.history import Filter, Found, annotators, find
from likewise.answers.standing import Answer, Standing, Undo
from likewise.answers.store import AnswerStore, NewAnswer
from likewise.answers.tables import answers_table

START = datetime(2026, 5, 1, tzinfo=UTC)
PEOPLE = ["ada", "bob"]
IMAGES = ["a", "b", "c"]


@pytest.fixture
def store(database_url: str) -> Iterator[AnswerStore]:
    with AnswerStore(database_url) as opened:
        yield opened


images = st.lists(st.sampled_from(IMAGES), min_size=2, max_size=2, unique=True)
verdicts = st.sampled_from(["similar", "dissimilar", "unsure"])
strategies = st.sampled_from(["random", "gold"])
moments = st.integers(0, 9).map(lambda day: START + timedelta(days=day))
answers = st.builds(
    lambda pair, verdict, person, strategy, time: NewAnswer(
        pair[0], pair[1], verdict, person, strategy, time=time
    ),
    images, verdicts, st.sampled_from(PEOPLE), strategies, moments,
)  # fmt: skip
undos = st.tuples(st.integers(0, 20), st.sampled_from(PEOPLE))
filters = st.builds(
    Filter,
    image=st.none() | st.sampled_from(IMAGES),
    annotator=st.none() | st.sampled_from(PEOPLE),
    verdict=st.none() | verdicts,
    since=st.none() | moments,
    until=st.none() | moments,
    state=st.none() | st.sampled_from(["standing", "corrected", "undone"]),
    strategy=st.none() | strategies,
)


@given(
    st.lists(st.one_of(answers, undos), max_size=12),
    st.lists(filters, min_size=1, max_size=4),
    st.integers(1, 4),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_everything_that_fits_is_found_and_nothing_else(
    store: AnswerStore, steps: list[Any], chosen: list[Filter], limit: int
) -> None:
    with store.writing() as connection:
        connection.execute(delete(answers_table))
    for step in steps:
        if isinstance(step, NewAnswer):
            store.add([step])
        else:
            rows = [each.number for each in store.history()]
            store.retract(rows[step[0] : step[0] + 1], step[1])
    history = store.history()
    standing = Standing(history)
    undone_by = {each.undoes: each.annotator for each in history if isinstance(each, Undo)}
    for each in [Filter(), *chosen]:
        expected = [
            (entry, standing.state(entry), undone_by.get(entry.number))
            for entry in reversed(history)
            if isinstance(entry, Answer) and _fits(entry, standing.state(entry), each)
        ]
        found: list[Found] = []
        while page := find(store, each, found[-1].answer.number if found else None, limit):
            assert len(page) <= limit
            found += page
        assert [(one.answer, one.state, one.undone_by) for one in found] == expected
    assert annotators(store) == sorted(
        {each.annotator for each in history if isinstance(each, Answer)}
    )


def _fits(answer: Answer, state: str, chosen: Filter) -> bool:
    return all(
        [
            chosen.image is None or chosen.image in answer.pair,
            chosen.annotator in (None, answer.annotator),
            chosen.verdict in (None, answer.verdict),
            chosen.since is None or answer.time >= chosen.since,
            chosen.until is None or answer.time < chosen.until,
            chosen.state in (None, state),
            chosen.strategy in (None, answer.strategy),
        ]
    )


def test_a_page_holds_fifty_answers(store: AnswerStore) -> None:
    store.add([NewAnswer("a", f"x{number:02}", "similar", "ada") for number in range(60)])
    found = find(store, Filter())
    assert len(found) == 50
    assert found[0].answer.b == "x59"
