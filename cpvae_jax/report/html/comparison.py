"""The tables of scores: seeds beside the classical baselines, and seeds beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

BASELINES = {"kmeans": "k-means", "mixture": "Gaussian mixture"}


def score_table(scores: Mapping[str, Any]) -> str:
    """Every seed, and the classical baselines on the same rows."""
    columns = {
        "true test bound, nats": lambda one: signed(one["test_bound"]),
        "log p(x), nats": lambda one: signed(one["log_likelihood"]),
        "accuracy (Hungarian)": lambda one: f"{one['clustering']['accuracy_hungarian']:.3f}",
        "accuracy (majority)": lambda one: f"{one['clustering']['accuracy_majority']:.3f}",
        "NMI": lambda one: f"{one['clustering']['nmi']:.3f}",
        "ARI": lambda one: f"{one['clustering']['ari']:.3f}",
        "categories in use": lambda one: f"{one['categories']['effective_number']:.1f}",
        "I(x; c), nats": lambda one: f"{one['categories']['information']:.3f}",
        "1-Wasserstein distance": lambda one: f"{one['wasserstein']['aggregate']:.4f}",
    }
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for one in scores["seeds"]:
        kept = " (kept)" if one["seed"] == scores["kept_seed"] and len(scores["seeds"]) > 1 else ""
        rows.append((f"seed {one['seed']}{kept}", one))
    for name, one in scores["seeds"][0].get("baselines", {}).items():
        about = f" (left out: {one['left_out']})" if "left_out" in one else ""
        density = {"log_likelihood": one["log_density"]} if "log_density" in one else {}
        rows.append((BASELINES.get(name, name) + about, {"clustering": one, **density}))
    cells = [[_cell(give, one) for _, one in rows] for give in columns.values()]
    shown = [(name, row) for name, row in zip(columns, cells, strict=True) if any(row)]
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name, _ in shown)
    body = "".join(
        f"<tr><th scope='row'>{escape(name)}</th>"
        + "".join(f"<td>{row[at] or '–'}</td>" for _, row in shown)
        + "</tr>"
        for at, (name, _) in enumerate(rows)
    )
    return f'<div class="scroll"><table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(give: Any, one: Mapping[str, Any]) -> str:
    """A score as text; "" if there is none."""
    try:
        return str(give(one))
    except KeyError:
        return ""


def stability(found: Mapping[str, Any]) -> str:
    """The adjusted Rand index of each pair of seeds, as a triangle."""
    seeds = sorted({seed for pair in found["pairs"] for seed in pair["seeds"]})
    of = {tuple(pair["seeds"]): pair["ari"] for pair in found["pairs"]}
    head = "".join(f"<th scope='col'>seed {seed}</th>" for seed in seeds[:-1])
    lines = []
    for row in seeds[1:]:
        cells = "".join(
            f'<td style="--share:{max(of[column, row], 0):.2f}" class="heat">{of[column, row]:.3f}</td>'
            if (column, row) in of
            else "<td></td>"
            for column in seeds[:-1]
        )
        lines.append(f"<tr><th scope='row'>seed {row}</th>{cells}</tr>")
    return (
        "<h3>Stability between seeds</h3><p>The adjusted Rand index between the categories that two seeds "
        "give the test examples: 1 if they divide them alike, 0 on average if by chance. "
        f"Mean {found['mean']:.3f}, {found['min']:.3f} to {found['max']:.3f}.</p>"
        f'<div class="scroll"><table class="triangle"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def signed(value: Mapping[str, float]) -> str:
    """A mean with its standard error."""
    return f"{value['mean']:.2f} <small>± {value['standard_error']:.2f}</small>"
