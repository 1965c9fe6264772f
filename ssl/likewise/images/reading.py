"""Files to pixels in child processes, so that a decoder that crashes or hangs costs one file.

Decoders are C code fed with files from anywhere. They run in children; the parent sees only
hashes, pixels and reasons. Files travel in chunks (small images would otherwise cost more to send
than to decode); when a chunk dies, hangs or raises, its files are tried again one by one.
"""

import contextlib
import hashlib
import os
import signal
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import NamedTuple

from pebble import ProcessExpired, ProcessPool

from likewise.cores import available_cores
from likewise.errors import LikewiseError
from likewise.images.decode import TOO_MUCH_MEMORY, Decoded, DecodeError, decode_sized
from likewise.images.limits import MEMORY, bound_memory, content_of
from likewise.images.scan import File
from likewise.interpreter import safe_children

TIMEOUT = 60.0
"""Seconds that a child may spend on one task before it is killed."""

_CHUNK_FILES, _CHUNK_BYTES = 64, 8_000_000
_MAX_RESTARTS = 3


class Outcome(NamedTuple):
    """What came of one file."""

    path: str
    size: int
    """Bytes, as read."""
    mtime_ns: int
    """As read."""
    id: str
    """Hash of the content; empty where it could not be read."""
    image: Decoded | None
    """None for a failure, and for content that was known already."""
    reason: str = ""
    """Why it failed."""
    ctime_ns: int = 0
    """As read; 0 where it could not be."""


@dataclass(frozen=True)
class Reading:
    """How files are read; travels to the children."""

    short_side: int
    known: frozenset[str] = frozenset()
    """Ids of images that are prepared already: these are hashed but not decoded."""
    decode: Callable[..., Decoded] = decode_sized

    def __call__(self, file: File) -> Outcome:
        """Read, hash and decode one file. Never raises for what is in the file."""
        try:
            data, status = content_of(file.path)
        except DecodeError as error:
            return Outcome(file.path, file.size, file.mtime_ns, "", None, str(error))
        except MemoryError:
            return Outcome(file.path, file.size, file.mtime_ns, "", None, TOO_MUCH_MEMORY)
        image_id = hashlib.blake2b(data, digest_size=16).hexdigest()
        image, reason = None, ""
        if image_id not in self.known:
            try:
                image = self.decode(data, short_side=self.short_side)
            except DecodeError as error:
                reason = str(error)
        stamps = status.st_mtime_ns, status.st_ctime_ns
        return Outcome(file.path, len(data), stamps[0], image_id, image, reason, stamps[1])


Reader = Callable[[Sequence[File], Reading, int], Iterator[Outcome]]
"""Outcomes in the order of the files, with so many workers (0: one per core)."""


def in_children(
    files: Sequence[File], reading: Reading, workers: int, timeout: float = TIMEOUT
) -> Iterator[Outcome]:
    """Read files in child processes; yield their outcomes in the files' order.

    Only a few chunks are under way at a time, so memory does not grow with the number of files.

    Raises:
        LikewiseError: the children keep dying before they do anything.
    """
    chunks = list(chunked(files))
    workers = min(workers or available_cores(), max(1, len(chunks)))
    children = _Children(reading, workers, timeout)
    waiting: deque[tuple[list[File], Future[list[Outcome]]]] = deque()
    try:
        for chunk in chunks:
            waiting.append((chunk, children.submit(chunk)))
            if len(waiting) > 2 * workers:
                yield from _finish(children, waiting)
        while waiting:
            yield from _finish(children, waiting)
    finally:
        children.stop()


def chunked(files: Iterable[File]) -> Iterator[list[File]]:
    """Cut into tasks of at most 64 files and about 8 MB."""
    chunk: list[File] = []
    total = 0
    for file in files:
        if chunk and (len(chunk) == _CHUNK_FILES or total + file.size > _CHUNK_BYTES):
            yield chunk
            chunk, total = [], 0
        chunk.append(file)
        total += file.size
    if chunk:
        yield chunk


def _finish(
    children: "_Children", waiting: deque[tuple[list[File], "Future[list[Outcome]]"]]
) -> Iterator[Outcome]:
    """Wait for the first task; in its place put its files one by one if it went wrong."""
    chunk, future = waiting[0]
    error: BaseException | None
    try:
        error = future.exception(timeout=children.patience)  # not raised: it may be SystemExit
    except TimeoutError as late:
        error = late
    if isinstance(error, BrokenProcessPool):
        children.restart()
        again = [(each, children.submit(each)) for each, _ in waiting]
        waiting.clear()
        waiting.extend(again)
        return
    waiting.popleft()
    if error is None:
        children.restarts = 0
        yield from future.result()
    elif len(chunk) == 1:
        yield _lost(chunk[0], error, children.timeout)
    else:
        waiting.extendleft([([each], children.submit([each])) for each in reversed(chunk)])


def _lost(file: File, error: BaseException, timeout: float) -> Outcome:
    """The outcome of a file that took its child with it."""
    if isinstance(error, TimeoutError):
        reason = f"decoding took more than {timeout:g} s"
    elif isinstance(error, ProcessExpired):
        reason = "the decoder crashed on it"
    else:
        reason = f"the decoder failed on it ({type(error).__name__})"
    image_id = ""
    with contextlib.suppress(DecodeError, MemoryError):
        image_id = hashlib.blake2b(content_of(file.path)[0], digest_size=16).hexdigest()
    return Outcome(file.path, file.size, file.mtime_ns, image_id, None, reason, file.ctime_ns)


class _Children:
    """A pool of child processes that can be started afresh."""

    def __init__(self, reading: Reading, workers: int, timeout: float) -> None:
        self.timeout = timeout
        self.restarts = 0
        self._reading, self._workers = reading, workers
        self._pool = self._start()

    @property
    def patience(self) -> float:
        """Seconds after which a task that has neither ended nor timed out is lost."""
        return 3 * self.timeout + 60

    def submit(self, files: list[File]) -> "Future[list[Outcome]]":
        future: Future[list[Outcome]] = self._pool.schedule(
            _read_chunk, args=(files,), timeout=self.timeout
        )
        return future

    def restart(self) -> None:
        self.restarts += 1
        self.stop()
        if self.restarts > _MAX_RESTARTS:
            raise LikewiseError(
                "the processes that decode images keep dying; run the command again to go on, "
                "with --workers 1 if memory is short"
            )
        self._pool = self._start()

    def stop(self) -> None:
        _stop(self._pool)

    def _start(self) -> ProcessPool:
        pool = ProcessPool(
            max_workers=self._workers,
            initializer=_begin_child,
            initargs=(self._reading,),
            context=_Context(),
        )
        try:
            with _interrupts_deferred():  # a child that nobody knows of could not be stopped
                started = pool.active  # asking is what starts it
        except KeyboardInterrupt:
            _stop(pool)
            raise
        if not started:
            raise LikewiseError("could not start the processes that decode images")
        return pool


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


class _Child(SpawnProcess):
    """A process that knows nothing of the script that started it.

    A spawned child usually imports its parent's main script again. Ours need nothing of it, and
    a script without ``if __name__ == "__main__"`` would start over in every child.
    """

    def start(self) -> None:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            with safe_children(), _interrupts_blocked():
                super().start()
        finally:
            sys.modules["__main__"] = main


class _Context(SpawnContext):
    Process = _Child


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C from children for good (they inherit the mask): it is the parent's business."""
    if os.name != "posix":
        yield
        return
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted: list[int] = []
    handlers = {
        each: signal.signal(each, lambda number, _frame: noted.append(number))
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if noted:
        raise KeyboardInterrupt


_reading: Reading | None = None
"""In a child: how it reads."""


def _begin_child(reading: Reading) -> None:
    global _reading
    _reading = reading
    # Decoders complain on stderr about what becomes a reason in the manifest.
    silence = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(silence, descriptor)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # OpenCV's own: a stack for each core
    bound_memory(MEMORY)


def _read_chunk(files: list[File]) -> list[Outcome]:
    if _reading is None:
        raise RuntimeError("a child without instructions")
    return [_reading(file) for file in files]
