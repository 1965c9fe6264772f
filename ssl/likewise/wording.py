"""Numbers in sentences."""

import math


def counted(count: int, noun: str) -> str:
    """A number and what is counted: 1 class, 2 classes."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {noun if count == 1 else plural}"


def size(count: int) -> str:
    """So many bytes: 812 bytes, 3.4 kB, 120 MB."""
    if count < 1_000:
        return counted(count, "byte")
    amount, units = count / 1_000, ["kB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount, units = amount / 1_000, units[1:]
    return f"{amount:.1f} {units[0]}" if amount < 9.95 else f"{amount:,.0f} {units[0]}"


def percent(share: float, digits: int = 0) -> str:
    """A share of 1: 4 %."""
    return f"{100 * share:.{digits}f} %"


def rate(share: float) -> str:
    """A share of 1 that may be small, with the two digits that count: 0.12 %."""
    if not math.isfinite(share):
        return "n/a"
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
