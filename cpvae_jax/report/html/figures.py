"""The figures of the page as Plotly reads them: dictionaries of traces and a layout."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from cpvae_jax.report.html.colours import GRID, INK, MUTED, colour

Figure = dict[str, Any]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
"""Fonts of the system: the page loads none."""

AXIS: dict[str, Any] = {
    "gridcolor": GRID,
    "linecolor": GRID,
    "zeroline": False,
    "ticks": "outside",
    "tickcolor": GRID,
    "automargin": True,
}


def plain(text: object) -> str:
    """Text for a figure, where Plotly would take `<b>` for bold.

    >>> plain("a<b>")
    'a&lt;b&gt;'
    """
    return escape(str(text), quote=False)


def layout(height: int, **more: Any) -> dict[str, Any]:
    """The layout that all figures share."""
    return {
        "height": height,
        "margin": {"l": 56, "r": 16, "t": 28, "b": 48},
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": MUTED, "activecolor": INK},
        "hoverlabel": {"font": {"family": FONT, "size": 13}, "align": "left"},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        **more,
    }


def shares(content: Mapping[str, Any]) -> Figure:
    """q(c) over the training data by category, and p(c)."""
    q, p = content["shares"], content["prior"]
    names = [str(k) for k in range(len(q))]
    bars = {
        "type": "bar",
        "x": names,
        "y": q,
        "name": "q(c)",
        "showlegend": False,
        "marker": {"color": [colour(k) for k in range(len(q))]},
        "hovertemplate": "category %{x}: %{y:.1%} of the training data<extra></extra>",
    }
    prior = {
        "type": "scatter",
        "mode": "lines" if max(p) - min(p) < 1e-6 else "markers",
        "x": names,
        "y": p,
        "name": "p(c)",
        "line": {"color": INK, "width": 1, "dash": "dot"},
        "marker": {"color": INK, "symbol": "line-ew-open", "size": 12},
        "hovertemplate": "p(c) = %{y:.3f}<extra></extra>",
    }
    axes = {
        "xaxis": {
            **AXIS,
            "type": "category",
            "title": {"text": "category"},
            "showgrid": False,
            "tickangle": 0,
            "nticks": 30,
        },
        "yaxis": {**AXIS, "tickformat": ".2~%", "rangemode": "tozero", "title": {"text": "q(c)"}},
    }
    return {"data": [bars, prior], "layout": layout(260, bargap=0.15, **axes)}


def codes(content: Mapping[str, Any]) -> Figure:
    """The map of the codes. Colours and hover texts of single points; "meta" has what clicks need."""
    found = content["codes"]
    several = content["has_categories"]
    labels = [None if name is None else plain(name) for name in found["label"]]
    hover = []
    for row, k, probability, label in zip(
        found["row"], found["category"], found["probability"], labels, strict=True
    ):
        lines = [f"<b>row {row}</b> of the test part"]
        lines += [f"category {k}, probability {probability:.3f}"] if several else []
        lines += [f"label {label}"] if label is not None else []
        hover.append("<br>".join(lines))
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": found["x"],
        "y": found["y"],
        "text": hover,
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "size": 7,
            "color": [colour(k) for k in found["category"]],
            "opacity": 0.8,
            "line": {"width": 0.5, "color": "white"},
        },
    }
    names = sorted({name for name in labels if name is not None})
    by_label = [MUTED if n is None else colour(names.index(n)) for n in labels] if names else None
    x, y = ({**AXIS, "title": {"text": title}} for title in found["axes"])
    return {
        "data": [points],
        "layout": layout(540, xaxis=x, yaxis=y, showlegend=False, hovermode="closest"),
        "meta": {"category": found["category"], "by_label": by_label},
    }


def density(content: Mapping[str, Any]) -> Figure:
    """One-dimensional x: the test part, the model with c from q(c), and the selected category."""
    found = content["density"]
    edges = np.array(found["edges"])
    middle = [float(f"{x:.6g}") for x in (edges[1:] + edges[:-1]) / 2]
    parts = [
        [float(f"{share * value:.4g}") for value in one]
        for share, one in zip(content["shares"], found["categories"], strict=True)
    ]
    whole = np.sum(parts, axis=0).tolist()
    first = int(np.argmax(content["shares"]))
    truth = {
        "type": "bar",
        "x": middle,
        "y": found["truth"],
        "name": "test part",
        "marker": {"color": "#c5cdd8"},
        "hovertemplate": "%{x:.4g}: %{y:.3g}<extra>test part</extra>",
    }
    lines = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": middle,
            "y": y,
            "name": name,
            "line": {"color": tint, "width": 2},
            "fill": fill,
            "hovertemplate": f"%{{x:.4g}}: %{{y:.3g}}<extra>{name}</extra>",
        }
        for name, y, tint, fill in (
            ("model", whole, INK, "none"),
            ("its part from the selected category", parts[first], colour(first), "tozeroy"),
        )
    ]
    axes = {
        "xaxis": {**AXIS, "title": {"text": "x"}},
        "yaxis": {**AXIS, "rangemode": "tozero", "title": {"text": "density"}},
    }
    several = content["has_categories"]
    return {
        "data": [truth, *(lines if several else lines[:1])],
        "layout": layout(360, bargap=0, **axes),
        "meta": {"categories": parts if several else []},
    }
