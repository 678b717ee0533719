"""Tiny models, and an independent implementation of the model in plain numpy to compare with."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp, rel_entr
from scipy.stats import norm

from cpvae_jax import Config, Params, Training, initialise, likelihoods, posteriors
from cpvae_jax.models import start
from cpvae_jax.posteriors import iaf
from cpvae_jax.registry import POSTERIORS
from cpvae_jax.training import program, step, validation
from experiments.data import load

# The programs are tiny and run once or twice, so optimised compilation never pays; neither here
# nor in the commands that the tests start.
jax.config.update("jax_disable_most_optimizations", True)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

KEPT = "JAX_COMPILATION_CACHE_DIR"

QUICKER = "--xla_cpu_use_fusion_emitters=false"
"""With this flag XLA compiles the tests' programs in half the time."""


def pytest_configure(config: pytest.Config) -> None:
    """Compile quickly, and share compiled programs between the processes of the tests: workers and commands."""
    flags = os.environ.get("XLA_FLAGS", "")
    if QUICKER not in flags and understood(QUICKER):
        os.environ["XLA_FLAGS"] = f"{flags} {QUICKER}".strip()
    if KEPT not in os.environ:
        os.environ[KEPT] = tempfile.mkdtemp(prefix="cpvae-jax-tests-")
        config.add_cleanup(lambda: shutil.rmtree(os.environ.pop(KEPT), ignore_errors=True))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    jax.config.update("jax_compilation_cache_dir", os.environ[KEPT])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


MOST = 20_000
"""Memory maps of a process above which it drops its programs; at 65,530, Linux's limit, XLA can crash."""


@pytest.fixture(autouse=True)
def _few_programs() -> Iterator[None]:
    """Drop compiled programs, each of which takes several memory maps, before there are too many.

    A short test compiles little, and counting takes up to 30 ms, so only longer ones count.
    """
    begin = time.monotonic()
    yield
    if time.monotonic() - begin > 0.2 and memory_maps() > MOST:
        jax.clear_caches()


def memory_maps() -> int:
    """The memory maps of this process; 0 where the system does not list them."""
    maps = Path("/proc/self/maps")
    return maps.read_bytes().count(b"\n") if maps.exists() else 0


def understood(flag: str) -> bool:
    """Whether XLA knows a flag; a process with one that it does not know is aborted."""
    command = [sys.executable, "-c", "import jax; jax.numpy.zeros(1)"]
    environment = os.environ | {"XLA_FLAGS": flag}
    return subprocess.run(command, env=environment, stderr=subprocess.DEVNULL).returncode == 0


TINY = Config(shape=(3,), K=2, latent=1, hidden=(8,), binarise="none")


class Reference:
    """A Bernoulli model in float64, category by category, from arrays and formulas alone.

    With D = 1 the code z is summed over a grid. The integrands are smooth and vanish at its ends,
    where sums on a grid are exact up to rounding.
    """

    grid, step = np.linspace(-20, 20, 8001, retstep=True)

    def __init__(self, params: Params) -> None:
        self.K = params.config.K
        self.kept = np.array(params.config.groups or range(self.K)) >= 0
        weights = jax.tree.map(lambda a: np.asarray(a, np.float64), params.weights)
        self.encoder, self.heads = weights["encoder"], weights["heads"]
        self.decoder, prior = weights["decoder"], weights["prior"]
        self.prior_mean, self.prior_log_var = prior["mean"], limited(prior["log_var"])
        odds = np.exp(weights.get("category", np.zeros(self.K))) * self.kept
        self.prior_c = odds / odds.sum()

    def posterior(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """q(c|x) [B, K], and the mean and log-variance of q(z|x, c), [B, K, D]."""
        h, heads = trunk(self.encoder, x), self.heads
        logits = h @ heads["logits"]["kernel"] + heads["logits"]["bias"]
        logits = np.where(self.kept, logits, -np.inf)
        mean = (h @ heads["mean"]["kernel"] + heads["mean"]["bias"])[:, None]
        log_var = limited(h @ heads["log_var"]["kernel"] + heads["log_var"]["bias"])[:, None]
        return (
            np.exp(logits - logsumexp(logits, axis=1, keepdims=True)),
            mean + heads["mean"]["category"],
            log_var + limited(heads["log_var"]["category"]),
        )

    def output(self, z: np.ndarray, k: int) -> np.ndarray:
        """The decoder's logits of the pixels, [..., D] to [..., X]."""
        h, output = trunk(self.decoder["trunk"], z, k), self.decoder["output"]
        return h @ output["kernel"] + output["bias"]

    def divergences(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """KL(c) [B], and the expectation over c of KL(z|c) [B], by closed forms."""
        probs, mean, log_var = self.posterior(x)
        kl_c = np.sum(rel_entr(probs, self.prior_c), axis=1)
        variance, variance_p = np.exp(log_var), np.exp(self.prior_log_var)
        squares = (mean - self.prior_mean) ** 2
        kl = (variance + squares) / variance_p - 1 + self.prior_log_var - log_var
        return kl_c, np.sum(probs * kl.sum(axis=2) / 2, axis=1)

    def _given_z(self, x: np.ndarray) -> np.ndarray:
        """log p(x|z, c) on the grid, [B, K, grid]."""
        outputs = np.stack([self.output(self.grid[:, None], k) for k in range(self.K)])
        return np.einsum("bx,kgx->bkg", x, outputs) - np.logaddexp(0, outputs).sum(axis=2)

    def posterior_density(self, x: np.ndarray) -> np.ndarray:
        """q(z|x, c) on the grid, [B, K, grid]."""
        _, mean, log_var = self.posterior(x)
        return norm.pdf(self.grid, mean, np.exp(log_var / 2))

    def log_prior(self) -> np.ndarray:
        """log p(z|c) on the grid, [K, grid]."""
        return norm.logpdf(self.grid, self.prior_mean, np.exp(self.prior_log_var / 2))

    def log_likelihood(self, x: np.ndarray) -> np.ndarray:
        """log p(x) = log Σ_c p(c) ∫ p(x|z, c) p(z|c) dz, [B]."""
        logs = self._given_z(x) + self.log_prior() + np.log(self.step)
        return logsumexp(logs, (1, 2), b=self.prior_c[:, None])

    def reconstruction(self, x: np.ndarray) -> np.ndarray:
        """E_q(z, c|x) log p(x|z, c), [B]."""
        each = np.sum(self._given_z(x) * self.posterior_density(x), axis=2) * self.step
        return np.sum(self.posterior(x)[0] * each, axis=1)

    def bound(self, x: np.ndarray) -> np.ndarray:
        """The bound on log p(x) with every expectation integrated, [B]."""
        return self.reconstruction(x) - sum(self.divergences(x))


def limited(log_var: np.ndarray) -> np.ndarray:
    return 10 * np.tanh(log_var / 10)


def trunk(layers: Sequence[dict], x: np.ndarray, k: int | None = None) -> np.ndarray:
    for layer in layers:
        y = x @ layer["kernel"] + layer["bias"]
        y = y if k is None or "category" not in layer else y + layer["category"][k]
        value, gate = np.split(y, 2, axis=-1)
        x = value * expit(gate)
    return x


@pytest.fixture(scope="session")
def reference() -> type[Reference]:
    return Reference


@pytest.fixture(scope="session")
def shaken() -> Callable[..., Params]:
    """A function that makes parameters at random: no zeros, no equal rows, and no compilation."""

    def make(config: Config, *, seed: int = 0, data: np.ndarray | None = None) -> Params:
        template = start.template(config)
        rng = np.random.default_rng(seed)
        weights = jax.tree.map(
            lambda a: jnp.asarray(rng.normal(0, 0.7, a.shape), a.dtype), template.weights
        )
        own = likelihoods.of(config).init(jax.random.key(0), config, data)
        stats = {**own.stats, **start.measure(config, data)}
        return Params(
            weights={**weights, "likelihood": own.weights},
            stats={"aggregate": jnp.full(config.K, 1 / config.K), "likelihood": stats},
            config=config,
        )

    return make


@pytest.fixture(scope="module")
def flow() -> Iterator[str]:
    """The name of a flow of two steps with few units, which compiles fast."""
    posteriors.register("flow", iaf.family(2, 6))
    yield "flow"
    POSTERIORS.forget("flow")


@pytest.fixture(scope="session")
def params(shaken: Callable[..., Params]) -> Params:
    """A model of X = 3 pixels with K = 2 and D = 1: small enough to integrate."""
    return shaken(TINY)


@pytest.fixture(scope="session")
def covering(params: Params) -> Params:
    """The same with posteriors wider than the priors: importance weights have a variance then."""
    weights = params.weights
    small = {name: jax.tree.map(lambda a: 0.3 * a, weights[name]) for name in ("encoder", "heads")}
    small["heads"]["log_var"]["bias"] += 1.0
    prior = weights["prior"] | {"log_var": 0.3 * weights["prior"]["log_var"]}
    return params.replace(weights={**weights, **small, "prior": prior})


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """All 8 images of 3 black and white pixels, [8, 3]."""
    return np.array(list(np.ndindex(2, 2, 2)), np.float32)


@pytest.fixture(scope="session")
def assert_mean() -> Callable[..., None]:
    """A function that holds the mean over axis 0 to a value within 6 standard errors.

    `rounding` is what float32 adds, relative to the value and absolute.
    """

    def check(draws: np.ndarray, value: np.ndarray | float, rounding: float = 1e-5) -> None:
        draws = np.asarray(draws, np.float64)
        error = draws.std(axis=0, ddof=1) / len(draws) ** 0.5
        allowed = 6 * error + rounding * (1 + np.abs(value))
        off = np.abs(draws.mean(axis=0) - value)
        assert np.all(off <= allowed), (off / allowed, value)

    return check


copy = jax.jit(partial(jax.tree.map, jnp.copy))


class Run:
    """A training program of R seeds and its first epochs, run on copies because it reuses memory."""

    config, epochs, steps = TINY, 4, 2
    training = Training(
        learning_rate=1e-2, batch_size=8, warmup=2, epochs=50, patience=2, temperature_epochs=2
    )

    def __init__(self, begin: step.TrainState, data: jax.Array, valid: jax.Array) -> None:
        self.program = program.program(self.training, self.steps)
        self.data, self.valid = data, valid
        self.states, self.metrics = [begin], []
        before = self.compiled()
        for _ in range(self.epochs):
            state, metrics = self.epoch(self.states[-1])
            self.states.append(state)
            self.metrics.append(metrics)
        self.compilations = np.subtract(self.compiled(), before)

    def compiled(self) -> tuple[int, int]:
        """How often JAX has compiled the two functions of the program, for any number of seeds."""
        return self.program.run._cache_size(), self.program.close._cache_size()

    def epoch(
        self, state: step.TrainState, data: jax.Array | None = None
    ) -> tuple[step.TrainState, dict[str, jax.Array]]:
        """The next state and metrics; the given state stays valid.

        The batches of validation are small here, also when JAX has forgotten the program and
        compiles it again.
        """
        data = self.data if data is None else data
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(validation, "VALIDATION_BATCH", 3)
            return program.advance(self.program, copy(state), data, self.valid)


@pytest.fixture(scope="session")
def data(pixels: np.ndarray) -> jax.Array:
    """20 examples to train on: two steps of 8, and 4 left over."""
    return jnp.asarray(pixels[np.random.default_rng(0).integers(0, 8, 20)])


@pytest.fixture(scope="session")
def valid(pixels: np.ndarray) -> jax.Array:
    """7 examples to validate on, in batches of 3."""
    return jnp.asarray(pixels[np.random.default_rng(1).integers(0, 8, 7)])


@pytest.fixture(scope="session")
def runs(data: jax.Array, valid: jax.Array) -> dict[int, Run]:
    """Runs by their number of seeds, 1 and 3; the one is the first of the three."""
    trainer = program.program(Run.training, Run.steps)
    begin = program.begin(trainer, jax.random.split(jax.random.key(7), 3), TINY)
    first = jax.jit(partial(jax.tree.map, lambda a: a[:1]))(begin)
    return {R: Run(state, data, valid) for R, state in ((1, first), (3, begin))}


@pytest.fixture(scope="session")
def assert_same_bits() -> Callable[..., None]:
    """A function that holds two trees to be equal, keys too."""

    def plain(a: jax.Array) -> jax.Array:
        return jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a

    def check(a: object, b: object) -> None:
        assert jax.tree.structure(a) == jax.tree.structure(b)
        jax.tree.map(lambda x, y: np.testing.assert_array_equal(plain(x), plain(y)), a, b)

    return check


@pytest.fixture(scope="session")
def grey():
    """The digits as grey levels 0 to 255."""
    data = load("digits")
    levels = {name: np.uint8(255 * getattr(data, name)) for name in ("train", "valid", "test")}
    return replace(data, **levels)


@pytest.fixture(scope="session")
def gaussian(grey):
    """A model of grey levels as real numbers; its means are near those of the data."""
    config = Config(shape=grey.shape, K=2, latent=2, likelihood="gaussian")
    return initialise(jax.random.key(0), config, grey.train)
