"""The paper's model on 8 x 8 digits, as its sections 3.1 to 3.3 have it; (7) is its equation 7."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image
from sklearn.datasets import load_digits

from cpvae_jax.distributions import categorical, gaussian
from cpvae_jax.networks import layers

X, K, D, H = 64, 10, 10, 200  # pixels, categories, dimensions of z, hidden units


def init(key):
    keys = iter(jax.random.split(key, 6))
    return {
        "prior": {"mean": jnp.zeros((K, D)), "log_var": jnp.zeros((K, D))},
        "decoder": layers.init_trunk(next(keys), D, (H, H), categories=K),
        "output": layers.init_linear(next(keys), H, X),
        "encoder": layers.init_trunk(next(keys), X, (H, H)),
        "logits": layers.init_linear(next(keys), H, K),
        "mean": layers.init_linear(next(keys), H, D, categories=K),
        "log_var": layers.init_linear(next(keys), H, D, categories=K),
    }


# 3.1 Two-level generative process (3): c is uniform (4), z is Gaussian given c (5), x given both


def decode(params, z, c):
    """The mean of p(x|z, c), for categories [B] or weights of them [B, K]."""
    return layers.linear(params["output"], layers.trunk(params["decoder"], z, c))


def generate(params, key, c):
    """z from the prior of its category c [B], then the mean of x."""
    mean, log_var = params["prior"]["mean"][c], params["prior"]["log_var"][c]
    return decode(params, gaussian.sample(key, mean, log_var), c)


# 3.2 Inference model (6): q(c|x) and q(z|x, c) are linear in the encoder's features h of x and in c


def posterior(params, h, c):
    return layers.linear(params["mean"], h, c), layers.linear(params["log_var"], h, c)


# 3.3 Optimization objective


def bound(params, key, x, draw=categorical.hard, temperature=1.0, beta=1.0):
    """(7) with one draw of c and z for each x [B, X], in nats, [B]."""
    key_c, key_z = jax.random.split(key)
    h = layers.trunk(params["encoder"], x)
    logits = layers.linear(params["logits"], h)
    c = draw(key_c, logits, temperature)
    z = gaussian.sample(key_z, *posterior(params, h, c))
    reconstruction = gaussian.log_prob(x, decode(params, z, c), jnp.full(X, -4.0))
    kl_c = categorical.kl_to_uniform(logits)  # (9)
    of_all = posterior(params, h[:, None], jnp.arange(K))  # [B, K, D]
    kl_z = gaussian.kl(*of_all, params["prior"]["mean"], params["prior"]["log_var"])
    return reconstruction - beta * (kl_c + jnp.sum(jax.nn.softmax(logits) * kl_z, -1))  # (8)


def main(out=None, steps=3000):
    """Returns the bound of the test images, and samples [K, 12, 8, 8]; writes these to `out`."""
    train, test = jnp.split(load_digits().data / 16, [1500])
    optimiser = optax.adam(optax.cosine_decay_schedule(3e-3, steps))

    @jax.jit
    def step(params, state, number):
        key_x, key_terms = jax.random.split(jax.random.fold_in(jax.random.key(0), number))
        batch = jax.random.choice(key_x, train, (100,))
        warm = jnp.minimum(1.0, 10 * number / steps)  # the divergences gain weight, c hardens
        how = key_terms, batch, categorical.relaxed, 1 - warm / 2, warm
        gradient = jax.grad(lambda params: -jnp.mean(bound(params, *how)))(params)  # (10) to (12)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, updates), state

    params = init(jax.random.key(1))
    state = optimiser.init(params)
    for number in range(steps):
        params, state = step(params, state, number)
        if (number + 1) % (steps // 5) == 0:
            value = float(jnp.mean(bound(params, jax.random.key(2), test)))
            print(f"step {number + 1}: bound of the test images {value:.2f} nats")
    samples = generate(params, jax.random.key(3), jnp.arange(K).repeat(12)).reshape(K, 12, 8, 8)
    if out:  # a row for each category
        grey = np.pad(255 * np.clip(samples, 0, 1), [(0, 0), (0, 0), (1, 1), (1, 1)])
        picture = Image.fromarray(np.uint8(grey).swapaxes(1, 2).reshape(K * 10, 120))
        picture.resize((960, 800), Image.Resampling.NEAREST).save(out)
    return value, samples


if __name__ == "__main__":
    main(*sys.argv[1:])
