"""Error rates of a protocol as text and as JSON."""

import math
from typing import Any

from likewise.evaluation.protocol import Point, Protocol
from likewise.evaluation.threshold import Rate
from likewise.wording import percent


def protocol_json(protocol: Protocol) -> dict[str, Any]:
    """All figures; what cannot be had is null."""
    return {
        "same": protocol.same,
        "different": protocol.different,
        "auc": protocol.auc,
        "auc_interval": [_number(each) for each in protocol.auc_interval],
        "eer": protocol.eer,
        "eer_interval": [_number(each) for each in protocol.eer_interval],
        "eer_threshold": _number(protocol.eer_threshold),
        "resampled": protocol.units.kind,
        "units": protocol.units.count,
        "smallest_far": protocol.smallest,
        "points": [_point_json(each) for each in protocol.points],
    }


def protocol_lines(protocol: Protocol) -> list[str]:
    """A table of error rates, and how far it can be trusted."""
    lines = [
        f"{protocol.same:,} same and {protocol.different:,} different pairs with a truth",
        f"AUC {protocol.auc:.4f}{_bracket(*protocol.auc_interval)}",
        f"EER {percent(protocol.eer, 2)}{_bracket(*protocol.eer_interval, share=True)} "
        f"at a similarity of {protocol.eer_threshold:.3f}",
        "",
        f"{'wanted FAR':>12}  {'threshold':>9}  {'FAR':<24}  FRR",
    ]
    for each in protocol.points:
        wanted = "answers" if math.isnan(each.wanted) else f"{100 * each.wanted:g} %"
        few = "" if each.promised else "  too few pairs to promise it"
        lines.append(
            f"{wanted:>12}  {each.threshold:9.3f}  {_share(each.false_accept):<24}  "
            f"{_share(each.false_reject)}{few}"
        )
    lines += [
        "",
        f"[low high]: 95 % bootstrap interval, {protocol.units.count:,} {protocol.units.kind} "
        "resampled. answers: the threshold from calibration answers.",
    ]
    if not all(each.promised for each in protocol.points):
        lines.append(
            f"With {protocol.different:,} different pairs no rate below "
            f"{100 * protocol.smallest:.2g} % can be promised (rule of three)."
        )
    return lines


def _point_json(point: Point) -> dict[str, Any]:
    return {
        "wanted_far": _number(point.wanted),
        "threshold": _number(point.threshold),
        "far": point.false_accept.value,
        "far_interval": [_number(e) for e in (point.false_accept.low, point.false_accept.high)],
        "frr": point.false_reject.value,
        "frr_interval": [_number(e) for e in (point.false_reject.low, point.false_reject.high)],
        "promised": point.promised,
    }


def _share(rate: Rate) -> str:
    return f"{percent(rate.value, 2)}{_bracket(rate.low, rate.high, share=True)}"


def _bracket(low: float, high: float, share: bool = False) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f" [{100 * low:.2f} {100 * high:.2f}]" if share else f" [{low:.4f} {high:.4f}]"


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
