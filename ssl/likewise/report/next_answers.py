"""What to label next, and what it would buy."""

from likewise.answers.outlook import people
from likewise.answers.placing import CoverPlace
from likewise.answers.pool import Proposal
from likewise.answers.standing import Pair
from likewise.evaluation.forecast import MORE, points
from likewise.jobs.next_step import next_step
from likewise.report.page import Section, box, heading, paragraph
from likewise.report.subject import Subject

_ASKED = 6
_FASTEST = 120
"""Answers a minute above which nobody pressed the keys."""


def next_section(subject: Subject) -> Section:
    """The next command, what further answers would bring, and the pairs that would be asked."""
    body = [paragraph(f"Next: {subject.next_step}.")]
    told = subject.prospects
    suggested = next_step(subject.held)
    if suggested.what != "answer":
        body.append(paragraph(suggested.reason))
    if told is None or subject.after is None:
        return Section("What to do next", "", body)
    forecast = told.forecast
    if forecast.gain is not None:
        end = "worth stopping there" if forecast.stop else "worth going on"
        body.append(
            paragraph(
                f"{MORE} more answers would add {points(forecast.gain)} to the share of images "
                f"that are put among their own kind{_minutes(subject)}: {end}."
            )
        )
    elif len(subject.ledger.standing):
        body.append(paragraph(forecast.as_text()))
    asked = next_pairs(subject)
    if asked:
        pairs = [
            subject.thumbnails.pair(
                [subject.images.positions[i] for i in (each.a, each.b)],
                f"{each.reason.rstrip('.')} (similarity {each.score:.2f})",
            )
            for each in asked
        ]
        body += [
            heading("The questions that would come first: the same or different?"),
            paragraph(told.asked.reason, "note"),
            box("pairs", pairs),
        ]
    return Section("What to label next", "", body)


def _minutes(subject: Subject) -> str:
    """How long these answers take whoever answered most."""
    standing = subject.ledger.standing.answers()
    paces = [each.per_minute for each in people(standing, subject.now)]
    pace = next((each for each in paces if each is not None and each <= _FASTEST), None)
    return "" if pace is None else f", at the pace so far in about {MORE / pace:.0f} minutes"


def next_pairs(subject: Subject) -> list[Proposal]:
    """The pairs that the labeler would ask about now."""
    belief = subject.belief
    if belief is None or len(belief.pool.rows) < 2:
        return []
    proposer = CoverPlace(belief.pool, subject.settings.seed, belief)
    taken: set[Pair] = set(subject.ledger.answered())
    found: list[Proposal] = []
    busy: set[str] = set()
    while len(found) < _ASKED:
        proposal = proposer.next(subject.ledger, taken, busy)
        if proposal is None or not {proposal.a, proposal.b} <= subject.images.positions.keys():
            break
        taken.add((proposal.a, proposal.b))
        busy |= {proposal.a, proposal.b}
        found.append(proposal)
    return found
