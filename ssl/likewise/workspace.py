"""The folder on disk: where things lie, which format they have, who may write now."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomlkit
from filelock import FileLock, Timeout

from likewise import ranks
from likewise.errors import LikewiseError
from likewise.files import reason_of, write_text

FORMAT = 1
SETTINGS_FILE = "workspace.toml"


@dataclass(frozen=True)
class WorkspaceConfig:
    """What ``workspace.toml`` says."""

    roots: tuple[Path, ...] = ()
    """Folders and lists that were ingested."""
    store_size: int = 256
    """Short side of the prepared copies, in pixels."""
    hold_out: float = 0.0
    """Share of the images that is never trained on nor asked about, 0 to 1."""
    database: str = ""
    """SQLAlchemy URL of the answers; empty: ``labels.db`` in the workspace."""
    vectors: str = ""
    """URL of Milvus, or a file of Milvus Lite, where vectors are searched; empty: FAISS, here."""
    id: str = ""
    """Tells the collections of workspaces on one Milvus apart; drawn when first needed."""


def find_workspace(given: Path | None, start: Path | None = None) -> Path:
    """The workspace a command means.

    In order: ``given``; ``$LIKEWISE_WORKSPACE``; the nearest folder from ``start`` upward that
    holds a ``workspace.toml``; ``./workspace``.
    """
    if given is not None:
        return given.expanduser().absolute()
    if named := os.environ.get("LIKEWISE_WORKSPACE"):
        return Path(named).expanduser().absolute()
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / SETTINGS_FILE).is_file():
            return folder
    return here / "workspace"


class Workspace:
    """A folder that holds everything Likewise makes of one set of images.

    ``Workspace(path)`` touches nothing; `create` makes the folder, `require` insists on it.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = find_workspace(Path(path) if path is not None else None)

    def __repr__(self) -> str:
        return f"Workspace({str(self.path)!r})"

    @property
    def settings_file(self) -> Path:
        """workspace.toml."""
        return self.path / SETTINGS_FILE

    @property
    def manifest_file(self) -> Path:
        """The table of all images."""
        return self.path / "images.parquet"

    @property
    def runs(self) -> Path:
        """One folder per training run."""
        return self.path / "runs"

    @property
    def embeddings(self) -> Path:
        """One folder per model, named by its fingerprint."""
        return self.path / "embeddings"

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the answers: the environment, then workspace.toml, then SQLite."""
        return (
            os.environ.get("LIKEWISE_DATABASE_URL")
            or self.config.database
            or f"sqlite:///{self.path / 'labels.db'}"
        )

    @property
    def vectors_url(self) -> str:
        """Where vectors are searched: the environment, then workspace.toml; empty: FAISS, here."""
        return os.environ.get("LIKEWISE_VECTORS_URL") or self.config.vectors

    def identity(self) -> str:
        """16 hex digits that no other workspace has, kept in workspace.toml."""
        if not self.config.id:
            self.update(id=secrets.token_hex(8))
        return self.config.id

    def exists(self) -> bool:
        """Whether there is a workspace here."""
        return self.settings_file.is_file()

    def require(self) -> "Workspace":
        """Return self.

        Raises:
            LikewiseError: there is no workspace here.
        """
        if not self.exists():
            raise LikewiseError(
                f"no workspace at {self.path}; make one with `likewise ingest IMAGES "
                f"--workspace {self.path}`"
            )
        return self

    def create(self) -> "Workspace":
        """Make the folder and its settings file unless they are there; return self.

        Raises:
            LikewiseError: the folder cannot be written, or holds something else.
        """
        if self.exists():
            return self
        if self.path.exists() and not self.path.is_dir():
            raise LikewiseError(f"{self.path} is a file; choose another --workspace")
        self._write_config(WorkspaceConfig())
        return self

    @property
    def config(self) -> WorkspaceConfig:
        """What workspace.toml says; the defaults where there is none yet.

        Raises:
            LikewiseError: the file cannot be read or has a newer format.
        """
        if not self.exists():
            return WorkspaceConfig()
        document = self._document()
        if document.get("format") != FORMAT:
            raise LikewiseError(
                f"{self.settings_file} has format {document.get('format')}, this version of "
                f"Likewise reads format {FORMAT}; upgrade with `pip install -U likewise`"
            )
        try:
            return WorkspaceConfig(
                roots=tuple(Path(root) for root in document.get("roots", ())),
                store_size=int(document.get("store_size", WorkspaceConfig.store_size)),
                hold_out=float(document.get("hold_out", WorkspaceConfig.hold_out)),
                database=str(document.get("database", "")),
                vectors=str(document.get("vectors", "")),
                id=str(document.get("id", "")),
            )
        except (TypeError, ValueError) as error:
            raise LikewiseError(f"{self.settings_file}: {reason_of(error)}") from error

    def update(self, **changes: Any) -> None:
        """Change some fields of workspace.toml; comments and unknown keys stay."""
        self._write_config(replace(self.config, **changes))

    def _document(self) -> tomlkit.TOMLDocument:
        try:
            return tomlkit.parse(self.settings_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LikewiseError(f"could not read {self.settings_file}: {error}") from error

    def _write_config(self, config: WorkspaceConfig) -> None:
        document = self._document() if self.exists() else tomlkit.document()
        document["format"] = FORMAT
        document["roots"] = [str(root) for root in config.roots]
        document["store_size"] = config.store_size
        document["hold_out"] = config.hold_out
        document["database"] = config.database
        document["vectors"] = config.vectors
        if config.id:
            document["id"] = config.id
        write_text(self.settings_file, tomlkit.dumps(document))

    @contextmanager
    def lock(self, what: str) -> Iterator[None]:
        """Hold the right to write ``what`` ("images", "runs", "embeddings").

        Of the processes of a `torchrun` only the first one writes, and holds it for all.

        Raises:
            LikewiseError: another process holds it.
        """
        if not ranks.here().first:
            yield
            return
        path = self.path / f".{what}.lock"
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise LikewiseError(
                f"another likewise command is writing the {what} of {self.path}; "
                "wait until it ends, or stop it"
            ) from None
        except OSError as error:
            raise LikewiseError(f"could not write {path}: {reason_of(error)}") from error
        try:
            yield
        finally:
            lock.release()
