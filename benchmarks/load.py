"""How the labeler bears many people at once: each with a page of their own, pictures and pauses.

    python -m benchmarks.load [--people 25] [--pause 2] [--minutes 12] [--images 10000]

Every person opens a session of Streamlit over its websocket, fetches the pictures of each screen as
a browser does (once), looks, and answers. Before, so many pictures are fetched as the server keeps:
it is one that has run for long. Timed is an answer's way to the server and back with the
next screens, at the client, which shares the machine. Prints a Markdown table.
"""

import argparse
import asyncio
import json
import math
import os
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg

from benchmarks.labeler import at, cluster_of, make_workspace, megabytes, percentiles
from benchmarks.labeler_server import running
from likewise.images.store import open_images
from likewise.workspace import Workspace
from likewise_labeler.passes import issue
from likewise_labeler.pictures import BOUND, Pictures
from likewise_labeler.secret import secret

WARM = 1 / 6
"""Share of the time after which memory should not grow any more: the last ten minutes of twelve."""
EVERY = 5.0
"""Seconds between two looks at memory."""


@dataclass
class Load:
    """What many people met."""

    people: int
    pause: float
    seconds: float
    answered: list[float] = field(default_factory=list)
    """Milliseconds of each answer."""
    pictures: int = 0
    errors: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    """Megabytes of the server, every `EVERY` seconds."""

    def at(self, percent: float) -> float:
        """A percentile of the milliseconds."""
        return at(self.answered or [math.nan], percent)

    @property
    def growth(self) -> float:
        """Megabytes a minute by which the server grew once it was warm, by least squares."""
        kept = self.memory[int(WARM * len(self.memory)) :]
        if len(kept) < 2:
            return 0.0
        return float(np.polyfit(np.arange(len(kept)) * EVERY / 60, kept, 1)[0])

    def row(self) -> str:
        """A line of the table."""
        took = percentiles(self.answered or [math.nan])
        return (
            f"| {self.people} | {self.pause:g} | {self.seconds / 60:.1f} | {len(self.answered):,} |"
            f" {self.pictures:,} | {took} | {len(self.errors)} | "
            f"{self.memory[0]:.0f} → {self.memory[-1]:.0f} | {self.growth:+.2f} |"
        )


HEAD = """\
| people | s per answer | minutes | answers | pictures | answer, p50 / p95 / max (ms) | errors \
| server (MB) | MB a minute, warm |
|---|---|---|---|---|---|---|---|---|"""


def measure(
    workspace: Workspace, url: str, process: int, people: int, pause: float, seconds: float
) -> Load:
    """Let so many people answer, ``pause`` seconds each, at the server of a workspace."""
    os.environ["LIKEWISE_WORKSPACE"] = str(workspace.path)  # whose secret signs the passes
    load = Load(people, pause, seconds)
    _fill(workspace, url)
    with ThreadPoolExecutor(1) as own:  # this thread may have a loop of its own
        own.submit(asyncio.run, _crowd(load, url, process)).result()
    return load


def _fill(workspace: Workspace, url: str) -> None:
    """Fetch pictures until the server keeps as many as it ever will."""
    images = open_images(workspace)
    pictures, fetched = Pictures(images, images.sizes, secret(workspace)), 0
    headers = {"Authorization": f"Bearer {issue('filler')}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        for image in images.ids:
            reply = client.get(pictures.address(str(image), "full"))
            reply.raise_for_status()
            fetched += len(reply.content)
            if fetched > BOUND:
                break


async def _crowd(load: Load, url: str, process: int) -> None:
    end = time.perf_counter() + load.seconds
    # Before uvicorn closes what was idle for 5 s; a browser asks again where that crosses.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=4)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
        everybody = [_person(load, client, url, number, end) for number in range(load.people)]
        await asyncio.gather(_watch(load, process, end), *everybody)


async def _watch(load: Load, process: int, end: float) -> None:
    while time.perf_counter() < end:
        load.memory.append(megabytes(process))
        await asyncio.sleep(EVERY)


async def _person(load: Load, client: httpx.AsyncClient, url: str, number: int, end: float) -> None:
    name, dice = f"person {number}", random.Random(number)
    headers = {"Authorization": f"Bearer {issue(name)}"}
    seen: set[str] = set()
    await asyncio.sleep(dice.uniform(0, load.pause))
    try:
        async with websockets.connect(
            f"{url.replace('http', 'ws')}/_stcore/stream", subprotocols=_PROTOCOL, max_size=None
        ) as page:
            message = BackMsg()
            message.rerun_script.query_string = f"annotator={name}"
            await page.send(message.SerializeToString())
            reading = asyncio.create_task(_read(page))
            told = await _post(load, client, headers, [])
            while time.perf_counter() < end and told:
                screens = told["screens"]
                await _fetch(load, client, screens, seen)
                await asyncio.sleep(max(0.35, dice.gauss(load.pause, load.pause / 4)))
                if not screens:
                    raise RuntimeError("nothing left to answer")
                told = await _post(load, client, headers, [_answer(screens[0])])
            reading.cancel()
    except Exception as error:
        load.errors.append(f"{name}: {error!r}")


_PROTOCOL: Any = ["streamlit"]


async def _read(page: Any) -> None:
    async for _ in page:
        pass


async def _post(
    load: Load, client: httpx.AsyncClient, headers: dict[str, str], ops: list[Any]
) -> Any:
    start = time.perf_counter()
    body = {"kind": "pair", "ops": ops}
    reply = await client.post("/likewise/label", json=body, headers=headers)
    took = (time.perf_counter() - start) * 1000
    told = reply.json()
    if reply.status_code != 200 or told["outcomes"] != ["stored"] * len(ops):
        load.errors.append(json.dumps(told)[:200])
        return None
    if ops:
        load.answered.append(took)
    return told


async def _fetch(load: Load, client: httpx.AsyncClient, screens: list[Any], seen: set[str]) -> None:
    addresses = [
        image["full"] for screen in screens for image in (screen["anchor"], *screen["candidates"])
    ]
    for address in dict.fromkeys(addresses):
        if address not in seen:
            seen.add(address)
            reply = await client.get(address)
            load.pictures += 1
            if reply.status_code != 200:
                load.errors.append(f"{address}: {reply.status_code}")


def _answer(screen: Any) -> dict[str, Any]:
    """The truth, as people mostly say it."""
    own = cluster_of(screen["anchor"]["name"])
    verdicts = {
        each["id"]: "similar" if cluster_of(each["name"]) == own else "dissimilar"
        for each in screen["candidates"]
    }
    return {"op": "answer", "token": screen["token"], "verdicts": verdicts, "seen": 1.0}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=25)
    parser.add_argument("--pause", type=float, default=2.0)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "labeler")
    options = parser.parse_args()
    workspace = make_workspace(options.folder, options.images)
    for each in workspace.path.glob("labels.db*"):
        each.unlink()
    with running(workspace) as (url, process):
        seconds = options.minutes * 60
        load = measure(workspace, url, process, options.people, options.pause, seconds)
    print(HEAD)
    print(load.row())
    for error in load.errors[:5]:
        print(error)


if __name__ == "__main__":
    main()
