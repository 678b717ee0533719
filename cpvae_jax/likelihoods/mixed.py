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


def _row(own: Own, found: Layout, values: dict[str, jax.Array]) -> jax.Array:
    """x [..., W + C] with nothing missing, from the values of each kind.

    Numbers on a Gaussian scale have the model's unit already, since large ones would lose digits on a way
    through the user's. Others are coded, counts as log(1 + n).
    """
    of_kind = [kind for kind in kinds.KINDS if len(found.values[kind])]
    in_unit = []
    for kind in of_kind:
        places = found.values[kind]
        shift = own.stats["shift"][places] + own.stats["shift_low"][places]
        value = values[kind]
        in_unit.append(value if kind in GAUSSIAN else (value - shift) / own.stats["scale"][places])
    order = np.argsort(np.concatenate([found.values[kind] for kind in of_kind]))
    t = jnp.concatenate(in_unit, axis=-1)[..., order]
    return jnp.concatenate([t, jnp.zeros((*t.shape[:-1], len(own.stats["gaps"])))], axis=-1)


def mean(config: Config, own: Own, output: jax.Array) -> jax.Array:
    """The mean of numbers, the probabilities of levels, and the mean place of ordinal ones."""
    columns = columns_of(config)
    found, o = _outputs(config, own, output)
    values = {kind: o[..., places] for kind, places in found.values.items() if len(places)}
    if kinds.POSITIVE in values:  # the mean of a log-normal: its logarithm is m + σ² / 2
        variance = jnp.exp(_log_var(own)[len(found.values[kinds.REAL]) :])
        values[kinds.POSITIVE] += variance * own.stats["scale"][found.values[kinds.POSITIVE]] / 2
    if kinds.COUNT in values:
        values[kinds.COUNT] = jax.nn.softplus(jnp.minimum(values[kinds.COUNT], LARGEST_LOG_MEAN))
    if kinds.BINARY in values:
        values[kinds.BINARY] = jax.nn.sigmoid(values[kinds.BINARY])
    if kinds.CATEGORICAL in values:
        probs = jnp.exp(_log_probs_of_levels(columns, found, o))
        values[kinds.CATEGORICAL] = _flat(columns, found, probs)
    if kinds.ORDINAL in values:
        log_p = ordinal.log_probs(columns, found, own.weights["cuts"], values[kinds.ORDINAL])
        level = jnp.arange(log_p.shape[-1], dtype=jnp.float32)
        values[kinds.ORDINAL] = jnp.sum(jnp.exp(log_p) * level, axis=-1)
    return _row(own, found, values)


def _flat(columns: Columns, found: Layout, of_levels: jax.Array) -> jax.Array:
    """[..., n, L] as the values of all categorical columns side by side."""
    flat = of_levels.reshape(*of_levels.shape[:-2], -1)
    return flat[..., np.flatnonzero(_levels(columns, found).ravel() < found.width)]


def sample(config: Config, own: Own, key: jax.Array, output: jax.Array) -> jax.Array:
    """A draw of every column."""
    columns = columns_of(config)
    found, o = _outputs(config, own, output)
    purposes = (*kinds.KINDS, "rate")
    keys = dict(zip(purposes, jax.random.split(key, len(purposes)), strict=True))
    values = {kind: o[..., places] for kind, places in found.values.items() if len(places)}
    if "log_var" in own.weights:
        places, _ = _places(found, GAUSSIAN)
        noise = jax.random.normal(keys[kinds.REAL], (*o.shape[:-1], len(places)), jnp.float32)
        drawn = o[..., places] + jnp.exp(_log_var(own) / 2) * noise
        real = len(found.values[kinds.REAL])
        values[kinds.REAL], values[kinds.POSITIVE] = drawn[..., :real], drawn[..., real:]
    if kinds.COUNT in values:
        log_mean = jnp.minimum(values[kinds.COUNT], LARGEST_LOG_MEAN)
        r = jnp.exp(_log_dispersion(own))
        rate = jax.random.gamma(keys["rate"], r, log_mean.shape) * jnp.exp(log_mean) / r
        number = jax.random.poisson(keys[kinds.COUNT], rate, dtype=jnp.int32)
        values[kinds.COUNT] = jnp.log1p(number.astype(jnp.float32))
    if kinds.BINARY in values:
        one = jax.random.bernoulli(keys[kinds.BINARY], jax.nn.sigmoid(values[kinds.BINARY]))
        values[kinds.BINARY] = one.astype(jnp.float32)
    if kinds.CATEGORICAL in values:
        log_p = _log_probs_of_levels(columns, found, o)
        level = jax.random.categorical(keys[kinds.CATEGORICAL], log_p)
        values[kinds.CATEGORICAL] = _flat(columns, found, jax.nn.one_hot(level, log_p.shape[-1]))
    if kinds.ORDINAL in values:
        log_p = ordinal.log_probs(columns, found, own.weights["cuts"], values[kinds.ORDINAL])
        level = jax.random.categorical(keys[kinds.ORDINAL], log_p)
        values[kinds.ORDINAL] = level.astype(jnp.float32)
    return _row(own, found, values)


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
