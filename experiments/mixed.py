"""Tables with columns of several kinds, and gaps: `python -m experiments.mixed --manual-dir TABLES`.

It trains what has no result in `results/mixed/` yet and prints the tables of docs/results.md:

- penguins, all columns and gaps: accuracy of the species, and the error of filled gaps
- german_credit, mushroom: bound and log-likelihood beside a Gaussian on one-hot columns
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cpvae_jax.commands import flags, provenance
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.main import as_process, exit_code
from cpvae_jax.errors import UserError
from experiments import marks

SHARE = 0.1
"""The share of the values that are taken out, and filled."""

K = {"penguins": 3, "german_credit": 10, "mushroom": 10}
LABEL = {"penguins": "species", "german_credit": "class", "mushroom": "class"}
SAMPLES = 1000
"""Importance samples per row of the log-likelihood."""


@dataclass(frozen=True)
class Options:
    """Where tables are and results go."""

    manual_dir: Path = option(help="folder with penguins.csv, german_credit.csv and mushroom.csv")
    results: Path = option(Path("results/mixed"), "folder of the results")
    seeds: int = option(5, "number of seeds of each part")
    print: bool = option(False, "only print the tables of the results that are there")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    (options,) = flags.parse(
        argv,
        program="python -m experiments.mixed",
        description=str(__doc__),
        groups={"options": [Options]},
    )
    return exit_code(run, options)


PARTS: dict[str, Callable[[Path, int], dict[str, Any]]] = {}
"""What is measured of one seed, by name."""


def part(name: str) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    """Lists a function of the folder of tables and a seed under a name."""

    def listed(function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        PARTS[name] = function
        return function

    return listed


def run(options: Options) -> None:
    """Measures what has no result yet, and prints the tables."""
    options.results.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for name, function in PARTS.items():
            path = options.results / f"{name}-seed{seed}.json"
            if options.print or path.exists():
                continue
            about = provenance.describe(sys.argv[1:], "python -m experiments.mixed")
            found = {"commit": about["commit"], "seed": seed, **function(options.manual_dir, seed)}
            path.write_text(json.dumps(found, indent=2) + "\n")
            print(path, json.dumps(found), flush=True)
    print(summary(options.results))


def _table(folder: Path, name: str) -> tuple[Any, np.ndarray]:
    """The columns of data, and the labels."""
    from cpvae_jax.data import readers

    table = readers.read(folder / f"{name}.csv")
    labels = np.array(table[LABEL[name]].to_pylist())
    return table.drop_columns([LABEL[name]]), labels


@part("penguins-species")
def species(folder: Path, seed: int) -> dict[str, Any]:
    """Accuracy of the species of all 344 penguins, K = 3, beside k-means and a mixture on filled columns.

    Of all columns, and without the sex and the year, by which animals of one species differ too.
    """
    table, labels = _table(folder, "penguins")
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

    model = CPVAE(K["penguins"], random_state=seed).fit(table)

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


@part("penguins-gaps")
def gaps(folder: Path, seed: int) -> dict[str, Any]:
    """The error of a tenth of the values that were taken out: of numbers in standard deviations, of levels
    the share that is wrong."""
    import pyarrow as pa
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    from cpvae_jax import CPVAE
    from cpvae_jax import columns as kinds
    from cpvae_jax.data import coding, inference

    table, _ = _table(folder, "penguins")
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
            columns, _coded(columns, CPVAE(3, random_state=seed).fit(holed).impute(holed))
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


def _coded(columns: Any, table: Any) -> np.ndarray:
    from cpvae_jax.data import coding

    return coding.encode(columns, table)


def _decoded(columns: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """One-hot rows without gaps as columns."""
    from cpvae_jax.data import coding

    return coding.decode(columns, np.concatenate([x, np.zeros((len(x), len(columns)))], axis=1))


def _densities(folder: Path, name: str, seed: int) -> dict[str, Any]:
    """Bound and log-likelihood of test rows: a distribution per column, and a Gaussian on one-hot columns.

    The density of a Gaussian has no meaning for levels, so its bound is given as trained, and also with
    the probabilities that it stands for: those of the levels are in proportion to their densities.
    """
    import jax

    import cpvae_jax
    from cpvae_jax import columns as kinds
    from cpvae_jax.data import coding, inference
    from cpvae_jax.data.dataset import split, tenth
    from cpvae_jax.training import recipe as recipes

    table, _ = _table(folder, name)
    columns = inference.infer(table)
    coded = coding.encode(columns, table)
    held = tenth(len(coded))
    train, valid, test = split(len(coded), valid=held, test=held)
    W = kinds.width(columns)
    result: dict[str, Any] = {}
    for likelihood, x in (("mixed", coded), ("gaussian", coded[:, :W])):
        of_mixed = columns if likelihood == "mixed" else None
        fields: dict[str, Any] = recipes.MODES.model(x.shape[1:], len(train))
        config = cpvae_jax.Config(
            shape=x.shape[1:], K=K[name], likelihood=likelihood, columns=of_mixed, **fields
        )
        key = jax.random.key(seed)
        params = cpvae_jax.fit(key, config, x[train], x[valid], callbacks=[]).params
        if likelihood == "gaussian":
            bound = cpvae_jax.bound_terms(params, key, x[test], samples=8)["bound"]
            result["gaussian, density"] = {"bound": float(bound.mean())}
            params = _with_levels(params, columns)
            likelihood = "gaussian, probabilities"
        bound = cpvae_jax.bound_terms(params, key, x[test], samples=8)["bound"]
        log_p = cpvae_jax.log_likelihood(params, key, x[test], samples=SAMPLES)
        result[likelihood] = {"bound": float(bound.mean()), "log_likelihood": float(log_p.mean())}
    return result


def _with_levels(params: Any, columns: Any) -> Any:
    """A model with the likelihood "gaussian" on one-hot rows, as a distribution of levels."""
    import dataclasses

    import jax
    import jax.numpy as jnp

    from cpvae_jax import columns as kinds
    from cpvae_jax import likelihoods
    from cpvae_jax.likelihoods import gaussian

    places = [np.array(p) for p in kinds.places(columns)]

    def log_prob(config: Any, own: Any, output: Any, x: Any) -> Any:
        scale = own.stats["scale"]
        log_var = gaussian._log_var(config, own) + jnp.zeros(config.size)
        total: Any = 0.0
        for column, place in zip(columns, places, strict=True):
            o, var = output[..., place, 0], jnp.exp(log_var[place])
            if column.kind in kinds.NUMBERS:
                square = (x[..., place] - o) ** 2 / var
                density = -0.5 * (square + jnp.log(2 * jnp.pi * var)) - jnp.log(scale[place])
                total += density[..., 0]
                continue
            hot = np.eye(column.width) if column.width > 1 else np.array([[0.0], [1.0]])
            if column.kind == kinds.CATEGORICAL and column.width == 1:
                continue  # a single level is certain
            each = (jnp.asarray(hot) - own.stats["shift"][place]) / scale[place]
            logits = -0.5 * jnp.sum((each - o[..., None, :]) ** 2 / var, axis=-1)
            near = jnp.sum((each - x[..., None, place]) ** 2, axis=-1)
            chosen = jax.nn.one_hot(jnp.argmin(near, axis=-1), len(hot))
            total += jnp.sum(jax.nn.log_softmax(logits) * chosen, axis=-1)
        return total

    name = f"levels-{len(columns)}"
    if name not in likelihoods.names():
        likelihoods.register(name, gaussian.LIKELIHOOD._replace(log_prob=log_prob))
    return dataclasses.replace(params, config=dataclasses.replace(params.config, likelihood=name))


@part("german_credit")
def german_credit(folder: Path, seed: int) -> dict[str, Any]:
    """7 columns of numbers and 13 of levels."""
    return _densities(folder, "german_credit", seed)


@part("mushroom")
def mushroom(folder: Path, seed: int) -> dict[str, Any]:
    """22 columns of levels."""
    return _densities(folder, "mushroom", seed)


def summary(folder: Path) -> str:
    """The tables."""
    found = {
        name: [json.loads(p.read_text()) for p in sorted(folder.glob(f"{name}-seed*.json"))]
        for name in PARTS
    }
    if not any(found.values()):
        raise UserError(f"{folder} holds no results; run without --print first.")

    def shown(values: list[float], digits: int = 3) -> str:
        spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
        return f"{np.mean(values):.{digits}f} ± {spread:.{digits}f}"

    lines = []
    if one := found["penguins-species"]:
        methods = {
            "CPVAE": "accuracy_hungarian",
            "k-means": "kmeans",
            "Gaussian mixture": "mixture",
        }
        which = ("all columns", "chosen columns")
        body = [[m, *(shown([r[c][k] for r in one]) for c in which)] for m, k in methods.items()]
        head = ["accuracy of the species", "all columns", "without sex and year"]
        lines += [marks.table([head, *body])]
    if one := found["penguins-gaps"]:
        head = ["penguins", "numbers, standard deviations", "levels, share wrong"]
        body = [
            [m, *(shown([r["errors"][m][k] for r in one]) for k in ("numbers", "levels"))]
            for m in one[0]["errors"]
        ]
        lines += [marks.table([head, *body])]
    for name in ("german_credit", "mushroom"):
        if one := found[name]:
            several = [
                m for m in ("mixed", "gaussian, probabilities", "gaussian, density") if m in one[0]
            ]
            body = [
                [
                    m,
                    *(
                        shown([r[m][k] for r in one], 2) if k in one[0][m] else ""
                        for k in ("bound", "log_likelihood")
                    ),
                ]
                for m in several
            ]
            lines += [marks.table([[name, "bound", "log-likelihood"], *body])]
    return "\n\n".join(lines)


if __name__ == "__main__":
    sys.exit(as_process(main))
