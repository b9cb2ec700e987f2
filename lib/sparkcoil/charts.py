"""Charts as SVG that stands in a page: text stays text, and colours are the page's own, light or dark. Knows nothing of Spark."""

import io
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sparkcoil.spread import Chart

# Colours that stand for the page's, which are put in their place once all is drawn.
INK, FAINT, ONE, TWO = "#010101", "#020202", "#030303", "#040404"
COLOURS = {INK: "var(--ink)", FAINT: "var(--faint)", ONE: "var(--one)", TWO: "var(--two)"}
# Drawn as wide as a phone, so that text is as large there as elsewhere.
WIDTH, HEIGHT, BAR = 4.4, 2.5, 0.32
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sparkcoil",  # else each drawing has other identifiers
    "text.parse_math": False,  # a label may have a $ in it
    "font.size": 12.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def svg(chart: Chart) -> str:
    """Return a chart as an SVG element, as wide as the page lets it be."""
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label in a script that the font lacks: the browser has another one
        figure = Figure(figsize=(WIDTH, height(chart)), layout="constrained")
        DRAWN[chart.kind](figure.add_subplot(), chart)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return inlined(out.getvalue())


def height(chart: Chart) -> float:
    """Return a chart's height in inches: bars need room for each."""
    if chart.kind != "bars":
        return HEIGHT
    return 0.9 + BAR * len(chart.labels) * (1.4 if len(chart.series) > 1 else 1)


def draw_line(axes: Axes, chart: Chart) -> None:
    """Draw values over time, each as a step that lasts to the next."""
    for (name, values), colour in zip(chart.series.items(), (ONE, TWO), strict=False):
        axes.fill_between(chart.at, values, step="post", color=colour, alpha=0.25, linewidth=0)
        axes.plot(chart.at, values, drawstyle="steps-post", color=colour, linewidth=1.6, label=name)
        axes.set_ylabel(name)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.set_xlabel(chart.axis)


def draw_bars(axes: Axes, chart: Chart) -> None:
    """Draw a bar for each value from top to bottom, those of several series beside each other, each with its number."""
    thick = 0.8 / len(chart.series)
    for index, ((name, values), colour) in enumerate(zip(chart.series.items(), (ONE, TWO), strict=False)):
        places = [at + (index - (len(chart.series) - 1) / 2) * thick for at in range(len(values))]
        bars = axes.barh(places, values, height=thick * 0.9, color=colour, label=name)
        axes.bar_label(bars, [number(value) for value in values], padding=3, fontsize=11.5)
    axes.set_yticks(range(len(chart.labels)), chart.labels)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.18)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.set_xlabel(chart.axis)
    legend(axes, chart)


def draw_columns(axes: Axes, chart: Chart) -> None:
    """Draw a histogram: the first series filled, the second as an outline."""
    edges = [*range(len(chart.labels) + 1)]
    for index, ((name, values), colour) in enumerate(zip(chart.series.items(), (ONE, TWO), strict=False)):
        filled: Mapping[str, Any] = {"fill": True, "alpha": 0.6} if index == 0 else {"linewidth": 1.8}
        axes.stairs(values, edges, color=colour, label=name, **filled)
    every = max(1, len(chart.labels) // 5)
    axes.set_xticks(edges[:-1:every], chart.labels[::every])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("% of predictions")
    axes.set_xlabel(chart.axis)
    legend(axes, chart)


DRAWN: Mapping[str, Callable[[Axes, Chart], None]] = {"line": draw_line, "bars": draw_bars, "columns": draw_columns}


def legend(axes: Axes, chart: Chart) -> None:
    """Say above the drawing which series is which, where there are several."""
    if len(chart.series) > 1:
        axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=len(chart.series))


def number(value: float) -> str:
    """Return a value as it stands beside its bar."""
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def inlined(drawn: str) -> str:
    """Return a drawing as an element: no size of its own, the page's colours, and no identifiers but those it refers to."""
    element = drawn[drawn.index("<svg") :].replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace("xlink:href", "href")
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element))
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL).replace(' xmlns="http://www.w3.org/2000/svg"', "")
    used = set(re.findall(r"#(\w+)", element))
    element = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", element)
    for colour, name in COLOURS.items():
        element = element.replace(colour, name)
    return re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", element)
