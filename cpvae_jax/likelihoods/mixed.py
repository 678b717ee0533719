"""A distribution per column of a table, by its kind; what is missing is left out.

| kind | distribution of x given the decoder's output o |
|---|---|
| real | N(o, σ²), with a σ per column |
| positive | log x ~ N(o, σ²) |
| count | negative binomial with mean exp(o), and a dispersion r per column |
| binary | Bernoulli(sigmoid(o)) |
| categorical | softmax of one o per level |
| ordinal | P(x ≤ l) = sigmoid(cut_l − o), with cuts per column (McCullagh, 1980) |

x is a coded row (`cpvae_jax.columns`) in the unit of `mixed_unit`: its last numbers say which columns
are missing. These add nothing to log p, and the encoder sees them. So the bound is one on the
log-density of the values that are there.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import columns as kinds
from cpvae_jax.columns import Columns
from cpvae_jax.config import Config
from cpvae_jax.distributions.gaussian import soft_limit
from cpvae_jax.errors import UserError
from cpvae_jax.likelihoods import mixed_unit, ordinal
from cpvae_jax.likelihoods.base import Likelihood
from cpvae_jax.likelihoods.mixed_unit import Layout, columns_of, layout
from cpvae_jax.types import Own

FLOOR = 1e-3
"""The least variance of numbers, in variances of the column: of repeated values the density has no limit."""

LOG_DISPERSION_LIMIT = 8.0
"""log r of a negative binomial stays within ±8. Beyond, float32 loses the difference of log-gammas."""

LARGEST_LOG_MEAN = 60.0
"""Of a count, so that its mean is finite in float32."""

GAUSSIAN = (kinds.REAL, kinds.POSITIVE)


def init(key: jax.Array, config: Config, data: np.ndarray | None) -> Own:
    """Noise at the scale of the data, counts near a Poisson's, cuts at the frequencies of the levels."""
    del key
    columns = columns_of(config)
    found = layout(columns)
    weights = {}
    if size := sum(len(found.columns[kind]) for kind in GAUSSIAN):
        weights["log_var"] = jnp.zeros(size, jnp.float32)
    if size := len(found.columns[kinds.COUNT]):
        weights["log_dispersion"] = jnp.full(size, 1.0, jnp.float32)
    if len(found.columns[kinds.ORDINAL]):
        weights["cuts"] = ordinal.init(columns, found, data)
    return Own(weights, mixed_unit.empty(config))


def check(config: Config, array: np.ndarray, name: str) -> None:
    """Raise `UserError` for coded rows with a number that its column cannot have."""
    columns = columns_of(config)
    found = layout(columns)
    seen = array[:, found.width :][:, found.owner] <= 0.5
    for kind, least, words in ((kinds.POSITIVE, 0.0, "above 0"), (kinds.COUNT, -0.5, "from 0")):
        for place in found.values[kind]:
            bad = array[seen[:, place] & ~(array[:, place] > least), place]
            if bad.size:
                column = columns[found.owner[place]]
                raise UserError(
                    f"{name} holds {bad[0]:g} in column {column.name!r}, which is {column.kind} and takes "
                    f"numbers {words}; mend it, or make the column real."
                )


def _log_var(own: Own) -> jax.Array:
    """log σ² of real and positive columns, in the model's unit."""
    return jnp.log(jnp.exp(soft_limit(own.weights["log_var"])) + FLOOR)


def _log_dispersion(own: Own) -> jax.Array:
    limit = LOG_DISPERSION_LIMIT
    return limit * jnp.tanh(own.weights["log_dispersion"] / limit)


def _outputs(config: Config, own: Own, output: jax.Array) -> tuple[Layout, jax.Array]:
    """The layout, and the decoder's output for values, [..., W]: without training, the data's own
    frequencies and means."""
    found = layout(columns_of(config))
    return found, output[..., : found.width, 0] + own.stats["base"]


def _places(found: Layout, kind: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The places of values, and the numbers of the columns, of kinds that take one number per value."""
    return (
        np.concatenate([found.values[k] for k in kind]),
        np.concatenate([found.columns[k] for k in kind]),
    )


def _levels(columns: Columns, found: Layout) -> np.ndarray:
    """The places of the levels of each categorical column, [n, L]; W where a column has fewer."""
    places = [kinds.places(columns)[i] for i in found.columns[kinds.CATEGORICAL]]
    most = max(map(len, places))
    return np.array([[*p, *[found.width] * (most - len(p))] for p in places])


def _log_probs_of_levels(columns: Columns, found: Layout, o: jax.Array) -> jax.Array:
    """log P of each level, [..., n, L]; -inf where a column has fewer."""
    padded = jnp.concatenate([o, jnp.full((*o.shape[:-1], 1), -jnp.inf)], axis=-1)
    return jax.nn.log_softmax(padded[..., _levels(columns, found)], axis=-1)


def log_prob(config: Config, own: Own, output: jax.Array, x: jax.Array) -> jax.Array:
    """Σ log p over the columns that are not missing; per unit of the user's for numbers."""
    columns = columns_of(config)
    found, o = _outputs(config, own, output)
    seen = (x[..., found.width :] <= 0.5).astype(jnp.float32)
    t, value = x[..., : found.width], mixed_unit.coded(own, x)
    terms: list[tuple[np.ndarray, jax.Array]] = []
    if "log_var" in own.weights:
        places, numbers = _places(found, GAUSSIAN)
        log_var, log_scale = _log_var(own), jnp.log(own.stats["scale"][places])
        square = jnp.square(t[..., places] - o[..., places]) * jnp.exp(-log_var)
        found_log = -0.5 * (square + log_var + math.log(2 * math.pi)) - log_scale
        logged = found.transform[places] == mixed_unit.LOG
        found_log -= jnp.where(logged, value[..., places], 0)  # d log x / dx
        terms.append((numbers, found_log))
    if "log_dispersion" in own.weights:
        places, numbers = _places(found, (kinds.COUNT,))
        number = jnp.round(jnp.expm1(value[..., places]))
        terms.append((numbers, _log_negative_binomial(own, number, o[..., places])))
    if len(found.columns[kinds.BINARY]):
        places, numbers = _places(found, (kinds.BINARY,))
        one = value[..., places] > 0.5
        terms.append((numbers, -jax.nn.softplus(jnp.where(one, -o[..., places], o[..., places]))))
    if len(found.columns[kinds.CATEGORICAL]):
        log_p = _log_probs_of_levels(columns, found, o)
        padded = jnp.concatenate([value, jnp.zeros((*value.shape[:-1], 1))], axis=-1)
        chosen = padded[..., _levels(columns, found)] > 0.5
        found_log = jnp.sum(jnp.where(chosen, log_p, 0), axis=-1)
        terms.append((found.columns[kinds.CATEGORICAL], found_log))
    if "cuts" in own.weights:
        places, numbers = _places(found, (kinds.ORDINAL,))
        log_p = ordinal.log_probs(columns, found, own.weights["cuts"], o[..., places])
        level = jnp.round(value[..., places]).astype(jnp.int32)
        level, log_p = jnp.broadcast_arrays(level[..., None], log_p)
        terms.append((numbers, jnp.take_along_axis(log_p, level[..., :1], axis=-1)[..., 0]))
    return jnp.sum(
        jnp.concatenate([seen[..., numbers] * log_p for numbers, log_p in terms], axis=-1), axis=-1
    )


def _log_negative_binomial(own: Own, number: jax.Array, log_mean: jax.Array) -> jax.Array:
    """log Γ(n + r) / (n! Γ(r)) + r log r / (r + μ) + n log μ / (r + μ)."""
    log_r = _log_dispersion(own)
    r, log_sum = jnp.exp(log_r), jnp.logaddexp(log_r, log_mean)
    gammaln = jax.scipy.special.gammaln
    choose = gammaln(number + r) - gammaln(r) - gammaln(number + 1)
    return choose + r * (log_r - log_sum) + number * (log_mean - log_sum)


def _in_unit(own: Own, found: Layout, values: dict[str, jax.Array], like: jax.Array) -> jax.Array:
    """Coded values of each kind, with the logarithms of counts, as x [..., W + C] with nothing missing."""
    value = jnp.zeros(like.shape, jnp.float32)
    for kind, given in values.items():
        value = value.at[..., found.values[kind]].set(given)
    shift = own.stats["shift"] + own.stats["shift_low"]
    t = (value - shift) / own.stats["scale"]
    return jnp.concatenate([t, jnp.zeros((*t.shape[:-1], len(own.stats["gaps"])))], axis=-1)


def mean(config: Config, own: Own, output: jax.Array) -> jax.Array:
    """The mean of numbers, the probabilities of levels, and the mean place of ordinal ones."""
    columns = columns_of(config)
    found, o = _outputs(config, own, output)
    stats = own.stats
    values: dict[str, jax.Array] = {}
    places = found.values[kinds.REAL]
    values[kinds.REAL] = (stats["shift"] + stats["scale"] * o)[..., places]
    places = found.values[kinds.POSITIVE]
    if len(places):  # the mean of a log-normal: its logarithm is m + σ² / 2
        variance = (
            jnp.exp(_log_var(own)[len(found.values[kinds.REAL]) :]) * stats["scale"][places] ** 2
        )
        values[kinds.POSITIVE] = (stats["shift"] + stats["scale"] * o)[..., places] + variance / 2
    values[kinds.COUNT] = jax.nn.softplus(jnp.minimum(o, LARGEST_LOG_MEAN))[
        ..., found.values[kinds.COUNT]
    ]
    values[kinds.BINARY] = jax.nn.sigmoid(o[..., found.values[kinds.BINARY]])
    if len(found.columns[kinds.CATEGORICAL]):
        probs = jnp.exp(_log_probs_of_levels(columns, found, o))
        values[kinds.CATEGORICAL] = _flat(columns, found, probs)
    if "cuts" in own.weights:
        log_p = ordinal.log_probs(
            columns, found, own.weights["cuts"], o[..., found.values[kinds.ORDINAL]]
        )
        level = jnp.arange(log_p.shape[-1], dtype=jnp.float32)
        values[kinds.ORDINAL] = jnp.sum(jnp.exp(log_p) * level, axis=-1)
    return _in_unit(own, found, values, o)


def _flat(columns: Columns, found: Layout, of_levels: jax.Array) -> jax.Array:
    """[..., n, L] as the values of all categorical columns side by side."""
    levels = _levels(columns, found)
    return of_levels[..., levels < found.width]


def sample(config: Config, own: Own, key: jax.Array, output: jax.Array) -> jax.Array:
    """A draw of every column."""
    columns = columns_of(config)
    found, o = _outputs(config, own, output)
    stats = own.stats
    keys = dict(
        zip((*kinds.KINDS, "rate"), jax.random.split(key, len(kinds.KINDS) + 1), strict=True)
    )
    values: dict[str, jax.Array] = {}
    if "log_var" in own.weights:
        places, _ = _places(found, GAUSSIAN)
        noise = jax.random.normal(keys[kinds.REAL], (*o.shape[:-1], len(places)), jnp.float32)
        t = o[..., places] + jnp.exp(_log_var(own) / 2) * noise
        drawn = stats["shift"][places] + stats["scale"][places] * t
        real = len(found.values[kinds.REAL])
        values[kinds.REAL], values[kinds.POSITIVE] = drawn[..., :real], drawn[..., real:]
    if "log_dispersion" in own.weights:
        log_mean = jnp.minimum(o[..., found.values[kinds.COUNT]], LARGEST_LOG_MEAN)
        r = jnp.exp(_log_dispersion(own))
        rate = jax.random.gamma(keys["rate"], r, log_mean.shape) * jnp.exp(log_mean) / r
        number = jax.random.poisson(keys[kinds.COUNT], rate, dtype=jnp.int32)
        values[kinds.COUNT] = jnp.log1p(number.astype(jnp.float32))
    one = jax.nn.sigmoid(o[..., found.values[kinds.BINARY]])
    values[kinds.BINARY] = jax.random.bernoulli(keys[kinds.BINARY], one).astype(jnp.float32)
    if len(found.columns[kinds.CATEGORICAL]):
        log_p = _log_probs_of_levels(columns, found, o)
        level = jax.random.categorical(keys[kinds.CATEGORICAL], log_p)
        values[kinds.CATEGORICAL] = _flat(columns, found, jax.nn.one_hot(level, log_p.shape[-1]))
    if "cuts" in own.weights:
        log_p = ordinal.log_probs(
            columns, found, own.weights["cuts"], o[..., found.values[kinds.ORDINAL]]
        )
        values[kinds.ORDINAL] = jax.random.categorical(keys[kinds.ORDINAL], log_p).astype(
            jnp.float32
        )
    return _in_unit(own, found, values, o)


def standardise(own: Own, x: jax.Array) -> jax.Array:
    """x without the marks of columns that had no gap in training: their weights have learned nothing."""
    W = len(own.stats["owner"])
    return jnp.concatenate([x[..., :W], x[..., W:] * own.stats["gaps"]], axis=-1)


LIKELIHOOD = Likelihood(
    init,
    log_prob,
    mean,
    sample,
    check=check,
    standardise=standardise,
    suits="table",
    description="a distribution per column, by its kind; missing values are left out",
    measure=mixed_unit.measure,
    prepare=mixed_unit.prepare,
    restore=mixed_unit.restore,
    compare=mixed_unit.compare,
    coded=True,
    average=mixed_unit.average,
)
