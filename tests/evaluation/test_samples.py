"""Scores of generated examples, against closed forms and against the definitions written out."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from cpvae_jax.errors import UserError
from cpvae_jax.evaluation import samples
from cpvae_jax.evaluation.samples import Manifold, class_entropy, frechet_distance, purity


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_frechet_distance_is_its_formula(rng):
    mix_a, mix_b = rng.normal(size=(2, 4, 4))
    a, b = rng.normal(size=(200, 4)) @ mix_a, rng.normal(size=(300, 4)) @ mix_b + 1
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = sqrtm(cov_a @ cov_b).real
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_the_frechet_distance_of_a_set_to_itself_is_zero_even_where_features_are_constant(rng):
    x = np.concatenate([rng.normal(size=(50, 3)), np.ones((50, 2))], axis=1)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, 3 * x - 2 * x.mean(0)) == pytest.approx(4 * x.var(0, ddof=1).sum())


def by_definition(real, fake, k):
    """The four measures, pair by pair."""

    def radius(x, i):
        return sorted(np.linalg.norm(x[i] - y) for j, y in enumerate(x) if j != i)[k - 1]

    def inside(point, x, radii):
        return [np.linalg.norm(point - y) <= r for y, r in zip(x, radii, strict=True)]

    radii_real = [radius(real, i) for i in range(len(real))]
    radii_fake = [radius(fake, i) for i in range(len(fake))]
    of_fakes = np.array([inside(f, real, radii_real) for f in fake])  # [M, N]
    of_reals = np.array([inside(r, fake, radii_fake) for r in real])
    return {
        "precision": of_fakes.any(axis=1).mean(),
        "recall": of_reals.any(axis=1).mean(),
        "density": of_fakes.sum() / (k * len(fake)),
        "coverage": of_fakes.any(axis=0).mean(),
    }


@pytest.mark.parametrize("k", [1, 3, 5])
def test_the_manifold_measures_are_their_definitions(rng, k, monkeypatch):
    monkeypatch.setattr(samples, "ROWS", 7)
    real, fake = rng.normal(size=(40, 3)), 0.7 * rng.normal(size=(23, 3)) + 0.3
    expected = by_definition(real, fake, k)
    assert Manifold(real, k).scores(fake) == pytest.approx(expected, abs=1e-12)
    assert 0 < expected["recall"] < expected["precision"] <= 1


def test_a_lost_mode_costs_recall_and_coverage_and_an_alien_one_precision_and_density(rng):
    one, two = rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 50
    both = Manifold(np.concatenate([one, two])).scores(rng.normal(size=(100, 2)))
    alone = Manifold(one).scores(np.concatenate([one, two]))
    assert both["precision"] > 0.9
    assert both["recall"] <= 0.5
    assert both["coverage"] <= 0.5
    assert alone["precision"] == 0.5
    assert alone["recall"] == alone["coverage"] == 1


def test_purity_counts_every_category_the_same():
    classes = np.array([0, 0, 0, 1, 5, 6])
    categories = np.array([2, 2, 2, 2, 9, 9])
    assert purity(classes, categories) == pytest.approx((0.75 + 0.5) / 2)


def test_the_entropy_of_one_class_is_zero_and_of_two_log_two():
    assert class_entropy(np.array([4, 4, 4])) == 0
    assert class_entropy(np.array([4, 0, 0, 4])) == pytest.approx(np.log(2))


def test_features_that_cannot_be_compared_are_refused(rng):
    x = rng.normal(size=(10, 3))
    with pytest.raises(UserError, match="3 and 2 numbers; compare those of one network"):
        frechet_distance(x, x[:, :2])
    with pytest.raises(UserError, match=r"shape \(10,\); give \[N, F\]"):
        frechet_distance(x[:, 0], x)
    with pytest.raises(UserError, match="4 examples; give more than k = 5"):
        Manifold(x).scores(x[:4])
    with pytest.raises(UserError, match="k is 0"):
        Manifold(x, 0)
