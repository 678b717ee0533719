"""The categories on the page: buttons to select one, and a panel for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from cpvae_jax.report.html.colours import colour

FAR = 3.0
"""Standard deviations from the mean of all rows that a bar of the profile shows in full length."""

PRINTED = 12
"""The most categories that are all printed; of more, only the selected one is."""


def section(content: Mapping[str, Any]) -> str:
    """The selector and the panels of all categories; the largest one is selected."""
    if not content["has_categories"]:
        return panel(content, 0, hidden=False)
    shares = content["shares"]
    selected = max(range(len(shares)), key=lambda k: shares[k])
    panels = "".join(panel(content, k, hidden=k != selected) for k in range(len(shares)))
    buttons = "".join(_button(content, k, on=k == selected) for k in range(len(shares)))
    few = " few" if len(shares) <= PRINTED else ""
    return (
        '<div class="selector"><button type="button" class="step" id="before" '
        'aria-label="previous category">‹</button>'
        f'<div class="tabs" role="tablist" aria-label="categories">{buttons}</div>'
        '<button type="button" class="step" id="after" aria-label="next category">›</button></div>'
        f'<div class="panels{few}">{panels}</div>'
    )


def _button(content: Mapping[str, Any], k: int, *, on: bool) -> str:
    """The button of a category: its first sample if that is an image, its number, its share."""
    images = content.get("images")
    picture = f'<img src="{images[k]["first"]}" alt="">' if images else '<span class="dot"></span>'
    share = content["shares"][k]
    idle = " idle" if share < 0.1 / len(content["shares"]) else ""
    return (
        f'<button type="button" role="tab" class="tab{idle}" id="tab-{k}" data-category="{k}" '
        f'aria-controls="panel-{k}" aria-selected="{str(on).lower()}" '
        f'tabindex="{0 if on else -1}" style="--tint:{colour(k)}">{picture}'
        f"<b>{k}</b><small>{escape(percent(share))}</small></button>"
    )


def panel(content: Mapping[str, Any], k: int, *, hidden: bool) -> str:
    """What is known of a category: its share and labels, its profile, samples and neighbours."""
    several = content["has_categories"]
    if not several and "density" in content:
        return ""  # the figure of the density says it all
    role = f' role="tabpanel" aria-labelledby="tab-{k}"' if several else ""
    title = f"<h3>Category {k}</h3>{_facts(content, k)}"
    parts = [f'<header style="--tint:{colour(k)}">{title}</header>'] if several else []
    if "profile" in content and several:
        parts.append(_profile(content["profile"][k]))
    if "images" in content:
        parts.append(_images(content["images"][k], k if several else None))
    if "rows" in content:
        parts.append(_rows(content["rows"][k]))
    state = " hidden" if hidden else ""
    return f'<section class="panel" id="panel-{k}"{role}{state}>{"".join(parts)}</section>'


def percent(share: float) -> str:
    """A share as text.

    >>> percent(0.1234), percent(0.0004), percent(0.0)
    ('12.3%', '<0.1%', '0%')
    """
    if 0 < share < 0.001:
        return "<0.1%"
    return "0%" if share == 0 else f"{100 * share:.1f}%"


def _facts(content: Mapping[str, Any], k: int) -> str:
    """How often a category is used, and which labels its test examples have."""
    count = content["test_counts"][k]
    words = [
        f"{escape(percent(content['shares'][k]))} of the training data",
        f"{count} test example{'s' * (count != 1)}",
    ]
    listed = content["labels"][k] if "labels" in content else []
    if listed:
        total = content["labelled"][k]
        names = ", ".join(f"<b>{escape(name)}</b> {100 * n / total:.0f}%" for name, n in listed)
        words.append(f"labels of these: {names}")
    return f'<p class="facts">{" · ".join(words)}</p>'


def _profile(records: list[dict[str, Any]]) -> str:
    """The table of the most telling columns."""
    if not records:
        return '<p class="muted">No training row looked at belongs to this category.</p>'
    lines = []
    for record in records:
        difference = record["difference"]
        length = 50 * min(abs(difference) / FAR, 1)
        start = 50 - length if difference < 0 else 50
        amount = f"{difference:.2f}" if record.get("levels") else f"{difference:+.2f}"
        kind = " levels" if record.get("levels") else ""
        lines.append(
            f'<tr><th scope="row">{escape(record["column"])}</th><td>{escape(record["here"])}</td>'
            f"<td>{escape(record['all'])}</td>"
            f'<td class="bar{kind}"><span style="left:{start:.1f}%;width:{length:.1f}%"></span></td>'
            f"<td>{amount}</td></tr>"
        )
    return (
        '<div class="scroll"><table class="profile"><caption>What tells it from the rest: the most '
        "telling columns first</caption><thead><tr><th scope='col'>column</th><th scope='col'>here</th>"
        "<th scope='col'>all rows</th><th scope='col' colspan='2'>difference, in standard deviations</th>"
        f"</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _images(found: Mapping[str, Any], k: int | None) -> str:
    """The grid of samples, and that of the nearest training images."""
    of = "" if k is None else f" of category {k}"
    who = escape(json.dumps({"rows": found["rows"], "labels": found["labels"]}))
    grids = "".join(
        f'<figure><figcaption>{title}</figcaption><div class="cells">'
        f'<img src="{found[name]}" alt="{title}{of}"></div></figure>'
        for name, title in (("samples", "Samples"), ("nearest", "Nearest training images"))
    )
    return (
        f'<div class="pair" data-across="{found["across"]}" data-down="{found["down"]}" '
        f'data-who="{who}">{grids}</div>'
        '<p class="muted who" aria-live="polite">Each sample has its nearest training image at the same place '
        "in the other picture. Point at one to see which it is.</p>"
    )


def _rows(found: Mapping[str, Any]) -> str:
    """The table of sampled rows, each above the nearest training row."""
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in found["columns"])
    lines = []
    for at, (sample, near) in enumerate(zip(found["samples"], found["nearest"], strict=True)):
        label = found["labels"][at]
        words = "" if label is None else f", label {escape(label)}"
        for kind, name, row in (
            ("sample", "sample", sample),
            ("near", f"nearest: row {found['rows'][at]}{words}", near),
        ):
            cells = "".join(f"<td>{escape(entry)}</td>" for entry in row)
            lines.append(f'<tr class="{kind}"><th scope="row">{name}</th>{cells}</tr>')
    return (
        '<div class="scroll"><table class="rows"><caption>Sampled rows, each above the nearest row of '
        f"the training data</caption><thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
