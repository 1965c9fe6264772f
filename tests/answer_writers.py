"""People who answer without pause, in processes that a test kills: what was acknowledged is noted.

    python -m tests.answer_writers URL FOLDER CLIENTS REPLIES KILLS SEED

Each client sends one reply after the other, of 1 to 24 answers, and appends a line to a file of its
own once a reply was acknowledged. What was sent and never acknowledged is sent again, as a browser
does. KILLS of the clients are killed (SIGKILL) on the way and replaced.
"""

import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

from likewise.answers.store import AnswerStore, NewAnswer
from likewise.errors import LikewiseError

MOST = 24
TOKEN = "{client}-{reply}-{place}"


def replies(client: int, first: int) -> list[NewAnswer]:
    """The answers of a client's reply, the same however often they are made."""
    count = 1 if first % 2 else random.Random(f"{client} {first}").randint(1, MOST)
    return [
        NewAnswer(
            f"{client:02}",
            f"{client:02}-{first}-{place}",
            "similar",
            f"person {client}",
            token=TOKEN.format(client=client, reply=first, place=place),
        )
        for place in range(count)
    ]


def replies_acknowledged(folder: Path) -> int:
    """How many replies were acknowledged so far."""
    return sum(file.read_bytes().count(b"\n") for file in folder.glob("client-*"))


def acknowledged(folder: Path) -> set[str]:
    """Tokens of all answers that were acknowledged; a line that is cut short is none."""
    found = set()
    for file in folder.glob("client-*"):
        client = int(file.name.partition("-")[2])
        for line in file.read_text().split("\n")[:-1]:
            found |= {each.token for each in replies(client, int(line))}
    return found


def answer(url: str, folder: Path, client: int) -> None:
    """Go on where this client was, until the file ``stop`` is there."""
    file = folder / f"client-{client}"
    lines = file.read_text().split("\n") if file.exists() else [""]
    reply = len(lines) - 1
    store: AnswerStore | None = None
    with file.open("r+b" if file.exists() else "wb") as notes:
        notes.truncate(sum(len(line) + 1 for line in lines[:-1]))
        notes.seek(0, os.SEEK_END)
        while not (folder / "stop").exists():
            try:
                store = store or AnswerStore(url)
                store.add(replies(client, reply))
            except LikewiseError:  # the server is gone, or others write for half a minute
                time.sleep(0.05)
                continue
            os.write(notes.fileno(), f"{reply}\n".encode())
            reply += 1
    if store is not None:
        store.close()


def several(url: str, folder: Path, clients: range) -> None:
    """Clients in threads, each with connections of its own."""
    threads = [Thread(target=answer, args=(url, folder, each)) for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def start(url: str, folder: Path, client: int) -> int:
    """A client in a process of its own; its number."""
    process = os.fork()
    if process == 0:
        with suppress(BaseException):
            answer(url, folder, client)
            os._exit(0)
        os._exit(1)
    return process


def main() -> None:
    """Kill and replace until enough was answered; then let the rest end."""
    url, folder = sys.argv[1], Path(sys.argv[2])
    clients, wanted, kills, seed = map(int, sys.argv[3:])
    dice = random.Random(seed)
    running = [start(url, folder, client) for client in range(clients)]
    killed = 0
    while killed < kills or replies_acknowledged(folder) < wanted:
        time.sleep(dice.uniform(0.01, 0.2) if killed < kills else 0.5)
        client = dice.randrange(clients)
        if killed < kills:
            os.kill(running[client], signal.SIGKILL)
            _, status = os.waitpid(running[client], 0)
            assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "it failed before"
            killed += 1
            running[client] = start(url, folder, client)
    (folder / "stop").touch()
    codes = [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in running]
    assert codes == [0] * clients, codes


if __name__ == "__main__":
    main()
