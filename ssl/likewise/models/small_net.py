"""Likewise's own net, made for CPUs."""

from torch import Tensor, nn
from torch.nn import functional


class SmallNet(nn.Sequential):
    """A residual net for CPUs: 256 dimensions, about 24 million multiply-adds at 28 px.

    Every convolution but the last runs at stride 1 on maps whose channels fill the CPU's vector
    units; resolution falls by pixel-unshuffle and max-pool, since strided convolutions have slow
    backward passes in oneDNN. The first block sees maps of
    a quarter of the image's side (an eighth from 48 px on).
    """

    def __init__(self, image_size: int) -> None:
        fold = 2 if image_size < 48 else 4
        super().__init__(
            _Fold(fold),
            _convolution(3 * fold * fold, 64),
            nn.MaxPool2d(2, ceil_mode=True),
            _convolution(64, 128),
            _Residual(128),
            nn.MaxPool2d(2, ceil_mode=True),
            _convolution(128, 256),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


class _Fold(nn.Module):
    """Pixel-unshuffle that pads with the mean colour up to a multiple of the fold."""

    def __init__(self, fold: int) -> None:
        super().__init__()
        self.fold = fold

    def forward(self, images: Tensor) -> Tensor:
        right, bottom = -images.shape[3] % self.fold, -images.shape[2] % self.fold
        if right or bottom:
            images = functional.pad(images, (0, right, 0, bottom))
        return functional.pixel_unshuffle(images, self.fold)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(maps + self.second(self.first(maps)))


def _convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )
