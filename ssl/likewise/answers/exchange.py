"""Answers to and from files that other programs read."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from likewise.answers.annotators import annotator_name
from likewise.answers.answer_rows import (
    COLUMNS,
    HISTORY_COLUMNS,
    display_paths,
    history_record,
    paths_of_files,
    record_of,
)
from likewise.answers.consensus import GOLD
from likewise.answers.label_studio import SUFFIX as TASKS
from likewise.answers.label_studio import read_tasks, write_tasks
from likewise.answers.standing import VERDICTS, Answer, Standing, pair_of
from likewise.answers.store import NewAnswer, open_answers
from likewise.answers.tabular import Record, kind_of, read_records, write_records
from likewise.errors import LikewiseError, UsageError
from likewise.images.manifest import display
from likewise.images.store import Images, open_images
from likewise.notebook import Displayed
from likewise.settings import AnswersExport, AnswersImport
from likewise.workspace import Workspace

_SHOWN = 5
"""Problems that are told to a person; JSON holds them all."""


@dataclass(frozen=True)
class Exported(Displayed):
    """What was written."""

    file: Path
    answers: int
    history: bool

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {"file": str(self.file), "answers": self.answers, "history": self.history}

    def as_text(self) -> str:
        """What a person reads."""
        what = "rows of history" if self.history else "answers"
        return f"{self.answers:,} {what} written to {self.file}"


@dataclass(frozen=True)
class Imported(Displayed):
    """What was read."""

    file: Path | str
    """Where it came from."""
    answers: int
    """Stored now."""
    skipped: int
    """Known already, or taken back in the file itself."""
    problems: tuple[tuple[int, str], ...]
    """Row (the first is 1) and reason of each that could not be used."""

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        problems = [{"row": row, "reason": reason} for row, reason in self.problems]
        return {
            "file": str(self.file),
            "answers": self.answers,
            "skipped": self.skipped,
            "problems": problems,
        }

    def as_text(self) -> str:
        """What a person reads."""
        lines = [f"{self.answers:,} answers stored, {self.skipped:,} known before"]
        if self.problems:
            lines.append(f"{len(self.problems):,} rows could not be used:")
            lines += [f"  row {row}: {reason}" for row, reason in self.problems[:_SHOWN]]
            if len(self.problems) > _SHOWN:
                lines.append("  ... (--json lists them all)")
        return "\n".join(lines)


def export_answers(workspace: Workspace, settings: AnswersExport) -> Exported:
    """Write the standing answers, or with ``history`` every row, oldest first.

    Raises:
        UsageError: the file's suffix is unknown, or its format has no place for the history.
        LikewiseError: the answers cannot be read or the file not written.
    """
    as_tasks = settings.file.suffix.lower() == TASKS
    if as_tasks and settings.history:
        raise UsageError(f"{settings.file}: tasks of Label Studio cannot hold the --history")
    if not as_tasks:
        kind_of(settings.file)
    with open_answers(workspace) as store:
        history = store.history()
    paths = display_paths(workspace)
    standing = Standing(history)
    if settings.history:
        records = [history_record(each, standing, paths) for each in history]
        write_records(settings.file, records, HISTORY_COLUMNS)
    else:
        records = [record_of(each, paths) for each in standing.answers()]
        if as_tasks:
            write_tasks(settings.file, records, paths_of_files(workspace))
        else:
            write_records(settings.file, records, COLUMNS)
    return Exported(settings.file, len(records), settings.history)


def import_answers(workspace: Workspace, settings: AnswersImport) -> Imported:
    """Read answers from a file and store them in one transaction.

    Rows name their images by ``id_a, id_b`` or ``path_a, path_b``. A row that was imported
    before, or that is in the history already, adds nothing. Rows that cannot be used are
    reported; the others are stored. With ``gold`` they are known truths, which settle their pairs.

    Raises:
        UsageError: the file's suffix is unknown.
        LikewiseError: the file cannot be read, or holds rows but none that can be used.
    """
    tasks = settings.file.suffix.lower() == TASKS
    records = read_tasks(settings.file) if tasks else read_records(settings.file)
    return store_answers(
        workspace,
        records,
        settings.file,
        beside=settings.file.parent,
        annotator=settings.annotator,
        gold=settings.gold,
    )


def store_answers(
    workspace: Workspace,
    records: Sequence[Record],
    source: Path | str,
    *,
    beside: Path,
    annotator: str,
    gold: bool,
) -> Imported:
    """Store rows of answers in one transaction; see `import_answers`.

    Args:
        workspace: Where they belong.
        records: Rows without empty values.
        source: Where they come from, for messages.
        beside: A folder from which relative paths may count.
        annotator: Who answered, where a row does not say.
        gold: Whether the verdicts are known truths.

    Raises:
        LikewiseError: there are rows but none that can be used.
    """
    find = ImageFinder(open_images(workspace), workspace.config.roots, beside)
    default = annotator_name(annotator, "import")
    found: list[NewAnswer] = []
    problems: list[tuple[int, str]] = []
    skipped = 0
    for row, record in enumerate(records, 1):
        if str(record.get("state", "standing")) != "standing":
            skipped += 1
            continue
        try:
            answer = _new_answer(record, find, default)
            found.append(_as_gold(answer) if gold else answer)
        except LikewiseError as error:
            problems.append((row, str(error)))
    if problems and not found and not skipped:
        row, reason = problems[0]
        raise LikewiseError(
            f"{source}: none of its {len(records):,} rows can be used; row {row}: {reason}"
        )
    with open_answers(workspace) as store:
        known = {_content(each) for each in store.history() if isinstance(each, Answer)}
        new = [each for each in found if _content(each) not in known]
        added = store.add(sorted(new, key=lambda each: each.time))
    return Imported(source, added, skipped + len(found) - added, tuple(problems))


class ImageFinder:
    """Finds images by id or by path; a path may be relative to here, to a root, to the file."""

    def __init__(self, images: Images, roots: Iterable[Path], beside: Path) -> None:
        self._ids = images.positions
        self._by_path: dict[str, str] = {}
        for row, image in enumerate(images.ids):
            for path in images.paths(row):
                self._by_path[str(path)] = self._by_path[display(str(path))] = str(image)
        self._places = [Path.cwd(), *(root.absolute() for root in roots), beside.absolute()]

    def find(self, record: Record, end: str) -> str:
        """The id of one end ("a" or "b") of a row.

        Raises:
            LikewiseError: the row does not name an image of this workspace.
        """
        image, path = str(record.get(f"id_{end}", "")), str(record.get(f"path_{end}", ""))
        if image in self._ids:
            return image
        for place in self._places if path else ():
            if known := self._by_path.get(os.path.normpath(place / path)):
                return known
        if not image and not path:
            raise LikewiseError(f"neither id_{end} nor path_{end} is given")
        raise LikewiseError(f"no image {path or image} in this workspace")


def _new_answer(record: Record, find: ImageFinder, default: str) -> NewAnswer:
    verdict = str(record.get("verdict", "")).strip().lower()
    known = next((each for each in VERDICTS if each == verdict), None)
    if known is None:
        raise LikewiseError(f"the verdict is {verdict!r}, not {', '.join(VERDICTS)}")
    a, b = pair_of(find.find(record, "a"), find.find(record, "b"))
    annotator = annotator_name(str(record.get("annotator", "")), default)
    given = _time(record["time"]) if "time" in record else None
    content = "\0".join((a, b, known, annotator, given.isoformat() if given else ""))
    return NewAnswer(
        a,
        b,
        known,
        annotator,
        strategy=_text(record.get("strategy", "import")),
        score=_score(record.get("score")),
        fingerprint=_text(record.get("fingerprint", "")),
        time=given or datetime.now(UTC),
        token="import-" + hashlib.blake2b(content.encode(), digest_size=16).hexdigest(),
    )


def _as_gold(answer: NewAnswer) -> NewAnswer:
    """The same as a known truth; it counts as another row, so a file may be imported both ways."""
    return replace(answer, strategy=GOLD, token=f"{answer.token}-gold")


def _time(value: Any) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise LikewiseError(f"the time {str(value)!r} is not like 2026-01-31T12:00:00Z") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _text(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _score(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise LikewiseError(f"the score {str(value)!r} is not a number") from None


def _content(answer: NewAnswer | Answer) -> tuple[object, ...]:
    pair = pair_of(answer.a, answer.b)
    return (*pair, answer.verdict, answer.annotator, answer.time, answer.strategy == GOLD)
