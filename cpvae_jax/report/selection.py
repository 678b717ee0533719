"""The picture of a choice of K: the validation bound over K, and the number that was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cpvae_jax.report.drawing import save, styled, subplots


def curve(path: Path, table: Sequence[Mapping[str, float]], K: int, categories: int) -> None:
    """Draws how far the bound of each K is behind the best one, with paired standard errors.

    Args:
      path: the PNG file.
      table: the records of a `Selection`.
      K: the chosen number of components.
      categories: the number of categories after merging.
    """
    tried = [row["K"] for row in table]
    behind = -np.array([row["behind"] for row in table])
    errors = np.nan_to_num([row["behind_error"] for row in table])
    with styled():
        figure, axes = subplots(figsize=(6.4, 4), layout="constrained")
        axes.errorbar(tried, behind, yerr=errors, marker="o", markersize=4, linewidth=1, capsize=2)
        merged = "" if categories == K else f", merged to {categories} categories"
        axes.axvline(K, color="tab:orange", linewidth=1, label=f"chosen: K = {K}{merged}")
        axes.axhline(0, color="gray", linewidth=1, linestyle=":")
        if max(tried) > 4 * min(tried):
            axes.set_xscale("log")
        axes.set_xticks(tried, [f"{k:.0f}" for k in tried])
        axes.minorticks_off()
        axes.set(
            xlabel="K",
            ylabel="validation bound, nats from the best",
            title="Bound by number of categories, ± 1 paired standard error",
        )
        axes.legend()
        save(figure, path)
