"""Where on Milvus the vectors of a model are: a URL, or a file, and the name of a collection."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from likewise.errors import LikewiseError
from likewise.workspace import Workspace


@dataclass(frozen=True)
class Place:
    """A collection on Milvus."""

    url: str = field(repr=False)
    """``https://user:password@host:port/database``, or the path of a file of Milvus Lite."""
    collection: str

    @property
    def is_file(self) -> bool:
        """Whether it is a file, which one process at a time may open."""
        return "://" not in self.url

    @property
    def server(self) -> str:
        """What pymilvus connects to: the file, or the URL without credentials and database."""
        if self.is_file:
            return self.url
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def shown(self) -> str:
        """What people may read: no credentials."""
        return self.server if self.is_file else self.server + urlsplit(self.url).path

    @property
    def token(self) -> str:
        """``user:password``, or a token alone; empty where the URL has none."""
        if self.is_file:
            return ""
        parts = urlsplit(self.url)
        given = (unquote(each) for each in (parts.username, parts.password) if each)
        return ":".join(given)

    @property
    def database(self) -> str:
        """The database that the URL names; empty: the server's default."""
        return "" if self.is_file else unquote(urlsplit(self.url).path.strip("/"))


def place_for(workspace: Workspace, fingerprint: str) -> Place | None:
    """Where the vectors of a model are to be; None: on this machine, with FAISS.

    Raises:
        LikewiseError: the workspace names something that is neither URL nor file of Milvus.
    """
    url = _url(workspace)
    return Place(url, f"likewise_{workspace.identity()}_{fingerprint}") if url else None


def place_of(workspace: Workspace, collection: str | None) -> Place | None:
    """Where the vectors of a model are; None where they are only here.

    Args:
        workspace: Tells the URL.
        collection: The one that was filled, if any was.

    Raises:
        LikewiseError: the workspace names something that is neither URL nor file of Milvus.
    """
    url = _url(workspace)
    return Place(url, collection) if url and collection else None


def _url(workspace: Workspace) -> str:
    """The URL, or the absolute path of the file; empty where neither is given."""
    given = workspace.vectors_url
    if not given:
        return ""
    if "://" not in given and given.endswith(".db"):
        return str(workspace.path / Path(given).expanduser())
    try:
        parts = urlsplit(given)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        valid = False
    if not valid:
        raise LikewiseError(
            f"`vectors` of {workspace.settings_file} (or LIKEWISE_VECTORS_URL) is neither a URL of "
            "Milvus, as http://host:19530, nor a file of Milvus Lite, as milvus.db"
        )
    return given
