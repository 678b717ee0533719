"""The bound with q refined for each example: what the encoder's single guess costs.

The encoder gives the parameters of q(z, c|x) in one pass for all examples alike. Here each example
moves its own by a few gradient steps up the bound; the model stays as it is. Any q is allowed in the
bound, so the result is a lower bound on log p(x) as well. It is computed at draws that the
steps have not seen.

Source: Cremer, Li, Duvenaud, "Inference Suboptimality in Variational Autoencoders", ICML 2018.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from cpvae_jax import checks, devices, likelihoods, models
from cpvae_jax.distributions.precision import exact
from cpvae_jax.evaluation.estimates import in_batches
from cpvae_jax.models import parts
from cpvae_jax.types import Offsets, Params, Terms

STEPS = 100
"""Gradient steps where no number is given."""

RATE = 0.03
"""Adam's step size, falling to 0, in the unit of the heads' outputs."""

DRAWS = 8
"""Draws of c and z per example and step: the noise of one would be as large as what there is to gain."""

TEMPERATURE = 0.5
"""Of the straight-through gradient to q(c|x)."""

BATCH = 100
"""Examples at once; each needs `DRAWS` decoder passes with a gradient."""


def refined_bound(
    params: Params,
    key: jax.Array,
    data: jax.typing.ArrayLike,
    *,
    steps: int = STEPS,
    mesh: Mesh | None = None,
) -> dict[str, np.ndarray]:
    """The bound and its terms for each example, after gradient steps on the example's own q(z, c|x).

    Moved are the outputs of the encoder's heads, and with two levels the features that the
    posterior of the lower code starts from.

    Args:
      params: The model.
      key: A random key.
      data: Examples [N, *shape].
      steps: Gradient steps; with 0 the result is the bound itself.
      mesh: Devices to spread the examples over.

    Returns:
      "bound", "reconstruction", "kl_c" and "kl_z", [N] each, in nats.

    Raises:
      UserError: The data do not suit the model, or `steps` is negative.

    >>> import jax, cpvae_jax
    >>> params = cpvae_jax.initialise(jax.random.key(0), cpvae_jax.Config(shape=(8, 8), K=5))
    >>> refined_bound(params, jax.random.key(1), np.zeros((2, 8, 8)), steps=3)["bound"].shape
    (2,)
    """
    checks.at_least("steps", steps, 0)
    devices.check(mesh)
    examples = checks.data(params, data, "data")
    placed = devices.everywhere(params, mesh)

    def refined(key: jax.Array, batch: jax.Array) -> dict[str, jax.Array]:
        return _refined(placed, key, batch, steps=steps, mesh=mesh).named()

    return in_batches(refined, checks.key(key), examples, BATCH, mesh)


@partial(jax.jit, static_argnames=("steps", "mesh"))
@exact
def _refined(
    params: Params, key: jax.Array, data: jax.Array, *, steps: int, mesh: Mesh | None
) -> Terms:
    model = models.of(params.config)
    key_x, key_steps, key_terms = jax.random.split(key, 3)
    x = devices.rows(likelihoods.of(params.config).observe(params.config, key_x, data), mesh)
    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, max(1, steps)))

    def loss(offsets: Offsets, key: jax.Array) -> jax.Array:
        """−Σ over examples of the bound, whose gradient by an example's offsets is its own."""
        encoding = model.infer(params, x, offsets)

        def bound(key: jax.Array) -> jax.Array:
            terms = model.terms(params, key, x, encoding, "straight-through", TEMPERATURE)
            return jnp.sum(terms.bound)

        return -jnp.mean(jax.vmap(bound)(jax.random.split(key, DRAWS)))

    def step(
        carry: tuple[dict[str, jax.Array], optax.OptState], number: jax.Array
    ) -> tuple[tuple[dict[str, jax.Array], optax.OptState], None]:
        offsets, state = carry
        slopes = jax.grad(loss)(offsets, jax.random.fold_in(key_steps, number))
        updates, state = optimiser.update(slopes, state)
        return (optax.apply_updates(offsets, updates), state), None

    offsets = parts.no_offsets(params, model.infer(params, x))
    (offsets, _), _ = jax.lax.scan(
        step, (offsets, optimiser.init(offsets)), jnp.arange(steps, dtype=jnp.int32)
    )
    found = model.terms(params, key_terms, x, model.infer(params, x, offsets), "exact")
    return devices.cut(found, mesh)
