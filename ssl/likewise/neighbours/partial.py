"""Vectors of an embedding job that was not finished."""

import shutil
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from likewise.errors import LikewiseError
from likewise.files import read_json, reason_of, write_json


class Partial:
    """Vectors of an unfinished job, flushed as they come, so that the next run goes on.

    A plain file, not a memory map: a full disk kills a process that writes to a map.
    """

    def __init__(self, folder: Path, ids: list[str], dim: int) -> None:
        self.folder, self.dim = folder, dim
        self.file = folder / "vectors.f32"
        plan = {"ids": ids, "dim": dim}
        try:
            if not (folder / "plan.json").is_file() or read_json(folder / "plan.json") != plan:
                shutil.rmtree(folder, ignore_errors=True)
                write_json(folder / "plan.json", plan)
            self.out = self.file.open("ab")
            self.done = self.out.tell() // (4 * self.dim)
            self.out.truncate(4 * self.dim * self.done)
        except OSError as error:
            raise LikewiseError(f"could not write {self.file}: {reason_of(error)}") from error

    def __enter__(self) -> "Partial":
        return self

    def __exit__(self, *_: object) -> None:
        self.out.close()

    def add(self, vectors: Float32[np.ndarray, "B D"]) -> None:
        """Write the next vectors."""
        try:
            self.out.write(np.ascontiguousarray(vectors).data)
            self.out.flush()
        except OSError as error:
            raise LikewiseError(f"could not write {self.file}: {reason_of(error)}") from error
        self.done += len(vectors)

    def vectors(self) -> Float32[np.ndarray, "M D"]:
        """All that were written."""
        if not self.done:
            return np.empty((0, self.dim), np.float32)
        return np.memmap(self.file, np.float32, "r", shape=(self.done, self.dim))

    def remove(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)
