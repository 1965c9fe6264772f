"""Is it good enough, and where does same begin? What the Progress page says of it, as HTML."""

from html import escape

from likewise.answers.choice import Choice
from likewise.evaluation.forecast import MORE, Estimate, Forecast, points
from likewise.evaluation.prospects import Prospects
from likewise.evaluation.threshold import Rate, Threshold
from likewise.settings import Label, Strategy

STYLE = """<style>
.lw-prospects { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; margin: .5rem 0 .2rem; }
.lw-prospects section { border: 1px solid var(--lw-edge); border-radius: .7rem;
  padding: .8rem 1rem .9rem; background: var(--lw-faint); min-width: 0; }
.lw-prospects h2 { font-size: .95rem; font-weight: 650; margin: 0; padding: 0; display: flex;
  justify-content: space-between; gap: 1rem; align-items: baseline; letter-spacing: 0; }
.lw-prospects h2 em { font-style: normal; font-size: .8rem; font-weight: 600; opacity: .65;
  white-space: nowrap; }
.lw-prospects h2 em.stop { color: #0d9488; opacity: 1; }
.lw-prospects p { font-size: .88rem; line-height: 1.5; opacity: .75; margin: .55rem 0 0; }
.lw-rates { display: grid; grid-template-columns: 8.2rem 1fr 8.4rem; gap: .5rem .8rem;
  align-items: center; margin: .7rem 0 0; font-size: .88rem; }
.lw-rates > span { opacity: .75; }
.lw-rates > b { font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }
.lw-rates > b span { font-weight: 400; opacity: .65; }
.lw-track { position: relative; height: 4px; border-radius: 2px; }
.lw-track::before { content: ""; position: absolute; inset: 0; border-radius: 2px;
  background: currentColor; opacity: .14; }
.lw-track i, .lw-track u { position: absolute; background: #0d9488; }
.lw-track i { top: 0; height: 4px; border-radius: 2px; opacity: .5; min-width: 4px; }
.lw-track u { top: -4px; width: 12px; height: 12px; margin-left: -6px; border-radius: 50%; }
.lw-prospects section.lw-asked { grid-column: 1 / -1; padding: .6rem 1rem; }
.lw-asked p { margin: 0; }
.lw-asked b { font-weight: 650; margin-right: .5rem; }
@media (max-width: 1100px) { .lw-prospects { grid-template-columns: 1fr; } }
</style>"""
_NAMES: dict[Strategy, str] = {
    "cover-place-spread": "a group for each image, typical images first",
    "likely-first": "the likeliest pairs first",
}
_LEAST = 0.02
"""Widest end of the scale of error rates, at least."""


def prospects_html(told: Prospects, strategy: Strategy = Label.strategy) -> str:
    """Quality now and later, the threshold, and what is asked; ``strategy`` is the labeler's."""
    return (
        f'{STYLE}<div class="lw-prospects">{_forecast_panel(told.forecast)}'
        f"{_threshold_panel(told)}{_asked_panel(told.asked, strategy)}</div>"
    )


def _asked_panel(asked: Choice, strategy: Strategy) -> str:
    """Which strategy asks now, and why."""
    if strategy != Label.strategy:
        asked = Choice(strategy, "Chosen when the labeler was started.")
    name = _NAMES.get(asked.strategy, asked.strategy)
    said = f"<b>Asked now: {escape(name)}</b>{escape(asked.reason)}"
    return f'<section class="lw-asked"><p>{said}</p></section>'


def advice(told: Forecast) -> str:
    """Whether more answers pay, in two or three words."""
    if told.now is None:
        return "too early to tell"
    return "worth stopping" if told.stop else "worth going on"


def _forecast_panel(told: Forecast) -> str:
    kind = ' class="stop"' if told.stop else ""
    head = f"<h2>Images among their own kind<em{kind}>{advice(told)}</em></h2>"
    if told.now is None or told.gain is None:
        return f"<section>{head}<p>{escape(told.as_text())}</p></section>"
    later = after(told.now, told.gain)
    rows = _row("Now", told.now, 1.0) + _row(f"After {MORE} more", later, 1.0)
    said = (
        f"Counted as if each image were put with the answered one it looks most like. {MORE} more "
        f"answers would add {points(told.gain)}. The truth lies in the range at least 8 times out "
        f"of 10; {told.judged:,} answered images tell it."
    )
    return f"<section>{head}<div class='lw-rates'>{rows}</div><p>{escape(said)}</p></section>"


def after(now: Estimate, gain: Estimate) -> Estimate:
    """The estimate with the gain added, at most everything."""
    low, value, high = (
        min(1.0, each + more)
        for each, more in ((now.low, gain.low), (now.value, gain.value), (now.high, gain.high))
    )
    return Estimate(value, low, high)


def _threshold_panel(told: Prospects) -> str:
    at = told.threshold
    head = f"<h2>Where same begins<em>{'too early to tell' if at is None else _from(at)}</em></h2>"
    if at is None:
        return f"<section>{head}<p>{escape(told.threshold_text())}</p></section>"
    widest = max(_LEAST, at.false_accept.high, at.false_reject.high)
    rows = _row("Different pass", at.false_accept, widest)
    rows += _row("Same are missed", at.false_reject, widest)
    said = (
        f"Error rates over all pairs of images, with 95 % intervals, from {at.answers_text()}, "
        "that were drawn for this and are never trained on."
    )
    return f"<section>{head}<div class='lw-rates'>{rows}</div><p>{escape(said)}</p></section>"


def _from(at: Threshold) -> str:
    return f"similarity {at.similarity:.3f} and above"


def _row(label: str, share: Estimate | Rate, widest: float) -> str:
    """A share as a mark on a line, its interval as a bar, and both as numbers."""
    value, low, high = (100 * each / widest for each in (share.value, share.low, share.high))
    digits = 1 if share.value < 0.1 else 0
    told = [f"{100 * each:.{digits}f}" for each in (share.value, share.low, share.high)]
    return (
        f'<span>{escape(label)}</span><div class="lw-track">'
        f'<i style="left: {low:.2f}%; width: {high - low:.2f}%"></i>'
        f'<u style="left: {value:.2f}%"></u></div>'
        f"<b>{told[0]} % <span>{told[1]} to {told[2]} %</span></b>"
    )
