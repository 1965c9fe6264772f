"""Where and with what results were made: the head of a dated report."""

import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from likewise.cores import available_cores

PACKAGES = ("torch", "timm", "numpy", "scikit-learn", "faiss-cpu", "pytorch-metric-learning")


def today() -> str:
    """The date in UTC."""
    return datetime.now(UTC).date().isoformat()


def described(code: str, module: str = "benchmarks.answers") -> str:
    """Date, command, machine, versions and the digest of the sources, as Markdown."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    command = shlex.join(["python", "-m", module, *sys.argv[1:]])
    return (
        f"{today()}\n\n    {command}\n\n"
        f"Machine: {available_cores()} cores, {processor()}, no GPU used, {platform.system()}, "
        f"Python {platform.python_version()}, {packages}. Sources: {code}.\n"
    )


def processor() -> str:
    """The processor's name, as far as the system tells."""
    listed = Path("/proc/cpuinfo")
    for line in listed.read_text("utf-8").splitlines() if listed.exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
