"""The jobs ``gallery add``, ``remove``, ``list`` and ``classify``."""

from dataclasses import replace
from pathlib import Path

from likewise.errors import UsageError
from likewise.files import replacing
from likewise.inference.classified import COLUMNS, Classified
from likewise.inference.gallery import Gallery
from likewise.inference.gallery_changes import GalleryAdded, GalleryListed, GalleryRemoved
from likewise.inference.table_files import check_suffix, write_table
from likewise.settings import GalleryAdd, GalleryClassify, GalleryList, GalleryRemove
from likewise.workspace import Workspace


def gallery_add(workspace: Workspace, settings: GalleryAdd) -> GalleryAdded:
    """Add exemplars to a class, or a folder of class folders.

    Raises:
        UsageError: name and images, or the folder, are missing or make no sense.
        LikewiseError: there is no workspace, nothing could be added, or not be stored.
    """
    if settings.from_folders is not None:
        if settings.name or settings.images:
            raise UsageError("give a name and images, or --from-folders DIR, not both")
        return Gallery(workspace).add_folders(settings.from_folders)
    if not settings.name:
        raise UsageError("give the name of the class and its images, or --from-folders DIR")
    return Gallery(workspace).add(settings.name, *settings.images)


def gallery_remove(workspace: Workspace, settings: GalleryRemove) -> GalleryRemoved:
    """Remove a class, or some of its exemplars.

    Raises:
        LikewiseError: there is no such class or exemplar.
    """
    return Gallery(workspace).remove(settings.name, *settings.images)


def gallery_list(workspace: Workspace, settings: GalleryList) -> GalleryListed:
    """List the classes.

    Raises:
        LikewiseError: there is no workspace, or the sheet cannot be written.
    """
    gallery = Gallery(workspace)
    listed = gallery.classes()
    if settings.sheet is None or not listed.classes:
        return listed
    from likewise.inference.gallery_sheet import exemplar_sheet

    _write(settings.sheet, exemplar_sheet(gallery, listed))
    return replace(listed, sheet=str(settings.sheet))


def gallery_classify(workspace: Workspace, settings: GalleryClassify) -> Classified:
    """Recognise images.

    Raises:
        UsageError: a setting makes no sense.
        LikewiseError: the gallery is empty, there are no embeddings, no image can be used, or a
            file cannot be written.
    """
    check_suffix(settings.out)
    gallery = Gallery(workspace)
    found = gallery.classify(*settings.images, closed_set=settings.closed_set, far=settings.far)
    if settings.out is not None:
        write_table(settings.out, [each.record() for each in found.results], COLUMNS)
    if settings.sheet is not None:
        from likewise.inference.gallery_sheet import classified_sheet

        _write(settings.sheet, classified_sheet(gallery, found))
    return replace(found, out=settings.out, sheet=settings.sheet)


def _write(file: Path, picture: bytes) -> None:
    with replacing(file) as temporary:
        temporary.write_bytes(picture)
