"""How the report and the models came about, so that it can be checked and done again; and words."""

import contextlib
import platform
import re
import shlex
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from likewise import __version__
from likewise.jobs.next_step import flags
from likewise.models.runs import Run, read_config
from likewise.report.page import Section, Table, commands, definitions, heading, paragraph, table
from likewise.report.subject import Subject
from likewise.settings import Adopt, Finetune, Pretrain

_PACKAGES = ("torch", "torchvision", "timm", "faiss-cpu", "numpy", "pillow")
_PICTURE = re.compile('src="[^"]*"')
_TERMS = (
    ("embedding", "A list of numbers for each image; similar images get similar lists."),
    ("similarity", "Cosine of two embeddings: 1 is alike, 0 or less is unlike."),
    ("answer", "What one person said of one pair of images: similar, dissimilar or unsure."),
    ("held out", "Images, or answers, that nothing was trained on, kept to measure with."),
    ("interval", "Where the truth lies: 95 times in 100, unless said otherwise."),
    ("recall@1", "How often the most similar image is of the same class."),
    ("recall@5", "How often one of the five most similar ones is."),
    ("MAP@R", "How pure the neighbourhood of the size of its class is around an image, 0 to 1."),
    ("AUC", "Chance that a same pair is more similar than a different one; 0.5 is guessing."),
    (
        "EER",
        "Equal error rate: the share of wrong decisions at the threshold where as many same pairs "
        "are missed as different ones pass.",
    ),
    ("kNN", "The class that most of the 20 nearest images have."),
    ("kappa", "Agreement of people beyond what chance gives: 1 is perfect, 0 is chance."),
    ("raw pixels", "The baseline: images compared pixel by pixel, with nothing learnt."),
    ("fingerprint", "Hash of a model's weights: two models with the same one are the same."),
)


def making_section(subject: Subject) -> Section:
    """Commands, settings, fingerprints, versions, dates and seeds."""
    rows = [
        [run.name, run.kind, _state(run), run.started[:16], _version(run)] for run in subject.runs
    ]
    body = []
    if rows:
        header = ["run", "kind", "fingerprint", "began (UTC)", "Likewise"]
        body += [heading("Runs"), table(Table(header, rows))]
    body += [heading("Commands"), commands(_commands(subject))]
    count = len(subject.ledger.standing)
    if count:
        told = (
            f"The {count:,} answers lie in the workspace's database; `likewise answers export` "
            "writes them to a file."
        )
        body.append(paragraph(told, "note"))
    facts = [
        ("made", f"{subject.now:%Y-%m-%d %H:%M} UTC"),
        ("seed", str(subject.settings.seed)),
        ("workspace", str(subject.workspace.path)),
        ("versions", ", ".join(_versions())),
    ]
    body += [heading("This report"), definitions(facts)]
    return Section(
        "How it was made",
        "The same commands on the same images, answers and versions give the same models. Images "
        "are known by a hash of their content, models by a fingerprint of their weights.",
        body,
    )


def words_section(sections: Sequence[Section]) -> Section:
    """What the words mean that these sections use."""
    text = " ".join(f"{each.title} {each.lead} {' '.join(each.body)}" for each in sections)
    seen = _PICTURE.sub("", text)
    used = [each for each in _TERMS if any(word in seen for word in each[0].split(", "))]
    return Section("What the words mean", "", [definitions(used)])


def _commands(subject: Subject) -> list[str]:
    """What was typed, as far as the workspace knows; on a terminal or on the Train page."""
    config = subject.workspace.config
    roots = [str(root) for root in config.roots]
    told = [["likewise", "ingest", *roots]]
    told[0] += ["--hold-out", f"{config.hold_out:g}"] if config.hold_out else []
    names = {run.fingerprint: run.name for run in subject.runs if run.finished}
    for run in subject.runs:
        given = run.settings | {"name": run.name}
        match run.kind:
            case "adopt":
                wanted = flags(Adopt(backbone=""), given | {"backbone": ""})
                line = ["adopt", str(given["backbone"]), *wanted]
            case "pretrain":
                line = ["pretrain", *flags(Pretrain(), given)]
            case "finetune":
                given["model"] = names.get(run.parent or "")
                line = ["finetune", *flags(Finetune(), given)]
        told.append(["likewise", *line])
        if run.finished:
            told.append(["likewise", "embed", "--model", run.name])
    asked = {"run": subject.settings.run, "truth": subject.settings.truth}
    last = ["likewise", "report"]
    for name, value in asked.items():
        last += [f"--{name}", value] if value else []
    return [shlex.join(each) for each in [*told, last]]


def _state(run: Run) -> str:
    if run.finished:
        return run.fingerprint[:16]
    return "no better model" if run.kept else "unfinished"


def _version(run: Run) -> str:
    return str(read_config(run.folder).get("version", "unknown"))


def _versions() -> Iterator[str]:
    yield f"Likewise {__version__}"
    yield f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            yield f"{name} {version(name)}"
