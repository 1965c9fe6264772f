"""Python in child processes, which import nothing that lies in the present folder.

``python -m`` and ``python -c`` look for modules there first, and people work in folders that they
got from somewhere: a ``json.py`` among the images would be run.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLE = "PYTHONSAFEPATH"


def module_command(name: str) -> tuple[str, ...]:
    """The command line that runs a module, to be followed by its arguments."""
    return (sys.executable, "-P", "-m", name)


@contextmanager
def safe_children() -> Iterator[None]:
    """What is started meanwhile, by whatever library, is Python that looks nowhere else."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
