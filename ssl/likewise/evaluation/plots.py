"""Charts as PNG bytes, and t-SNE coordinates.

Figures are made without pyplot, so no global state is touched and nothing needs closing.
"""

import io
from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#262b33"
QUIET = "#6b7280"
GRID = "#e3e6ea"
SERIES = ("#9aa3af", "#3b5bdb", "#e8590c", "#0b7285", "#862e9c", "#5c940d")


def tsne(
    vectors: Float32[np.ndarray, "N D"],
    seed: int,
    start: Float[np.ndarray, "N 2"] | None = None,
) -> Float32[np.ndarray, "N 2"]:
    """Points in the plane that keep neighbours together (t-SNE, van der Maaten & Hinton 2008).

    Args:
        vectors: Unit vectors; about a thousand take some seconds.
        seed: Of everything random.
        start: Points to start from, such as another model's map of the same images, so that
            the two can be compared; by default the two main components.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(vectors) < 4:
        return np.pad(vectors, ((0, 0), (0, 2)))[:, :2].astype(np.float32)
    init: Any = "pca" if min(vectors.shape) >= 2 else "random"
    if start is not None:
        init = (start / (start[:, 0].std() + 1e-12) * 1e-4).astype(np.float32)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    with threadpool_limits(1):  # its many short parallel loops crawl on a machine that is busy
        points = TSNE(perplexity=perplexity, init=init, random_state=seed).fit_transform(vectors)
    return np.asarray(points, dtype=np.float32)


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches, drawn at 150 dots per inch on white."""
    figure = Figure((width, height), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Axes) -> None:
    """The look of all charts."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=QUIET, labelsize=9.5, length=0)
    axes.xaxis.label.set(color=QUIET, fontsize=10)
    axes.yaxis.label.set(color=QUIET, fontsize=10)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def png_of(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
