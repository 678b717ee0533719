"""The scores of generated images as tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cpvae_jax.evaluation.samples import NEAREST
from cpvae_jax.storage import run_folder
from experiments import judge, marks

REAL = "real"
"""The file of real images has the name of the data set, then this."""

COLUMNS = {
    "frechet": ("Fréchet distance", 2),
    "precision": (f"precision, k = {NEAREST}", 3),
    "recall": (f"recall, k = {NEAREST}", 3),
    "density": (f"density, k = {NEAREST}", 3),
    "coverage": (f"coverage, k = {NEAREST}", 3),
    "class_entropy": ("entropy of classes", 3),
    "purity": ("purity", 3),
}
"""The columns of the table with their digits."""

REALS = {
    "ceiling": "real, held out",
    "seen": "real, training",
    "floor": "real, pixels shuffled",
}


def tables(out: Path) -> str:
    """Every score in a folder as Markdown: one table per data set, real images last.

    Each row is a model, with the mean over its seeds ± their standard deviation; runs with other
    settings have rows of their own, which name their files. For a single
    seed, and for real images, the standard deviation is that of the draws. Marks and footnotes
    tell purities of an earlier kind, and files from a source tree with uncommitted changes.
    """
    by_data: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted(out.glob("*.json")):
        found = run_folder.result(path)
        if "classifier" in found:
            by_data.setdefault(found["classifier"]["data"], {})[path.stem] = found
    text = "\n\n".join(_table(name, files) for name, files in by_data.items())
    return marks.footnotes(text, marks.PURITY_NOTE, marks.MODIFIED_NOTE)


def _table(name: str, files: Mapping[str, dict[str, Any]]) -> str:
    head = [name, *(title for title, _ in COLUMNS.values())]
    rows = [head]
    runs = {stem: found for stem, found in files.items() if stem != f"{name}-{REAL}"}
    models: dict[str, dict[str, list[str]]] = {}
    for stem, found in runs.items():
        model = re.sub(r"-seed\d+$", "", stem.removeprefix(f"{name}-"))
        model += f", {found['weights']}" if "weights" in found else ""
        settings = found.get("run", {}).get("settings", "")  # earlier files do not say
        models.setdefault(model, {}).setdefault(settings, []).append(stem)
    for model, kinds in models.items():
        if len(kinds.keys() - {""}) < 2:
            rows.append(
                _row_of_seeds(model, [runs[stem] for stems in kinds.values() for stem in stems])
            )
            continue
        for stems in kinds.values():
            title = f"{model} ({', '.join(stems)})"
            rows.append(_row_of_seeds(title, [runs[stem] for stem in stems]))
    real = files.get(f"{name}-{REAL}")
    if real is not None:
        rows += [_row(title, real[kind], marks.modified(real)) for kind, title in REALS.items()]
    return marks.table(rows)


def _row_of_seeds(title: str, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row for the seeds of one model, with the marks that any of them needs.

    Purities of an earlier kind are left out where there are others.
    """
    mark = max(map(marks.modified, found))
    if len(found) == 1:
        return _row(title, found[0], mark, marks.purity(found[0]))
    scores = judge.spread([_means(one) for one in found])
    pure = [one for one in found if not marks.purity(one)] or found
    note = f"({len(pure)})" if len(pure) < len(found) else marks.purity(pure[0])
    if "purity" in scores:
        scores |= judge.spread([{"purity": one["purity"]["mean"]} for one in pure])
    return _row(f"{title}, {len(found)} seeds", scores, mark, note)


def _means(scores: Mapping[str, Any]) -> dict[str, float]:
    return {column: scores[column]["mean"] for column in COLUMNS if column in scores}


def _row(title: str, scores: Mapping[str, Any], mark: str = "", note: str = "") -> list[str]:
    """The entries of a row: a mark after the title, and a note after the purity."""
    entries = []
    for column, (_, digits) in COLUMNS.items():
        value = scores.get(column)
        spread = "" if not value or value["std"] is None else f" ± {value['std']:.{digits}f}"
        text = "" if value is None else f"{value['mean']:.{digits}f}{spread}"
        entries.append(f"{text} {note}" if column == "purity" and text and note else text)
    return [f"{title} {mark}" if mark else title, *entries]
