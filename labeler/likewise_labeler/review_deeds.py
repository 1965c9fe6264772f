"""What the Review page does to the answers. Each deed is one transaction and can be taken back."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from likewise.answers.consensus import ADJUDICATION, GOLD
from likewise.answers.ledger import Ledger
from likewise.answers.questions import Questions
from likewise.answers.regroup import Change
from likewise.answers.standing import Answer, Pair, Verdict, pair_of
from likewise.answers.store import AnswerStore, NewAnswer
from likewise.errors import UsageError


def _token() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Deed:
    """Something that was done, and what it takes to undo it."""

    text: str
    """One short sentence for the person who did it."""
    added: tuple[Answer, ...] = ()
    """The answers that it stored."""
    retracted: tuple[Answer, ...] = ()
    """The answers that it took back."""
    token: str = field(default_factory=_token)
    """Names the deed, so that it is undone once."""


class Reviewer:
    """One person who looks over the answers; keeps nothing.

    Raises (every method):
        LikewiseError: the database cannot be read or written.
        UsageError: what the page showed is not so any more; the message says what to do.
    """

    def __init__(self, questions: Questions, store: AnswerStore, name: str) -> None:
        self._questions, self._store, self.name = questions, store, name

    def change(self, answer: Answer, verdict: Verdict) -> Deed:
        """Give another verdict on a standing answer.

        One's own answer is corrected; that of somebody else stays, and an adjudication settles
        the pair.
        """
        self._check_standing(answer)
        if verdict == answer.verdict:
            raise UsageError(f"that answer says {verdict} already")
        if answer.strategy == GOLD:
            raise UsageError("a known truth cannot be changed, only taken back")
        if answer.annotator != self.name:
            return self.adjudicate(answer.pair, verdict, _token())
        outcome = self._questions.correct(self.name, answer.a, answer.b, verdict, _token())
        if outcome != "stored":
            raise UsageError("that answer has changed meanwhile; look again")
        return Deed(f"Changed to {verdict}.", self._stored([(answer.pair, verdict)]))

    def adjudicate(self, pair: Pair, verdict: Verdict, token: str) -> Deed:
        """Settle a pair, whatever others said; once for each ``token``."""
        a, b = pair
        self._store.add([NewAnswer(a, b, verdict, self.name, strategy=ADJUDICATION, token=token)])
        return Deed(f"Settled as {verdict}.", self._stored([(pair, verdict)]))

    def take_back(self, answer: Answer) -> Deed:
        """Undo a standing answer, whoever gave it."""
        self._check_standing(answer)
        self._store.retract([answer.number], self.name)
        return Deed(f"Took back {answer.verdict} by {answer.annotator}.", (), (answer,))

    def put_back(self, answer: Answer) -> Deed:
        """Store an answer that was undone once more, as it was given."""
        with self._questions.ledger() as ledger:
            standing = ledger.standing.of(*answer.pair, answer.annotator)
        if standing is not None:
            raise UsageError(
                f"{answer.annotator} has answered {standing.verdict} since; change that answer"
            )
        self._store.add([again(answer, _token())])
        with self._questions.ledger() as ledger:
            restored = ledger.standing.of(*answer.pair, answer.annotator)
        added = (restored,) if restored else ()
        return Deed(f"Put back {answer.verdict} by {answer.annotator}.", added)

    def retract(self, pair: Pair, verdict: Verdict) -> Deed:
        """Undo every answer that says ``verdict`` of a pair, corrected ones included."""
        with self._questions.ledger() as ledger:
            wrong = said_by_all(ledger.standing.kept(pair), verdict)
        if not wrong:
            raise UsageError("that answer was taken back meanwhile; look again")
        self._store.retract([each.number for each in wrong], self.name)
        return Deed(f"Retracted {verdict} by {people(wrong)}.", (), tuple(wrong))

    def regroup(self, change_of: Callable[[Ledger, str], Change], text: str) -> Deed:
        """Store a change of groups as a whole: ``change_of`` gets the ledger and the name."""
        with self._questions.ledger() as ledger:
            change = change_of(ledger, self.name)
        self._store.change(change.add, change.retract, self.name)
        said = [(pair_of(each.a, each.b), each.verdict) for each in change.add]
        return Deed(text, self._stored(said), change.lost)

    def undo(self, deed: Deed) -> None:
        """Take back what a deed stored, and store again what it took back."""
        restored = [
            again(each, f"{deed.token}-{place}") for place, each in enumerate(deed.retracted)
        ]
        with self._questions.ledger() as ledger:
            kept = [other for each in deed.added for other in ledger.standing.kept(each.pair)]
        unwanted = {_identity(each) for each in deed.added}
        numbers = [each.number for each in kept if _identity(each) in unwanted]
        self._store.change(restored, numbers, self.name)

    def _check_standing(self, answer: Answer) -> None:
        with self._questions.ledger() as ledger:
            standing = ledger.standing.of(*answer.pair, answer.annotator)
        if standing is None or standing.number != answer.number:
            raise UsageError("that answer has changed meanwhile; look again")

    def _stored(self, said: Sequence[tuple[Pair, Verdict]]) -> tuple[Answer, ...]:
        """What this person said last."""
        with self._questions.ledger() as ledger:
            found = [(ledger.standing.of(*pair, self.name), verdict) for pair, verdict in said]
        return tuple(each for each, verdict in found if each and each.verdict == verdict)


def again(answer: Answer, token: str) -> NewAnswer:
    """The same answer once more: whose, when and why as it was."""
    return NewAnswer(
        answer.a,
        answer.b,
        answer.verdict,
        answer.annotator,
        strategy=answer.strategy,
        score=answer.score,
        fingerprint=answer.fingerprint,
        time=answer.time,
        token=token,
    )


def _identity(answer: Answer) -> tuple[object, ...]:
    """What an answer keeps when it is taken back and put back."""
    return (*answer.pair, answer.verdict, answer.annotator, answer.strategy, answer.time)


def said_by_all(kept: Sequence[Answer], verdict: Verdict) -> list[Answer]:
    """What has to go so that nobody's answer on a pair is ``verdict``.

    ``kept`` are all answers on it that were not undone. Earlier equal ones of the same people go
    too, as an undo would uncover them.
    """
    last = {each.annotator: each.verdict for each in kept}
    return [each for each in kept if each.verdict == verdict == last[each.annotator]]


def people(answers: Sequence[Answer]) -> str:
    """The names of those who answered, each once."""
    return ", ".join(sorted({each.annotator for each in answers}))
