"""What the displays draw with: matplotlib, colours, keyword arguments and legends."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlinreg._core.optional import import_optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, which colour-blind people tell apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
LEGEND_COLUMNS = 52
"""Letters beside each other in a legend 3.5 inches wide."""
SWATCH = 6
"""Letters that the sample of a line takes there."""
TICKS = 5
"""At most so many intervals between ticks beside each other."""
LABEL_WIDTH = 26
"""Letters in a line of an axis label."""


def pyplot(display: object) -> Any:
    """Import matplotlib.pyplot for a display.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    import_optional("matplotlib", "plot", f"{type(display).__name__}.plot")
    from matplotlib import pyplot

    return pyplot


def merged(artist: Any, default: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return default keyword arguments of a class of artists, overridden by those given, aliases as "lw" among them."""
    from matplotlib.cbook import normalize_kwargs

    return {**default, **normalize_kwargs(dict(given or {}), artist)}


def line_style(number: int) -> dict[str, Any]:
    """Return colour, marker and dashes of a line, told apart without seeing colours, too."""
    return {
        "color": COLORS[number % len(COLORS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number % len(DASHES)],
        "linewidth": 1.6,
        "markersize": 4.5,
    }


def label_axis(axis: Any, label: str) -> None:
    """Label an axis, in lines that fit, clear of ticks and a power of ten; a "$" in it is no mathematics."""
    from matplotlib.ticker import MaxNLocator

    lines = "\n".join(textwrap.fill(line, LABEL_WIDTH) for line in label.split("\n"))
    axis.set_label_text(lines, parse_math=False)
    if axis.axis_name == "x":
        locator = axis.get_major_locator()
        if isinstance(locator, MaxNLocator):
            locator.set_params(nbins=TICKS)
        axis.labelpad = 14.0 if has_power_of_ten(axis) else 4.0


def has_power_of_ten(axis: Any) -> bool:
    """Return whether a factor for all tick labels stands at the end of the axis."""
    formatter = axis.get_major_formatter()
    formatter.format_ticks(axis.get_majorticklocs())
    return bool(formatter.get_offset())


def draw_legend(ax: Axes) -> None:
    """Draw a legend if there are labels: above the axes where the figure makes room for it, else in them."""
    handles, labels = ax.get_legend_handles_labels()
    if not labels:
        return
    kwargs: dict[str, Any] = {"fontsize": "small"}
    if ax.figure.get_layout_engine() is not None:
        columns = LEGEND_COLUMNS // (max(map(len, labels)) + SWATCH)
        kwargs |= {
            "loc": "lower center",
            "bbox_to_anchor": (0.5, 1.0),
            "ncols": max(1, min(len(labels), columns)),
            "frameon": False,
            "borderaxespad": 2.0 if has_power_of_ten(ax.yaxis) else 0.5,
        }
    for text in ax.legend(handles, labels, **kwargs).get_texts():
        text.set_parse_math(False)


def scale_penalties(ax: Any, alphas: np.ndarray) -> None:
    """Draw penalties on a logarithmic axis; with 0 among them it is linear below the smallest other one."""
    positive = alphas[alphas > 0.0]
    if len(positive) == len(alphas):
        ax.set_xscale("log")
    elif len(positive):
        ax.set_xscale("symlog", linthresh=float(positive.min()))
