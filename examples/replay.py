"""Generative replay: learn new digits without the data of the old ones, and without forgetting them.

    python examples/replay.py

A model learns the digits 0 to 4. Then only 5 to 9 are at hand. Fine-tuning on these alone forgets
0 to 4. With replay, the model first draws from each of its categories, and then learns those
samples together with the new digits: the use that the paper's introduction names.
"""

import jax
import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

import cpvae_jax
from cpvae_jax import Config, Training

OLD = range(5)


def train(key, config, x, steps, start=None):
    """The model of images x after about so many steps, from scratch or from another model."""
    epochs = max(1, steps * 100 // len(x))
    recipe = Training(
        epochs=epochs,
        decay_epochs=epochs,
        learning_rate=2e-3,
        warmup=epochs // 10,
        temperature_epochs=epochs // 10,
    )
    return cpvae_jax.fit(key, config, x, recipe=recipe, init=start, callbacks=[]).params


def remember(params, key, num):
    """Samples of what a model knows, as many from each category that it uses."""
    used = np.flatnonzero(params.aggregate > 0.1 / params.config.K)
    return cpvae_jax.sample(params, key, category=np.resize(used, num), num=num, draw=True)


def scores(params, x, labels, test, test_labels):
    """What a model is worth on test images, with labels that only score.

    Returns:
      The mean bound and reconstruction in nats of the old and of the new digits; the share of old
      digits among 1,000 samples, by their nearest neighbours in the training images; and the
      accuracy of the categories, each of which stands for its most frequent training label.
    """
    terms = cpvae_jax.bound_terms(params, jax.random.key(0), test, samples=5)
    is_old = np.isin(test_labels, OLD)
    nearest = KNeighborsClassifier(1).fit(x.reshape(len(x), -1), labels)
    samples = cpvae_jax.sample(params, jax.random.key(1), num=1000)
    counts = np.zeros((params.config.K, 10))
    np.add.at(counts, (np.argmax(cpvae_jax.predict(params, x), axis=1), labels), 1)
    found = counts.argmax(axis=1)[np.argmax(cpvae_jax.predict(params, test), axis=1)]
    return {
        "bound of old": terms["bound"][is_old].mean(),
        "bound of new": terms["bound"][~is_old].mean(),
        "reconstruction of old": terms["reconstruction"][is_old].mean(),
        "reconstruction of new": terms["reconstruction"][~is_old].mean(),
        "old in samples": np.isin(nearest.predict(samples.reshape(1000, -1)), OLD).mean(),
        "accuracy": np.mean(found == test_labels),
    }


def main(steps=1200, K=20, hidden=(128, 128)):
    """Prints and returns the scores of each model."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images, labels = digits.images[order] / 16, digits.target[order]
    x, y, test, test_y = images[:1400], labels[:1400], images[1400:], labels[1400:]
    old, new = x[np.isin(y, OLD)], x[~np.isin(y, OLD)]
    config = Config(shape=(8, 8), K=K, latent=10, hidden=hidden, likelihood="gaussian")

    keys = jax.random.split(jax.random.key(0), 5)
    first = train(keys[0], config, old, steps)
    samples = remember(first, keys[1], len(new))
    models = {
        "0 to 4 only": first,
        "then 5 to 9, fine-tuned": train(keys[2], config, new, steps, first),
        "then 5 to 9, with replay": train(
            keys[3], config, np.concatenate([samples, new]), steps, first
        ),
        "all digits at once": train(keys[4], config, x, 2 * steps),
    }
    found = {name: scores(params, x, y, test, test_y) for name, params in models.items()}
    for score in found["0 to 4 only"]:
        print(f"\n{score}:")
        for name in models:
            print(f"  {name:26}{found[name][score]:8.2f}")
    return found


if __name__ == "__main__":
    main()
