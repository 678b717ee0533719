"""The penguins, a table with columns of several kinds and gaps: their species, and values filled."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.tables import labelled

SHARE = 0.1
"""The share of the values that are taken out, and filled."""


def species(folder: Path, seed: int) -> dict[str, Any]:
    """Accuracy of the species of all 344 penguins, K = 3, beside k-means and a mixture on filled columns.

    Of all columns, and without the sex and the year, by which animals of one species differ too.
    """
    table, labels = labelled(folder / "penguins.csv", "species")
    truth = np.unique(labels, return_inverse=True)[1]
    chosen = table.drop_columns(["sex", "year"])
    return {
        "all columns": _species(table, truth, seed),
        "chosen columns": _species(chosen, truth, seed),
    }


def _species(table: Any, truth: np.ndarray, seed: int) -> dict[str, Any]:
    from cpvae_jax import CPVAE
    from cpvae_jax.evaluation import classical
    from cpvae_jax.evaluation.clustering import clustering

    model = CPVAE(3, random_state=seed).fit(table)

    def accuracy(found: np.ndarray) -> float:
        return float(clustering(found, truth)["accuracy_hungarian"])

    rows = _one_hot(table, "mean")
    rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        beside = {
            "kmeans": accuracy(classical.kmeans(rows, 3).cluster(rows)),
            "mixture": accuracy(classical.mixture(rows, 3).cluster(rows)),
        }
    return {"accuracy_hungarian": accuracy(model.labels_), "bound": model.score(table), **beside}


def _one_hot(table: Any, fill: str) -> np.ndarray:
    """Rows with levels one-hot; numbers with the mean, or NaN, where they are missing."""
    from cpvae_jax import columns as kinds
    from cpvae_jax.data import coding, inference

    columns = inference.infer(table)
    coded = coding.encode(columns, table)
    W = kinds.width(columns)
    x = np.where(coded[:, W:][:, kinds.owners(columns)] > 0.5, np.nan, coded[:, :W])
    return np.where(np.isnan(x), np.nanmean(x, axis=0), x) if fill == "mean" else x


def gaps(folder: Path, seed: int) -> dict[str, Any]:
    """The error of a tenth of the values that were taken out: of numbers in standard deviations, of levels
    the share that is wrong."""
    import pyarrow as pa
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    from cpvae_jax import CPVAE
    from cpvae_jax import columns as kinds
    from cpvae_jax.data import coding, inference

    table, _ = labelled(folder / "penguins.csv", "species")
    columns = inference.infer(table)
    rng = np.random.default_rng(seed)
    out = {n: rng.random(table.num_rows) < SHARE for n in table.column_names}
    out = {
        n: gone & np.array([v is not None for v in table[n].to_pylist()]) for n, gone in out.items()
    }
    holed = pa.table(
        {
            n: pa.array(
                [None if g else v for v, g in zip(table[n].to_pylist(), out[n], strict=True)]
            )
            for n in table.column_names
        }
    )
    x = _one_hot(holed, "nan")
    filled = {
        "cpvae": coding.decode(
            columns, coding.encode(columns, CPVAE(3, random_state=seed).fit(holed).impute(holed))
        ),
        "mean or mode": _decoded(columns, np.where(np.isnan(x), np.nanmean(x, axis=0), x)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = IterativeImputer(random_state=seed, max_iter=50).fit_transform(x)
    filled["IterativeImputer"] = _decoded(columns, found)
    errors: dict[str, Any] = {}
    for method, values in filled.items():
        numbers, levels = [], []
        for column in columns:
            gone = out[column.name]
            truth = np.array(table[column.name].to_pylist(), object)[gone]
            given = np.array(values[column.name], object)[gone]
            if column.kind in kinds.NUMBERS:
                whole = np.array(
                    [v for v in table[column.name].to_pylist() if v is not None], float
                )
                apart = (given.astype(float) - truth.astype(float)) / whole.std()
                numbers.append(float(np.sqrt(np.mean(apart**2))))
            else:
                levels.append(float(np.mean(given != truth)))
        errors[method] = {"numbers": float(np.mean(numbers)), "levels": float(np.mean(levels))}
    return {"errors": errors}


def _decoded(columns: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """One-hot rows without gaps as columns."""
    from cpvae_jax.data import coding

    return coding.decode(columns, np.concatenate([x, np.zeros((len(x), len(columns)))], axis=1))
