"""Commands that `tests.test_ranks` has `torchrun` run: ``-m tests.rank_job PLAN``.

The plan is JSON, a list of steps that every process goes through in turn:

``["likewise", WORD, ...]``        a command; its exit code is noted in ``PLAN.RANK``
``["signal", WHO, NUMBER, COUNT]``  process 1 sends a signal to "itself" or the "launcher" after its
                                   optimizer's COUNTth step, or COUNT batches that it embedded
``["check", NAME]``                a function of `tests.rank_checks`
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from likewise import cli, ranks
from likewise.neighbours.parts import Part


def main(plan: Path) -> None:
    noted, code = [], 0
    for kind, *words in json.loads(plan.read_text("utf-8")):
        if kind == "likewise":
            noted.append(code := cli.run(words))
        elif kind == "signal":
            _signal_after(*words)
        else:
            from tests import rank_checks  # timm takes its time

            getattr(rank_checks, words[0])()
            code = 0
        plan.with_suffix(f".{ranks.here().number}").write_text(json.dumps(noted))
    os._exit(code)


def _signal_after(who: str, number: int, count: int) -> None:
    if ranks.here().number != 1:
        return
    left = count

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            nonlocal left
            done = work(*arguments)
            left -= 1
            if left == 0:
                _signal(who, number)
            return done

        return watched

    torch.optim.SGD.step = counted(torch.optim.SGD.step)  # type: ignore[method-assign]
    Part.add = counted(Part.add)  # type: ignore[method-assign]


def _signal(who: str, number: int) -> None:
    if file := os.environ.get("TOLD"):
        Path(file).with_name("told.signal").write_text(str(time.time()))
    if who == "itself":
        os.kill(os.getpid(), number)
    else:
        os.kill(os.getppid(), number)
        time.sleep(2)  # until the launcher has passed it on


if __name__ == "__main__":
    main(Path(sys.argv[1]))
