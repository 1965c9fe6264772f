"""Where the pixels of many views at once come from: crops, mirrors and warps on a torch device.

Shapes: B views, P pixels in all, side S. Images may differ in size: their pixels lie one image
after the other, and a view reads only what it shows. Interpolation is bilinear without
antialiasing, as in `likewise.images.augmentation`.
"""

import math

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from likewise.images.augmentation import Warp

RATIO = (3 / 4, 4 / 3)
TRIES = 10
BOX_DRAWS = 2 * TRIES + 2
"""Random numbers that a box takes."""
WARP_DRAWS = 7


def random_boxes(
    draws: Float[Tensor, "B n"], sizes: Int64[Tensor, "B 2"], scale: tuple[float, float]
) -> Int64[Tensor, "B 4"]:
    """Top, left, height and width of a random crop of each image, in whole pixels.

    As torchvision's ``RandomResizedCrop``: the area is a uniform share of the image's between the
    two of ``scale``, the logarithm of width over height uniform; of `TRIES` such boxes the first
    that fits, else the largest in the middle whose shape is allowed.

    Args:
        draws: `BOX_DRAWS` uniform numbers from 0 to 1 for each image.
        sizes: Height and width of the images.
        scale: The smallest and the largest share.
    """
    low, high = (math.log(each) for each in RATIO)
    share, shape, place = torch.split(draws, [TRIES, TRIES, 2], dim=1)
    whole = sizes.float()
    area = (scale[0] + (scale[1] - scale[0]) * share) * whole.prod(dim=1, keepdim=True)
    ratio = (low + (high - low) * shape).exp()
    tried = torch.stack(((area / ratio).sqrt().round(), (area * ratio).sqrt().round()), dim=2)
    fits = ((tried > 0) & (tried <= whole.unsqueeze(1))).all(dim=2)
    first = fits.long().argmax(dim=1)  # of equal ones the first
    found = tried[torch.arange(len(tried), device=tried.device), first]
    height, width = whole.unbind(dim=1)
    allowed = torch.stack(
        (
            torch.minimum(height, (width / RATIO[0]).round()),
            torch.minimum(width, (height * RATIO[1]).round()),
        ),
        dim=1,
    )
    some = fits.any(dim=1, keepdim=True)
    extent = torch.where(some, found, allowed)
    room = whole - extent
    start = torch.where(some, ((room + 1) * place).floor().clamp(max=room), (room / 2).floor())
    return torch.cat((start, extent), dim=1).long()


def cut(
    pixels: UInt8[Tensor, "P 3"],
    starts: Int64[Tensor, " B"],
    widths: Int64[Tensor, " B"],
    boxes: Int64[Tensor, "B 4"],
    mirrored: Bool[Tensor, " B"],
    size: int,
) -> Float[Tensor, "B 3 S S"]:
    """Each box of an image, stretched to a square of ``size`` pixels; values from 0 to 255.

    Beyond the box its edge is repeated, not what lies there in the image.

    Args:
        pixels: Of all images.
        starts: Where each view's image begins in them.
        widths: Of each view's image.
        boxes: Top, left, height and width, within the image.
        mirrored: Which views are to be mirrored.
        size: Side of the views.
    """
    top, left, height, width = boxes.unbind(dim=1)
    upper, lower, down = _between(top, height, size)
    before, after, right = _between(left, width, size)
    before, after, right = (
        torch.where(mirrored[:, None], each.flip(1), each) for each in (before, after, right)
    )
    offset, stride = starts[:, None], widths[:, None]
    upper, lower = offset + upper * stride, offset + lower * stride
    right, down = right[:, None, :, None], down[:, :, None, None]

    def along(rows: Int64[Tensor, "B S"]) -> Float[Tensor, "B S S 3"]:
        one, other = (
            pixels[rows[:, :, None] + columns[:, None, :]].float() for columns in (before, after)
        )
        return one.lerp_(other, right)

    views = along(upper)
    return views.lerp_(along(lower), down).permute(0, 3, 1, 2)


def _between(
    start: Int64[Tensor, " B"], length: Int64[Tensor, " B"], size: int
) -> tuple[Int64[Tensor, "B S"], Int64[Tensor, "B S"], Float[Tensor, "B S"]]:
    """The two pixels between which each of ``size`` points lies, and how far along."""
    points = torch.arange(size, device=start.device) + 0.5
    most = (length - 1)[:, None]
    where = (points * (length[:, None] / size) - 0.5).clamp(min=0).minimum(most)
    one = where.floor().long()
    return start[:, None] + one, start[:, None] + (one + 1).minimum(most), where - one


def warp(
    images: Float[Tensor, "B 3 S S"],
    draws: Float[Tensor, "B 7"],
    noise: Float[Tensor, "B 2 G G"],
) -> Float[Tensor, "B 3 S S"]:
    """What `likewise.images.augmentation.Warp` does, to many images.

    Args:
        images: Squares.
        draws: Uniform numbers from 0 to 1: turn, lean (twice), zoom, shift (twice), and whether
            it is bent.
        noise: Standard normal numbers, for x and y.
    """
    size = images.shape[-1]
    turn, lean_x, lean_y, zoom, shift_x, shift_y, _ = (2 * draws - 1).unbind(dim=1)
    cosine, sine = (turn * Warp.ROTATE).cos(), (turn * Warp.ROTATE).sin()
    right, down = (lean_x * Warp.SHEAR).tan(), (lean_y * Warp.SHEAR).tan()
    shift = torch.stack((shift_x, shift_y), dim=1)[:, :, None] * (Warp.SHIFT * size)
    matrix = torch.stack(
        (cosine - sine * down, cosine * right - sine, sine + cosine * down, sine * right + cosine),
        dim=1,
    ).view(-1, 2, 2) / (1 + zoom * Warp.SCALE).view(-1, 1, 1)
    middle = (size - 1) / 2
    line = torch.arange(size, device=images.device) - middle
    spot = torch.stack((line.repeat(size), line.repeat_interleave(size)))  # x and y of each pixel
    where = (matrix[..., 0, None] * spot[0] + matrix[..., 1, None] * spot[1]) + shift
    bend = torch.where(draws[:, 6] < Warp.BENT, Warp.BEND * size, 0.0)
    field = functional.interpolate(noise, (size, size), mode="bicubic", align_corners=False)
    where = where + (field * bend.view(-1, 1, 1, 1)).flatten(2)
    grid = (where / max(middle, 0.5)).movedim(1, 2).reshape(-1, size, size, 2)
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=True
    )
