"""How the use of categories is measured, and that even use without information is seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax.evaluation import categories
from cpvae_jax.report import use

X = np.concatenate([np.full((40, 2), -3.0), np.full((40, 2), 3.0)]).astype(np.float32)
X += np.random.default_rng(0).normal(size=X.shape).astype(np.float32) / 10


def made(prior, K=4):
    config = cpvae_jax.Config(
        shape=(2,), K=K, latent=2, hidden=(8,), prior=prior, likelihood="gaussian"
    )
    return cpvae_jax.initialise(jax.random.key(0), config, X)


def of(params, decomposed=None):
    return use.of_categories(params, jax.random.key(1), X, decomposed)


def guessing(params):
    """The model with a head of categories that does not look at x: q(c|x) is uniform."""
    heads = {**params.weights["heads"]}
    name = next(n for n, head in heads.items() if n not in ("mean", "log_var"))
    heads[name] = jax.tree.map(jnp.zeros_like, heads[name])
    return params.with_weights({**params.weights, "heads": heads})


def test_even_use_without_information_is_told_from_use_with_it():
    found = of(guessing(made("cp")))
    assert found["effective_number"] == pytest.approx(4)
    assert found["information"] == pytest.approx(0, abs=1e-6)
    assert "effective number of categories 4.0; they carry I(x; c) = 0.000 of at most 1.386" in (
        use.summary(found)
    )


@pytest.mark.parametrize("prior", ["cp", "full"])
def test_where_c_is_inferred_the_information_is_that_of_the_decomposition(prior):
    params = made(prior)
    decomposed = cpvae_jax.decomposition(params, jax.random.key(1), X, draws=2)
    found = of(params, decomposed)["information"]
    assert found == max(0, decomposed["mutual_information_c"])
    assert of(params)["information"] == pytest.approx(found, abs=1e-4)  # without one
    probs = np.asarray(cpvae_jax.predict(params, X))
    assert categories.information(probs) == pytest.approx(found, abs=1e-4)


@pytest.mark.parametrize("prior", ["mg", "vp"])
def test_where_c_is_summed_out_the_components_have_information_too(prior):
    params = made(prior)
    decomposed = cpvae_jax.decomposition(params, jax.random.key(1), X, draws=2)
    assert decomposed["mutual_information_c"] == 0
    found = of(params, decomposed)["information"]
    assert 0 < found < np.log(4)
    probs = np.asarray(cpvae_jax.predict(params, X))
    assert found < categories.information(probs) + 0.05  # draws of z blur what their mean says


@pytest.mark.parametrize(("prior", "K"), [("cp", 1), ("vae", 1)])
def test_a_single_category_says_nothing(prior, K):
    found = of(made(prior, K))
    assert (found["information"], found["largest_share"]) == (0, 1)
    assert "I(x; c)" not in use.summary(found)


@pytest.mark.parametrize("aggregate", [[0.5, 0.5, 0, 0], [1.0, 0, 0, 0], [0.25] * 4])
def test_the_use_is_that_of_the_training_data(aggregate):
    params = made("cp").with_stats(aggregate=jnp.array(aggregate))
    found = of(params)
    assert found["aggregate"] == aggregate
    assert found["largest_share"] == max(aggregate)
    assert found["effective_number"] == pytest.approx(np.sum(np.array(aggregate) > 0))


@pytest.mark.parametrize("K", [2, 3, 50])
def test_information_is_the_mutual_information_written_out(K):
    probs = np.random.default_rng(K).dirichlet(np.full(K, 0.3), size=200)
    joint = probs / 200
    written = np.sum(joint * np.log(joint / (joint.sum(0) * joint.sum(1)[:, None])))
    assert categories.information(probs) == pytest.approx(written)
    assert categories.entropy(np.eye(K)).tolist() == [0] * K
