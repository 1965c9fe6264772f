"""The images of a workspace as a dataset of PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from likewise.errors import UsageError
from likewise.images.augmentation import whole_view
from likewise.images.store import Images


class ImageDataset(Dataset[tuple[Any, str]]):
    """Pairs of image and id, in the order of `likewise.images.store.Images`.

    The image is what ``transform`` makes of the prepared copy, a picture of Pillow as
    torchvision's transforms take it. Without one it is a uint8 tensor (3, H, W), of the prepared
    copy or, with ``size``, of the square that the model sees (3, size, size).

    Workers of a DataLoader each map the pixels for themselves; nothing is copied to them.
    """

    def __init__(
        self, images: Images, transform: Callable[[Any], Any] | None = None, size: int | None = None
    ) -> None:
        """Wrap the images.

        Args:
            images: Those of a workspace.
            transform: Applied to each; picklable where there are workers.
            size: Side of the square in pixels; None: as the images are.

        Raises:
            UsageError: ``size`` is no side.
        """
        if size is not None and size < 1:
            raise UsageError(f"size={size} must be at least 1 pixel")
        self.images, self.transform, self.size = images, transform, size

    @property
    def ids(self) -> list[str]:
        """The id of each image."""
        return [str(each) for each in self.images.ids]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Any, str]:
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        pixels = self.images[row]
        if self.size is not None:
            pixels = whole_view(pixels, self.size)
        image_id = str(self.images.ids[row])
        if self.transform is not None:
            return self.transform(Image.fromarray(np.array(pixels))), image_id
        return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).contiguous(), image_id
