"""The answers: how many, by whom, how far people agree, and which are doubtful."""

from likewise.answers.agreement import Agreement, Kappa, Reader, agreement
from likewise.answers.ledger import Conflict
from likewise.answers.outlook import Person, people
from likewise.answers.standing import VERDICTS
from likewise.report.page import Html, Section, Table, box, chance, heading, paragraph, table
from likewise.report.subject import PROBABLY, Subject
from likewise.wording import percent

_DOUBTS, _CONFLICTS, _CHAIN = 6, 3, 6
_PEOPLE = 20


def answers_section(subject: Subject) -> Section | None:
    """Who answered what, and where answers disagree with each other."""
    ledger = subject.ledger
    standing = ledger.standing
    if not len(standing):
        return None
    said = ", ".join(f"{standing.verdicts[verdict]:,} {verdict}" for verdict in VERDICTS)
    named = people(standing.answers(), subject.now)
    agreed = agreement(ledger, subject.settings.seed)
    conflicts, disputes = ledger.contradictions(), ledger.disputes()
    doubts, wrong = len(subject.doubts), len(subject.wrong)
    lead = (
        f"{len(standing):,} answers by {_people(len(named))}: {said}. "
        f"{agreement_words(agreed.overall, len(named))}"
    )
    counts = "No answer contradicts another, and none is probably wrong."
    if conflicts or disputes or doubts:
        counts = (
            f"{_count(len(conflicts), 'answer contradicts', 'answers contradict')} what older ones "
            f"imply, {_count(len(disputes), 'pair is', 'pairs are')} undecided between people, and "
            f"{_count(wrong, 'pair has an answer', 'pairs have an answer')} that is probably "
            f"wrong ({percent(PROBABLY)} and more), given all others and what the images look like"
            f"{_maybe(doubts - wrong)}. They are kept, and can be put right on the Review page of "
            "`likewise label`."
        )
    body = [table(_table(named, agreed)), paragraph(counts)]
    if doubts:
        body += [heading("Worth another look"), box("pairs", _doubts(subject))]
    shown = [_conflict(subject, each) for each in conflicts[-_CONFLICTS:]]
    if any(shown):
        body += [heading("Contradictions: each line is a chain of answers"), *shown]
    return Section("The answers", lead, body)


def _maybe(count: int) -> str:
    return f"; {_count(count, 'other', 'others')} may be" if count else ""


def _people(count: int) -> str:
    return f"{count:,} {'person' if count == 1 else 'people'}"


def _count(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def agreement_words(kappa: Kappa, count: int) -> str:
    """How far people agree, or why that is not known."""
    if count < 2:
        return "As only one person answered, nobody can say how far people agree."
    if kappa.value is None:
        return f"How far people agree is not known: {kappa.note[:1].lower()}{kappa.note[1:]}."
    spread = "" if kappa.low is None else f" ({kappa.low:.2f} to {kappa.high:.2f})"
    return (
        f"On {kappa.pairs:,} pairs that several people read, {percent(kappa.raw or 0)} of the "
        f"verdicts agree; beyond chance, that is a kappa of {kappa.value:.2f}{spread}, where 1 is "
        "perfect and 0 is chance."
    )


def _table(named: list[Person], agreed: Agreement) -> Table:
    readers = {each.name: each for each in agreed.readers}
    rows = [
        [
            each.name,
            f"{each.answers:,}",
            *(f"{percent(each.shares[verdict])}" for verdict in VERDICTS),
            _kappa(readers.get(each.name)),
            _right(readers.get(each.name)),
            f"{each.last:%Y-%m-%d}",
        ]
        for each in named[:_PEOPLE]
    ]
    if len(named) > _PEOPLE:
        rows.append([f"{len(named) - _PEOPLE:,} others", *[""] * 7])
    header = ["who", "answers", *VERDICTS, "agreement", "known truths right", "last answer"]
    return Table(header, rows)


def _kappa(reader: Reader | None) -> str:
    if reader is None or reader.with_others.value is None:
        return "not known"
    kappa = reader.with_others
    spread = "" if kappa.low is None else f"\n{kappa.low:.2f} to {kappa.high:.2f}"
    return f"{kappa.value:.2f}{spread}"


def _right(reader: Reader | None) -> str:
    gold = reader.gold if reader is not None else None
    if gold is None or gold.low is None or gold.high is None:
        return "none shown"
    return f"{gold.right:,} of {gold.of:,}\n{percent(gold.low)} to {percent(gold.high)}"


def _doubts(subject: Subject) -> list[Html]:
    shown = []
    for pair, wrong in list(subject.doubts.items())[:_DOUBTS]:
        answers = subject.ledger.answers_on(pair)
        if not answers or not set(pair) <= subject.images.positions.keys():
            continue
        said = "; ".join(f"{each.annotator} said {each.verdict}" for each in answers)
        rows = [subject.images.positions[each] for each in pair]
        shown.append(
            subject.thumbnails.pair(rows, f"{said}; wrong with a chance of {chance(wrong)}")
        )
    return shown


def _conflict(subject: Subject, conflict: Conflict) -> Html:
    """A chain of images with what was said of each two, and the answer that disagrees."""
    claim, chain = conflict.claim, conflict.chain
    images = [chain[0].a, *(each.b for each in chain)] if chain else []
    if not images or not set(images) <= subject.images.positions.keys():
        return Html("")
    who = ", ".join(sorted({each.annotator for each in claim.answers}))
    steps = ", ".join(each.verdict for each in chain[:_CHAIN])
    more = f" and {len(chain) - _CHAIN:,} more" if len(chain) > _CHAIN else ""
    rows = [subject.images.positions[each] for each in images]
    told = (
        f"{who} called the first and the last {claim.verdict}; from left to right people said: "
        f"{steps}{more}"
    )
    if len(rows) > _CHAIN + 1:
        rows = [*rows[:_CHAIN], rows[-1]]
    return box("group", [paragraph(told, "said"), subject.thumbnails.strip(rows)])
