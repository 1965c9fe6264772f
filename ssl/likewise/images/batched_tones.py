"""Tones of many views at once, on a torch device: jitter, grey, blur, thicker strokes.

Shapes: B views of side S; values are from 0 to 255, and not rounded in between. Every step has a
number for each view, and one that leaves a view as it is: nothing depends on what was drawn, so
that a GPU needs not be asked.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_LUMA = (0.299, 0.587, 0.114)


def luma(images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 1 S S"]:
    """How bright each pixel is (ITU-R BT.601)."""
    red, green, blue = torch.split(images, 1, dim=1)
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def jitter(
    images: Float[Tensor, "B 3 S S"],
    factors: Float[Tensor, "B 4"],
    order: Int64[Tensor, "B 4"],
) -> Float[Tensor, "B 3 S S"]:
    """Change brightness, contrast, saturation and hue of each view, in an order of its own.

    As torchvision's ``ColorJitter``. Three of the four are mixtures with another picture, and are
    done by the same arithmetic; so are three places before the hue and three after it, of which
    each view uses three in all.

    Args:
        images: Views.
        factors: Of the first three, 1 for no change; of the hue, the turn: 0 for none, 1 for a
            whole one.
        order: What is done first, second, third and fourth.
    """
    turn_at = (order == HUE).long().argmax(dim=1)
    for place in (0, 1, 2):
        images = _mix(images, factors, order[:, place], turn_at > place)
    images = turn_hue(images, factors[:, HUE])
    for place in (1, 2, 3):
        images = _mix(images, factors, order[:, place], turn_at < place)
    return images


def _mix(
    images: Float[Tensor, "B 3 S S"],
    factors: Float[Tensor, "B 4"],
    kind: Int64[Tensor, " B"],
    wanted: Bool[Tensor, " B"],
) -> Float[Tensor, "B 3 S S"]:
    """``other + factor x (image - other)``: of black, the mean grey, or the grey picture."""
    factor = torch.where(wanted, factors.gather(1, kind[:, None])[:, 0], 1.0).view(-1, 1, 1, 1)
    kind = kind.view(-1, 1, 1, 1)
    grey = luma(images)
    mean = torch.where(kind == CONTRAST, grey.mean(dim=(1, 2, 3), keepdim=True), 0.0)
    other = torch.where(kind == SATURATION, grey, mean)
    return torch.lerp(other, images, factor).clamp(0, 255)


def turn_hue(
    images: Float[Tensor, "B 3 S S"], turns: Float[Tensor, " B"]
) -> Float[Tensor, "B 3 S S"]:
    """Turn the hue of each view on the circle of HSV; 1 is a whole turn."""
    high, low = images.amax(dim=1), images.amin(dim=1)
    red, green, blue = images.unbind(dim=1)
    span = high - low
    sixth = span.clamp(min=1e-6)
    hue = torch.where(
        high == red,
        (green - blue) / sixth,
        torch.where(high == green, 2 + (blue - red) / sixth, 4 + (red - green) / sixth),
    )
    hue = hue + 6 * turns.view(-1, 1, 1)
    turned = []
    for start in (5, 3, 1):
        place = (hue + start) % 6
        turned.append(high - span * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(turned, dim=1)


def grey_where(
    images: Float[Tensor, "B 3 S S"], chosen: Bool[Tensor, " B"]
) -> Float[Tensor, "B 3 S S"]:
    """The chosen views without colour."""
    return torch.where(chosen.view(-1, 1, 1, 1), luma(images), images)


def stretch(
    images: Float[Tensor, "B 3 S S"],
    factors: Float[Tensor, " B"],
    offsets: Float[Tensor, " B"],
) -> Float[Tensor, "B 3 S S"]:
    """``factor x image + offset``, as albumentations' ``RandomBrightnessContrast``."""
    return (images * factors.view(-1, 1, 1, 1) + offsets.view(-1, 1, 1, 1)).clamp(0, 255)


def blur_where(
    images: Float[Tensor, "B 3 S S"],
    deviations: Float[Tensor, " B"],
    chosen: Bool[Tensor, " B"],
    most: int,
    *,
    cut_off: float | None = 3.5,
) -> Float[Tensor, "B 3 S S"]:
    """The chosen views, blurred by Gaussians of these standard deviations in pixels.

    Args:
        images: Views with a side above ``most``; beyond the border they are mirrored.
        deviations: Of each view.
        chosen: Which views are blurred.
        most: Reach of the widest kernel in pixels.
        cut_off: Kernels end after so many standard deviations, rounded down, as albumentations'
            do. None: all reach as far as ``most``.
    """
    count, _, size, _ = images.shape
    reach = torch.arange(-most, most + 1, device=images.device)
    kernels = torch.exp(-0.5 * (reach / deviations[:, None]).square())
    if cut_off is not None:
        kernels = kernels * (reach.abs() <= (cut_off * deviations[:, None]).floor())
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    planes = functional.pad(images.reshape(1, 3 * count, size, size), (most,) * 4, mode="reflect")
    planes = functional.conv2d(planes, kernels[:, None, None, :], groups=3 * count)
    planes = functional.conv2d(planes, kernels[:, None, :, None], groups=3 * count)
    return torch.where(chosen.view(-1, 1, 1, 1), planes.view(images.shape), images)


def thicken_where(
    images: Float[Tensor, "B 3 S S"], chosen: Bool[Tensor, " B"]
) -> Float[Tensor, "B 3 S S"]:
    """The chosen views with bright strokes wider by a pixel.

    Each pixel is the largest of itself and those above and to the left of it.
    """
    padded = functional.pad(images, (1, 0, 1, 0), mode="replicate")
    thick = images.maximum(padded[..., 1:, :-1]).maximum(padded[..., :-1, 1:])
    return torch.where(chosen.view(-1, 1, 1, 1), thick, images)
