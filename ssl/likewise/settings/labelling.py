"""Settings of commands that ask and keep answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from likewise.settings.common import Common

Strategy = Literal[
    "cover-place-spread",
    "likely-first",
    "uncertain",
    "nearest",
    "neighbours",
    "random",
]


@dataclass(frozen=True, kw_only=True)
class Label(Common):
    """Start the app in which people answer "same or different?"."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8501
    """Port to listen on."""
    strategy: Strategy = "cover-place-spread"
    """Which pairs to ask about: cover-place-spread (finds the group of each image),
    likely-first (for many small groups), uncertain, nearest, neighbours (at most a quarter of very
    similar pairs), random."""
    second_share: float = 0.1
    """Share of the answered pairs (0 to 1) that a second person is shown, unaware of it."""
    readers: int = 2
    """By how many people these pairs are answered in all: with --second-share 1 every pair."""
    refresh: int = 0
    """After so many new answers, 25 for example, teach a new head in the background and propose
    pairs with it. 0: never."""
    ssl_cert: Path | None = None
    """Certificate (PEM), to serve https."""
    ssl_key: Path | None = None
    """Its private key (PEM)."""
    browser: bool = True
    """Only start the app; open no browser window."""


@dataclass(frozen=True, kw_only=True)
class PeopleAdd(Common):
    """Let a person sign in to the labeler; asks for a password. Again: a new password."""

    name: Positional[str]
    """The name under which answers are stored; with --oidc the e-mail address."""
    password_stdin: bool = False
    """Read the password from standard input instead of asking."""
    oidc: bool = False
    """The person signs in with the identity provider instead of a password."""


@dataclass(frozen=True, kw_only=True)
class PeopleList(Common):
    """List who may sign in to the labeler."""


@dataclass(frozen=True, kw_only=True)
class PeopleRemove(Common):
    """Let a person sign in no more; their answers stay."""

    name: Positional[str]
    """Name or e-mail address, as listed."""


@dataclass(frozen=True, kw_only=True)
class AnswersExport(Common):
    """Write all answers to a CSV, JSONL, Parquet or Label Studio (.json) file, by suffix."""

    file: Positional[Path]
    """File to write. With .json the labeling configuration is written beside it (.xml)."""
    history: bool = False
    """Include corrected and undone answers."""


@dataclass(frozen=True, kw_only=True)
class AnswersImport(Common):
    """Read answers from a CSV, JSONL, Parquet or Label Studio (.json) file, by suffix."""

    file: Positional[Path]
    """Label Studio's JSON export, or columns: path_a, path_b (or id_a, id_b), verdict; annotator
    and time if known."""
    annotator: str = "import"
    """Who answered, where the file does not say."""
    gold: bool = False
    """The verdicts are known truths: they settle their pairs and test the people who answer."""


@dataclass(frozen=True, kw_only=True)
class AnswersVerify(Common):
    """Look whether every row of answers is as it was written."""

    file: Positional[Path | None] = None
    """A backup to look at. [default: the answers of the workspace]"""
    noted: str | None = None
    """Digest of a row that was the last one once: it must still be there."""


@dataclass(frozen=True, kw_only=True)
class AnswersBackup(Common):
    """Write all answers, and who may sign in, to one file, while people go on."""

    file: Positional[Path]
    """File to write (SQLite, also of answers in PostgreSQL). It replaces an older one."""


@dataclass(frozen=True, kw_only=True)
class AnswersRestore(Common):
    """Add what a backup holds and the workspace does not; nothing is replaced."""

    file: Positional[Path]
    """File that `likewise answers backup` wrote."""


@dataclass(frozen=True, kw_only=True)
class Simulate(Common):
    """Let a simulated annotator answer proposals from a known truth (for benchmarks)."""

    budget: int = 200
    """How many questions to answer."""
    truth: str = "folders"
    """folders (class = parent folder), or a CSV with columns path (or id) and class."""
    strategy: Strategy = "cover-place-spread"
    """Which pairs to ask about."""
    noise: float = 0.0
    """Share of the answers that is wrong (0 to 1)."""
    annotator: str = "simulated"
    """Name the answers are stored under."""
    seed: int = 0
    """Seed of everything random."""
