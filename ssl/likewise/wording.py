"""Numbers in sentences."""

import math


def counted(count: int, noun: str) -> str:
    """A number and what is counted: 1 class, 2 classes."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {noun if count == 1 else plural}"


def percent(share: float, digits: int = 0) -> str:
    """A share of 1: 4 %."""
    return f"{100 * share:.{digits}f} %"


def rate(share: float) -> str:
    """A share of 1 that may be small, with the two digits that count: 0.12 %."""
    if not math.isfinite(share):
        return "n/a"
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
