"""The DET curve (Martin et al. 1997): both error rates on normal-deviate axes."""

import numpy as np
import numpy.typing as npt

from likewise.evaluation.plots import GRID, INK, QUIET, SERIES, new_figure, plain, png_of
from likewise.evaluation.protocol import Protocol
from likewise.wording import percent

_MOST = 0.9
"""Rate at which the chart ends."""
_TICKS = (1e-4, 1e-3, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


def det(protocol: Protocol, name: str) -> bytes:
    """False rejects against false accepts with their 95 % band, as PNG.

    Two normal distributions of equal width give a straight line. Left of the dashed line there are
    too few different pairs for a promise.
    """
    curve = protocol.curve
    least = max(1e-4, min(0.02, 0.3 / max(protocol.same, protocol.different)))
    accept, reject = curve.false_accept, 1 - curve.true_accept
    figure = new_figure(6.4, 6.2)
    axes = figure.add_subplot()
    seen = protocol.band[:, 0] >= least
    far, low, high = protocol.band[seen].T
    if np.isfinite(low).all():
        axes.fill_between(
            _deviate(far, least),
            _deviate(low, least),
            _deviate(high, least),
            color=SERIES[1],
            alpha=0.15,
            linewidth=0,
            label="95 % interval",
        )
    label = f"{name}: EER {percent(protocol.eer, 1)}"
    shown = (accept >= least) & (accept <= _MOST) & (reject >= least) & (reject <= _MOST)
    places = _deviate(accept[shown], least), _deviate(reject[shown], least)
    axes.plot(*places, color=SERIES[1], linewidth=2, label=label)
    ends = _deviate(np.array([least, _MOST]), least)
    axes.plot(ends, ends, color=GRID, linestyle=":", zorder=0)
    middle = _deviate(np.array([protocol.eer]), least)
    axes.plot(middle, middle, "o", color=SERIES[1], markersize=8, markeredgecolor="white")
    for point in protocol.points:
        if np.isnan(point.wanted):
            rates = np.array([point.false_accept.value]), np.array([point.false_reject.value])
            x, y = (_deviate(each, least) for each in rates)
            axes.plot(x, y, "D", color=SERIES[2], markersize=7, label="threshold from answers")
    if protocol.smallest > least:
        few = _deviate(np.array([protocol.smallest]), least)[0]
        axes.axvspan(float(ends[0]), float(few), color=QUIET, alpha=0.07, linewidth=0)
        axes.axvline(float(few), color=QUIET, linewidth=1, linestyle="--")
        axes.text(
            float(few), float(ends[1]), "  3 / different pairs", color=QUIET, fontsize=9, va="top"
        )
    ticks = [each for each in _TICKS if each >= least]
    places_of_ticks = _deviate(np.array(ticks), least).tolist()
    names = [f"{100 * each:g} %" for each in ticks]
    axes.set_xticks(places_of_ticks, names)
    axes.set_yticks(places_of_ticks, names)
    axes.set(xlim=(ends[0], ends[1]), ylim=(ends[0], ends[1]))
    axes.set_xlabel("false accepts: different pairs taken for same")
    axes.set_ylabel("false rejects: same pairs not recognised")
    axes.set_title(
        f"DET curve, {protocol.same:,} same and {protocol.different:,} different pairs",
        loc="left",
        fontsize=11,
        color=INK,
    )
    axes.legend(loc="upper right", fontsize=9.5, frameon=True, edgecolor="white", framealpha=1)
    plain(axes)
    axes.tick_params(axis="x", labelrotation=45)
    return png_of(figure)


def _deviate(rates: npt.NDArray[np.floating], least: float) -> npt.NDArray[np.floating]:
    """The normal quantile of each rate; what is off the chart lies on its edge."""
    from scipy.special import ndtri

    return np.asarray(ndtri(np.clip(rates, least, _MOST)))
