"""Sockets drop and servers are killed while people answer: nothing lost, nothing doubled."""

import random
import threading
import time
from collections import Counter

import pytest

from likewise.answers.store import open_answers
from likewise.answers.verification import require_unbroken
from tests.breaking import Figure, times
from tests.raw_http import Dropped, Tab, answer, drawn_drop, pair_on
from tests.served import Server

DROPS_A_KILL = 10
PEOPLE = 4


class Person:
    """Answers what comes; now and then the connection drops while the answer is on its way."""

    def __init__(self, server: Server, number: int, drops: int) -> None:
        self.tab, self.wanted = Tab(server, f"person {number}"), drops
        self.dice = random.Random(number)
        self.acknowledged: list[tuple[str, str]] = []
        self.drops = self.others = 0
        """Drops made; times that another pair than the one unanswered came back."""
        self.over = False
        self.trouble = "not finished"

    def work(self) -> None:
        try:
            while self.drops < self.wanted or not self.over:
                self.turn()
            self.trouble = ""
        except Exception as error:
            self.trouble = repr(error)

    def turn(self) -> None:
        screen = self.tab.until_heard()["screens"][0]
        op, pair = answer(screen), pair_on(screen)
        if self.drops < self.wanted and self.dice.random() < 0.7:
            drop = drawn_drop(self.dice)
            with pytest.raises(Dropped):
                self.tab.label(op, drop=drop)
            self.drops += 1
            if drop == "half sent":  # it did not get there: the page shows the same pair again
                again = self.tab.until_heard()["screens"][0]
                self.others += pair_on(again) != pair
        said = self.tab.until_heard(op)
        assert said["outcomes"] == ["stored"], said["outcomes"]
        self.acknowledged.append(pair)


@pytest.mark.breaking
@times(reduced=10, full=200)
def test_dropped_sockets_and_killed_servers_lose_and_double_nothing(
    server: Server, figure: Figure, times: int
) -> None:
    kills = times // DROPS_A_KILL
    people = [Person(server, number, -(-times // PEOPLE)) for number in range(PEOPLE)]
    threads = [threading.Thread(target=each.work) for each in people]
    for thread in threads:
        thread.start()
    dice = random.Random(0)
    for _ in range(kills):
        time.sleep(dice.uniform(0, 2))
        server.kill()
        server.start()
    for each in people:
        each.over = True
    for thread in threads:
        thread.join()
    assert [each.trouble for each in people] == [""] * PEOPLE
    with open_answers(server.workspace) as store:
        stored = Counter((each.annotator, each.pair) for each in store.current())
        with store.reading() as connection:
            require_unbroken(connection, "the answers")
    told = Counter((each.tab.name, pair) for each in people for pair in each.acknowledged)
    lost, extra = (told - stored).total(), (stored - told).total()
    others = sum(each.others for each in people)
    figure(
        f"{sum(each.drops for each in people)} drops, {kills} server kills, {told.total():,} "
        f"answers: {lost} lost, {extra} doubled or unasked, {others} other pairs came back"
    )
    assert (lost, extra, others) == (0, 0, 0)
    assert max(told.values()) == 1
