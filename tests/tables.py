"""What the tests of tables share: columns of every kind, rows of them, and their densities from scipy."""

import numpy as np
import pandas
from scipy.special import expit, log_softmax, softmax
from scipy.stats import lognorm, nbinom, norm

from cpvae_jax import Config
from cpvae_jax import columns as kinds
from cpvae_jax.columns import Column
from tests.conftest import Reference

COLUMNS = (
    Column("price", "positive"),
    Column("mass", "real"),
    Column("eggs", "count"),
    Column("sex", "binary", ("f", "m")),
    Column("island", "categorical", ("A", "B", "C")),
    Column("grade", "ordinal", ("low", "mid", "high", "top")),
    Column("colour", "categorical", ("green", "red")),
    Column("size", "ordinal", (1, 2, 3)),
)
W, C = kinds.width(COLUMNS), len(COLUMNS)
OWNER = np.repeat(np.arange(C), [column.width for column in COLUMNS])
GAUSSIAN = ("real", "positive")
"""Kinds with a noise scale of their own, in the order of the likelihood's weights."""

GAPS = ("mass", "eggs", "island", "grade")
"""Columns with gaps in training."""

CONFIG = Config(shape=(W + C,), K=2, latent=1, hidden=(8,), likelihood="mixed", columns=COLUMNS)


def rows(num=400, seed=0, share=0.2, gaps=GAPS):
    """Coded rows at random, with a share of gaps in some columns, [num, W + C]."""
    rng = np.random.default_rng(seed)
    x = np.zeros((num, W + C))
    values = {
        "mass": rng.normal(50, 4, num),
        "price": rng.lognormal(1, 0.7, num),
        "eggs": rng.negative_binomial(2, 0.3, num),
        "sex": rng.random(num) < 0.3,
        "grade": rng.choice(4, num, p=[0.1, 0.4, 0.3, 0.2]),
        "size": rng.choice(3, num),
    }
    for i, (column, places) in enumerate(zip(COLUMNS, kinds.places(COLUMNS), strict=True)):
        if column.kind == "categorical":
            x[np.arange(num), places.start + rng.choice(column.width, num)] = 1
        else:
            x[:, places.start] = values[column.name]
        if column.name in gaps:
            x[rng.random(num) < share, W + i] = 1
    x[:, :W] *= x[:, W:][:, OWNER] < 0.5
    return x


def frame(num=200, seed=0):
    """A data frame with columns of several kinds, gaps, and three groups of rows."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, num)
    found = pandas.DataFrame(
        {
            "id": [f"row {i}" for i in range(num)],
            "mass": rng.normal([0, 6, 12], 1, (num, 3))[np.arange(num), group],
            "eggs": rng.poisson([1, 4, 12], (num, 3))[np.arange(num), group],
            "island": np.array(["A", "B", "C"])[(group + (rng.random(num) < 0.1)) % 3],
            "grade": rng.integers(1, 5, num),
            "species": np.array(["x", "y", "z"])[group],
            "note": "nothing",
        }
    )
    found.loc[rng.random(num) < 0.15, "mass"] = np.nan
    found.loc[rng.random(num) < 0.15, "island"] = None
    return found


def parts_of(own):
    """The trained numbers and the constants of a likelihood in float64, by name."""
    weights = {k: np.asarray(v, np.float64) for k, v in own.weights.items() if k != "cuts"}
    stats = {k: np.asarray(v, np.float64) for k, v in own.stats.items()}
    sigma = np.sqrt(np.exp(10 * np.tanh(weights["log_var"] / 10)) + 1e-3)
    r = np.exp(8 * np.tanh(weights["log_dispersion"] / 8))
    first, gaps = (np.asarray(own.weights["cuts"][k], np.float64) for k in ("first", "gaps"))
    inner = first[:, None] + np.cumsum(np.log1p(np.exp(gaps)) + 1e-3, axis=1)
    cuts = np.concatenate([first[:, None], inner], axis=1)
    return sigma, r, cuts, stats["shift"] + stats["shift_low"], stats["scale"], stats["base"]


def probs_of_levels(cuts, o):
    """P of each level in order by differences of the cumulative ones, [..., L]."""
    below = expit(cuts - o[..., None])
    return np.diff(below, axis=-1, prepend=0, append=1)


def log_probs(own, output, x):
    """log p of each column of coded rows x [..., W + C] in the user's unit, [..., C]; 0 where it is missing."""
    sigma, r, cuts, shift, scale, base = parts_of(own)
    o, found, ordinal = output + base, [], 0
    for column, places in zip(COLUMNS, kinds.places(COLUMNS), strict=True):
        p = places.start
        value = x[..., p]
        if column.kind in ("real", "positive"):
            mean, std = (
                shift[p] + scale[p] * o[..., p],
                scale[p] * sigma[GAUSSIAN.index(column.kind)],
            )
            log_p = norm.logpdf(value, mean, std)
            if column.kind == "positive":
                log_p = lognorm.logpdf(np.where(value > 0, value, 1), std, scale=np.exp(mean))
        elif column.kind == "count":
            log_p = nbinom.logpmf(value, r[0], r[0] / (r[0] + np.exp(o[..., p])))
        elif column.kind == "binary":
            log_p = np.log(np.where(value > 0.5, expit(o[..., p]), expit(-o[..., p])))
        elif column.kind == "categorical":
            every = log_softmax(o[..., places.start : places.stop], axis=-1)
            log_p = np.sum(x[..., places.start : places.stop] * every, axis=-1)
        else:
            of_column = cuts[ordinal, : len(column.levels) - 1]
            every = np.log(probs_of_levels(of_column, o[..., p]))
            level = np.broadcast_to(value.astype(int), every.shape[:-1])[..., None]
            log_p = np.take_along_axis(every, level, axis=-1)[..., 0]
            ordinal += 1
        found.append(log_p)
    log_p = np.stack(np.broadcast_arrays(*found), axis=-1)
    return np.where(x[..., W:] > 0.5, 0, log_p)


def means(own, output):
    """The mean of each number and the probability of each level given the output, [..., W]."""
    sigma, _, cuts, shift, scale, base = parts_of(own)
    o = output + base
    found, ordinal = np.empty(o.shape), 0
    for column, places in zip(COLUMNS, kinds.places(COLUMNS), strict=True):
        p = places.start
        if column.kind in ("real", "positive"):
            mean, std = (
                shift[p] + scale[p] * o[..., p],
                scale[p] * sigma[GAUSSIAN.index(column.kind)],
            )
            of_logs = lognorm.mean(std, scale=np.exp(mean))
            found[..., p] = mean if column.kind == "real" else of_logs
        elif column.kind == "count":
            found[..., p] = np.exp(o[..., p])
        elif column.kind == "binary":
            found[..., p] = expit(o[..., p])
        elif column.kind == "categorical":
            found[..., p : places.stop] = softmax(o[..., p : places.stop], axis=-1)
        else:
            probs = probs_of_levels(cuts[ordinal, : len(column.levels) - 1], o[..., p])
            found[..., p] = probs @ np.arange(len(column.levels))
            ordinal += 1
    return found


class TableReference(Reference):
    """A model of `COLUMNS` with D = 1 in float64; x are coded rows in the user's unit."""

    def __init__(self, params):
        super().__init__(params)
        self.own = params.likelihood
        _, _, _, self.shift, self.scale, _ = parts_of(self.own)
        self.gaps = np.asarray(self.own.stats["gaps"])

    def posterior(self, x):
        """As of the network's input: standardised values, and the marks of columns with gaps."""
        t = np.array(x[:, :W])
        for i, places in enumerate(kinds.places(COLUMNS)):
            known = x[:, W + i] < 0.5
            if COLUMNS[i].kind in ("positive", "count"):
                logarithm = np.log if COLUMNS[i].kind == "positive" else np.log1p
                t[known, places.start] = logarithm(t[known, places.start])
        t = np.where(x[:, W:][:, OWNER] > 0.5, 0, (t - self.shift) / self.scale)
        return super().posterior(np.concatenate([t, x[:, W:] * self.gaps], axis=1))

    def outputs(self):
        """The decoder's outputs on the grid, [K, grid, W]; those of the marks are not read."""
        of = [self.output(self.grid[:, None], k)[:, :W] for k in range(self.K)]
        return np.stack(of)

    def _given_z(self, x):
        return np.array([log_probs(self.own, self.outputs(), row).sum(axis=-1) for row in x])

    def expected(self, x):
        """E[x | what is there of it], integrated over z and summed over c, [B, W]."""
        logs = self._given_z(x) + self.log_prior() + np.log(self.prior_c)[:, None]
        weights = np.exp(logs - logs.max(axis=(1, 2), keepdims=True))
        weights /= weights.sum(axis=(1, 2), keepdims=True)
        return np.einsum("bkg,kgw->bw", weights, means(self.own, self.outputs()))
