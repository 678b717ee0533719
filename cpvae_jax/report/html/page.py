"""The page report.html, put together from the files of a run folder: no JAX, no data, no network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from cpvae_jax.errors import UserError
from cpvae_jax.report.html import categories, comparison, curves, figures, sections
from cpvae_jax.storage import files, run_folder
from cpvae_jax.storage.run_folder import CONTENT, RunFolder

FORMAT = 1
"""The format of report.json; raise it when `render` cannot show what was written before."""

INTRODUCTION = (
    "<p>How often the training data use each category, q(c), and p(c) as a dotted line. Select a category to "
    "see its samples; the arrow keys move on to the next.</p>"
)


def of_folder(path: Path) -> str:
    """The page of a finished run.

    Args:
      path: the folder of the run.

    Raises:
      UserError: the folder holds no finished run, or one that an earlier version made.
    """
    run_folder.finished(path)
    with files.reading(path):
        if not files.there(path / CONTENT):
            raise UserError(
                f"{path} holds no {CONTENT}, which runs of earlier versions lack; repeat the command "
                "of the run with --resume, which scores it again and writes the report."
            )
    content = run_folder.result(path / CONTENT, most=run_folder.LARGE)
    if content.get("format") != FORMAT:
        raise UserError(
            f"{path / CONTENT} has the format {content.get('format')}, but this version reads "
            f"{FORMAT}; repeat the command of the run with --resume."
        )
    scores = run_folder.result(path / run_folder.SCORES)
    return render(content, scores, RunFolder(path).lines(run_folder.LOG))


def render(
    content: Mapping[str, Any], scores: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> str:
    """The page as text.

    Args:
      content: what `content.of_run` returns.
      scores: the contents of metrics.json.
      history: the lines of metrics.jsonl.
    """
    from plotly.offline import get_plotlyjs  # 5 MB, which nothing else needs

    best = next(one for one in scores["seeds"] if one["seed"] == scores["kept_seed"])
    drawn = {"codes": figures.codes(content)}
    if history:
        drawn["curves"] = curves.figure(history, [best["best_epoch"]])
    if content["has_categories"]:
        drawn["shares"] = figures.shares(content)
    if "density" in content:
        drawn["density"] = figures.density(content)
    name = escape(str(content["name"]))
    own = resources.files("cpvae_jax.report.html")
    text = "".join(
        (
            '<!DOCTYPE html>\n<html lang="en" class="plain">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<link rel="icon" href="data:,">\n',
            f"<title>{name} – report of a run</title>\n",
            f"<style>\n{(own / 'page.css').read_text('utf-8')}</style>\n</head>\n<body>\n",
            _body(name, content, scores, best, drawn),
            f'<script type="application/json" id="figures">{script_json(drawn)}</script>\n',
            f"<script>{get_plotlyjs()}</script>\n",
            f"<script>\n{(own / 'page.js').read_text('utf-8')}</script>\n</body>\n</html>\n",
        )
    )
    return text.encode("utf-8", "replace").decode("utf-8")  # names of files may be no text


def _body(
    name: str,
    content: Mapping[str, Any],
    scores: Mapping[str, Any],
    best: Mapping[str, Any],
    drawn: Mapping[str, Any],
) -> str:
    """The sections that a reader sees."""
    parts = [
        (
            "categories",
            "Categories" if content["has_categories"] else "Samples",
            (INTRODUCTION if content["has_categories"] else "")
            + _figure(drawn, "shares", "q(c) by category")
            + _figure(drawn, "density", "densities of the test part and of the model")
            + categories.section(content),
        ),
        ("codes", "Map of the codes", _codes(content, drawn)),
    ]
    if "curves" in drawn:
        words = (
            "<p>The terms of the bound by epoch, one line per seed. The dotted line marks the epoch whose "
            "parameters were kept.</p>"
        )
        parts.append(("curves", "Training", words + _figure(drawn, "curves", "training curves")))
    beside = "".join(comparison.stability(scores[k]) for k in ("stability",) if k in scores)
    parts += [
        ("scores", "Scores on the test part", comparison.score_table(scores) + beside),
        ("settings", "Configuration", sections.configuration(scores)),
    ]
    links = "".join(f'<a href="#{at}">{title}</a>' for at, title, _ in parts)
    shown = "".join(
        f'<section id="{at}"><h2>{title}</h2>{inside}</section>\n' for at, title, inside in parts
    )
    return (
        f'<header class="top"><h1>{name}</h1><nav aria-label="sections">{links}</nav></header>\n'
        f'<main>\n<section id="summary"><p class="lead">{sections.headline(content, scores)}</p>'
        f"{sections.tiles(content, scores, best)}{sections.health(scores['warnings'])}</section>\n"
        f"{shown}</main>\n"
    )


def _figure(drawn: Mapping[str, Any], name: str, label: str) -> str:
    """The place of a figure, if it was drawn."""
    if name not in drawn:
        return ""
    height = drawn[name]["layout"]["height"]
    return (
        f'<div class="figure" data-figure="{name}" role="img" aria-label="{label}" '
        f'style="min-height:{height}px"></div>'
    )


def _codes(content: Mapping[str, Any], drawn: Mapping[str, Any]) -> str:
    """The map with its buttons."""
    num = len(content["codes"]["x"])
    words = f"{num:,} test example{'s' * (num != 1)} at the mean of "
    buttons = after = ""
    if content["has_categories"]:
        words += (
            "q(z|x, c), c the most probable category; colours are categories. Click a point to select "
            "its category."
        )
        buttons = '<button type="button" id="all" aria-pressed="true">All categories</button>'
        after = '<button type="button" id="to-panel" hidden></button>'
    else:
        words += "q(z|x)."
    if content["has_categories"] and content["inferred"]:
        words += (
            " Categories may lie on one another here: the decoder is given c as well as z, so they "
            "can use the same codes."
        )
    if drawn["codes"]["meta"]["by_label"]:
        buttons += (
            '<button type="button" id="by-label" aria-pressed="false">Colour by label</button>'
        )
    return f'<p>{words}</p><div class="buttons">{buttons}{after}</div>{_figure(drawn, "codes", "map of the codes")}'


def script_json(value: Any) -> str:
    """A value as JSON that can stand in a script element; numbers that are not finite become null.

    >>> script_json({"a": "</script>", "b": float("nan")})
    '{"a":"\\\\u003c/script>","b":null}'
    """
    return json.dumps(_finite(value), separators=(",", ":")).replace("<", "\\u003c")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
