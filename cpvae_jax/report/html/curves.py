"""The training curves of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cpvae_jax.report.html.colours import MUTED, TRAIN, VALID
from cpvae_jax.report.html.figures import AXIS, Figure, layout, plain

EPOCHS = 400
"""The most epochs in a curve; a screen is not much wider."""

TERMS = {
    "bound": "bound",
    "reconstruction": "reconstruction",
    "kl_c": "KL(q(c|x) || p(c))",
    "kl_z": "E KL(q(z|x, c) || p(z|c))",
}


def figure(history: Sequence[Mapping[str, Any]], best: Sequence[int]) -> Figure:
    """Every term of the bound by epoch, for training and validation, one line per seed.

    Args:
      history: the lines of metrics.jsonl.
      best: the epochs whose parameters were kept.
    """
    kept = history[:: -(-len(history) // EPOCHS)]
    epochs = [line["epoch"] for line in kept]
    traces: list[dict[str, Any]] = []
    axes: dict[str, Any] = {}
    notes = []
    for place, (name, title) in enumerate(TERMS.items()):
        n = "" if place == 0 else str(place + 1)
        low, high = np.inf, -np.inf
        for part, words, tint in (
            ("train", "training", TRAIN),
            ("valid", "validation", VALID),
        ):
            values = np.array([np.atleast_1d(line[f"{part}_{name}"]) for line in kept], np.float64)
            # The first epochs are far off the scale of all others.
            settled = values[min(len(values) - 1, len(values) // 20) :]
            finite = settled[np.isfinite(settled)]
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            traces += [
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": epochs,
                    "y": [float(f"{value:.6g}") for value in one],
                    "xaxis": f"x{n}",
                    "yaxis": f"y{n}",
                    "name": words,
                    "legendgroup": words,
                    "showlegend": place == 0 and seed == 0,
                    "line": {"color": tint, "width": 1.6},
                    "hovertemplate": f"epoch %{{x}}: %{{y:.2f}} nats<extra>{words}</extra>",
                }
                for seed, one in enumerate(values.T)
            ]
        column, row = place % 2, place // 2
        x, y = [[0, 0.46], [0.54, 1]][column], [[0.57, 0.97], [0, 0.4]][row]
        of_x = {"anchor": f"y{n}", "domain": x, **({"title": {"text": "epoch"}} if row else {})}
        margin = 0.05 * (high - low) + 1e-3
        shown = {"range": [low - margin, high + margin]} if np.isfinite([low, high]).all() else {}
        axes[f"xaxis{n}"] = {**AXIS, **of_x}
        axes[f"yaxis{n}"] = {**AXIS, "anchor": f"x{n}", "domain": y, **shown}
        where = {"x": x[0], "xanchor": "left", "y": y[1], "yanchor": "bottom"}
        paper = {"xref": "paper", "yref": "paper", "showarrow": False}
        notes.append({"text": f"<b>{plain(title)}</b>, nats", **where, **paper})
    marks = [
        {
            "type": "line",
            "xref": "x",
            "x0": epoch,
            "x1": epoch,
            "yref": "y domain",
            "y0": 0,
            "y1": 1,
            "line": {"color": MUTED, "width": 1, "dash": "dot"},
        }
        for epoch in best
    ]
    legend = {"orientation": "h", "y": 1.03, "yanchor": "bottom", "x": 1, "xanchor": "right"}
    how = layout(560, annotations=notes, shapes=marks, **axes)
    return {"data": traces, "layout": {**how, "legend": legend}}
