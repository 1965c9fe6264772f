"""Numbers in sentences."""

import pytest

from likewise.wording import counted, percent, rate, size


@pytest.mark.parametrize(
    ("count", "noun", "told"),
    [(0, "image", "0 images"), (1, "group", "1 group"), (1_200, "class", "1,200 classes")],
)
def test_one_is_one(count: int, noun: str, told: str) -> None:
    assert counted(count, noun) == told


def test_a_share_has_a_space_before_its_sign() -> None:
    assert (percent(0.126), percent(0.126, 1), percent(1.0)) == ("13 %", "12.6 %", "100 %")


def test_a_small_rate_keeps_two_digits() -> None:
    assert (rate(0.00123), rate(0.046), rate(0.999)) == ("0.12 %", "4.6 %", "100 %")
    assert rate(float("nan")) == "n/a"


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (1, "1 byte"),
        (999, "999 bytes"),
        (3_400, "3.4 kB"),
        (9_960, "10 kB"),
        (999_700, "1.0 MB"),
        (123_456_789, "123 MB"),
        (5 * 10**15, "5,000 TB"),
    ],
)
def test_sizes_are_never_nothing(count: int, told: str) -> None:
    assert size(count) == told
