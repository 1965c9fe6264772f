"""The job ``verify``: two images, or the pairs of a file."""

from likewise.errors import UsageError
from likewise.inference.verified_pairs import VerifiedPairs, verify_pairs
from likewise.inference.verifier import Verified, Verifier
from likewise.settings import Verify
from likewise.workspace import Workspace


def verify(workspace: Workspace, settings: Verify) -> Verified | VerifiedPairs:
    """Judge two images, or with ``pairs`` all pairs of a file.

    Raises:
        UsageError: not two images, or settings that make no sense.
        LikewiseError: no embeddings, an image or the file cannot be used, or nothing can be
            written.
    """
    if settings.pairs is not None and settings.images:
        raise UsageError("give two images or --pairs FILE, not both")
    if settings.pairs is None and len(settings.images) != 2:
        raise UsageError("give two images to compare, or --pairs FILE")
    if settings.pairs is not None:
        return verify_pairs(workspace, settings.pairs, settings)
    if settings.out is not None or settings.plot is not None:
        raise UsageError("--out and --plot go with --pairs")
    return Verifier(workspace, settings.far, settings.seed).compare(*settings.images)
