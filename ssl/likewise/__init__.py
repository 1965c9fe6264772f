"""Likewise: images and a few hundred same/different answers become an embedding."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Workspace", "__version__"]

if TYPE_CHECKING:
    from likewise.api import Workspace


def __getattr__(name: str) -> Any:
    """Import the API at its first use, so that ``import likewise`` stays instant."""
    if name == "Workspace":
        from likewise.api import Workspace

        return Workspace
    raise AttributeError(f"module 'likewise' has no attribute {name!r}")
