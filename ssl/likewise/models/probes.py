"""What was measured on this machine, remembered for the next time.

A JSON file in ``$LIKEWISE_CACHE``, else ``$XDG_CACHE_HOME/likewise``, else ``~/.cache/likewise``.
To measure anew, remove it.
"""

import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch

from likewise.cores import Elsewhere, available_cores
from likewise.errors import LikewiseError
from likewise.files import read_json, write_json

BUSY = 0.25
"""Cores kept busy by others from which on a measurement is used, but not remembered."""
_PROCESSORS = Path("/proc/cpuinfo")


def probed(key: str, measure: Callable[[], dict[str, float]]) -> tuple[dict[str, float], str]:
    """Seconds that each way takes, measured now or before, and when, for people.

    Args:
        key: What is measured; "" is never remembered. Processor, cores and the version of torch
            are added.
        measure: Seconds by way.
    """
    file = _folder() / "probes.json"
    whole = f"{key} ({_machine()})"
    known = _read(file)
    if key and whole in known:
        seconds, day = known[whole]
        return seconds, f"measured {day}"
    elsewhere = Elsewhere()
    found = measure()
    if key and elsewhere.busy() < BUSY:
        today = datetime.now(UTC).date().isoformat()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, _read(file) | {whole: (found, today)})
        except (OSError, LikewiseError):
            pass  # no home, or a full one: it is measured again next time
    return found, "measured now"


def _folder() -> Path:
    if own := os.environ.get("LIKEWISE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "likewise"


def _read(file: Path) -> dict[str, tuple[dict[str, float], str]]:
    """What is remembered; nothing where the file is missing, damaged, or of another form."""
    try:
        content = read_json(file)
        return {
            str(key): ({str(way): float(took) for way, took in seconds.items()}, str(day))
            for key, (seconds, day) in content.items()
        }
    except (OSError, LikewiseError, json.JSONDecodeError, AttributeError, TypeError, ValueError):
        return {}


def _machine() -> str:
    """What measurements depend on, beside what is measured."""
    name = platform.processor() or platform.machine()
    if _PROCESSORS.exists():
        lines = _PROCESSORS.read_text("utf-8", "replace").splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{name}, {available_cores()} cores, {gpu}, torch {torch.__version__}"
