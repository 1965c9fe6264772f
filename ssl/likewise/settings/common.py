"""What all settings have in common."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Preset = Literal["auto", "natural", "grey", "glyph"]

Precision = Literal["auto", "float32", "bfloat16"]

MemoryFormat = Literal["auto", "channels_last", "contiguous"]

Compile = Literal["auto", "on", "off"]

ViewsOn = Literal["auto", "cpu", "device"]


@dataclass(frozen=True, kw_only=True)
class Common:
    """Flags that every command takes."""

    workspace: Path | None = None
    """Folder that holds everything Likewise makes. [default: $LIKEWISE_WORKSPACE, else the
    nearest folder upward with a workspace.toml, else ./workspace]"""
    json: bool = False
    """Print one JSON object on stdout; all else goes to stderr."""
    debug: bool = False
    """On failure, show the traceback."""


def config_of(settings: Common) -> dict[str, Any]:
    """The settings that define a run, ready for JSON.

    Without the flags every command takes, and without --fresh, which only says what to do with
    an unfinished run.
    """
    common = {each.name for each in dataclasses.fields(Common)} | {"fresh"}
    config = {
        each.name: getattr(settings, each.name)
        for each in dataclasses.fields(settings)
        if each.name not in common
    }
    return {key: str(value) if isinstance(value, Path) else value for key, value in config.items()}
