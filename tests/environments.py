"""What the library computes under the switches of JAX that a user may have set.

    JAX_ENABLE_X64=1 python -m tests.environments FOLDER [all | OTHER]

Trains a small model in FOLDER and calls whatever a user calls. Prints the dtype and the numbers of
every array as JSON. With `all`, there are two models, their training is continued, and one is
reported on. With OTHER, the folder of an earlier such run, all that, and its models are read too.
"""

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import cpvae_jax
from cpvae_jax import Config, Training
from cpvae_jax.data import Dataset
from cpvae_jax.report import run as report
from cpvae_jax.report import scores, tighter
from cpvae_jax.report.html import content
from cpvae_jax.storage.run_folder import RunFolder

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (18, 2, 2), dtype=np.uint8)
TABLE = rng.normal(size=(18, 3))  # float64
SIZES = {"latent": 2, "hidden": (4,), "K": 2}
TRAINING = Training(epochs=1, warmup=1, batch_size=4, learning_rate=1e-3, decay_epochs=2)
CASES = {
    "images": (
        Config(shape=(2, 2), **SIZES),
        IMAGES,
        replace(TRAINING, regularisers=(("consistency", 1.0), ("balance", 1.0))),
    ),
    "table": (Config.of_model("hvp", shape=(3,), likelihood="gaussian", **SIZES), TABLE, TRAINING),
}


def trained(name, folder, *, epochs=1):
    """The result of a training of two seeds, or of its continuation."""
    config, x, training = CASES[name]
    result = cpvae_jax.fit(
        jax.random.split(jax.random.key(1)),
        config,
        x[:12],
        x[12:],
        recipe=replace(training, epochs=epochs),
        folder=folder / name,
        resume=epochs > 1,
        callbacks=[],
    )
    return result.seeds, result.state


def asked(params, x):
    """What a user can ask a model."""
    key, z = jax.random.key(2), np.ones((2, 2))
    return {
        "encode": cpvae_jax.encode(params, x),
        "predict": cpvae_jax.predict(params, x),
        "reconstruct": cpvae_jax.reconstruct(params, x),
        "decode": cpvae_jax.decode(params, z, category=1),
        "decode_each": cpvae_jax.decode(params, jnp.asarray(z), category=np.array([0, 1])),
        "sample": cpvae_jax.sample(params, key, num=3),
        "sample_drawn": cpvae_jax.sample(params, key, category=1, num=3, draw=True),
        "sample_uniform": cpvae_jax.sample(params, key, num=3, weights="uniform"),
        "bound": cpvae_jax.bound(params, key, x),
        "relaxed": cpvae_jax.bound(params, key, x, estimator="relaxed", temperature=np.float64(1)),
        "terms": cpvae_jax.bound_terms(params, key, x, estimator="hard", samples=2),
        "log_likelihood": cpvae_jax.log_likelihood(params, key, x, samples=60),
        "q(c)": cpvae_jax.aggregated_posterior(params, key, x),
        "decomposition": cpvae_jax.decomposition(params, key, x, draws=10),
        "fresh": cpvae_jax.initialise(key, params.config, x),
    }


def reported(params, folder):
    """The scores, and the pictures that could be drawn."""
    data = Dataset("x", TABLE, TABLE, TABLE, None, None, None, "real", "")
    folder.mkdir()
    report.draw_pictures(RunFolder(folder), 0, data, params, [])
    assert list(folder.rglob("*.png"))
    assert content.of_run(params, data, 0)["rows"]
    options = tighter.Tighter(samples=3, images=2)
    return scores.evaluate(params, 0, data, temperature=0.5, tighter=options)


def plain(tree):
    """Dtype and numbers of every leaf by its path."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if not isinstance(leaf, str):
            dtype = str(leaf.dtype) if hasattr(leaf, "dtype") else type(leaf).__name__
            values = np.asarray(leaf, np.float64).ravel().tolist()
            found[jax.tree_util.keystr(path)] = (dtype, values)
    return found


def main(folder, *options):
    warnings.simplefilter("error")  # JAX warns of numbers that it has to narrow
    found = {"images": trained("images", folder)}
    found["asked"] = asked(cpvae_jax.load(folder / "images"), IMAGES)
    if options:
        found["table"] = trained("table", folder)
        params = cpvae_jax.load(folder / "table")
        cpvae_jax.save(folder / "images-saved", cpvae_jax.load(folder / "images"))
        found["asked of table"] = asked(params, TABLE)
        found["continued"] = trained("images", folder, epochs=2)
        found["report"] = reported(params, folder / "report")
    if options not in ((), ("all",)):
        (other,) = map(Path, options)
        models = {path: cpvae_jax.load(other / path) for path in ("images-saved", "table")}
        found["read"] = {
            path: cpvae_jax.predict(params, CASES[path.removesuffix("-saved")][1])
            for path, params in models.items()
        }
    print(json.dumps(plain(found)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
