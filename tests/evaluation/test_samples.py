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


CHANGES = {
    **{f"offset {offset:g}": (lambda x, by=offset: x + by) for offset in (1e3, -1e4, 1e6, 1e9)},
    **{f"scale {scale:g}": (lambda x, by=scale: x * by) for scale in (1e-25, 1e20, 1e-200, 1e150)},
    "scale and offset": lambda x: 1e-12 * x + 3,
    "a permutation of the features": lambda x: x[:, ::-1],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_measures_are_the_same_in_every_unit(rng, change):
    real, fake = rng.normal(size=(40, 3)), 0.7 * rng.normal(size=(23, 3)) + 0.3
    found = Manifold(change(real), 3).scores(change(fake))
    assert found == pytest.approx(by_definition(real, fake, 3), abs=1e-12)


@pytest.mark.parametrize("offset", [0, 1e3, 1e4, -1e6])
@pytest.mark.parametrize("scale", [1, 2.0**-83, 2.0**66])  # about 1e-25 and 1e20
def test_the_measures_of_float32_features_are_the_same_in_every_unit(rng, offset, scale):
    """Multiples of 1/16, which float32 keeps beside an offset of 1e6; a power of two is exact."""
    real, fake = (np.float32(rng.integers(-50, 50, (n, 8)) / 16) for n in (40, 23))
    changed = [(x + np.float32(offset)) * np.float32(scale) for x in (real, fake)]
    assert changed[0].dtype == np.float32
    found = Manifold(changed[0], 3).scores(changed[1])
    assert found == by_definition(real, fake, 3)
    assert 0 < found["recall"] < 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64, ">f4"])
def test_features_of_every_type_are_compared_as_they_are(rng, dtype):
    real, fake = ((1e3 * rng.normal(size=(n, 3))).astype(dtype) for n in (40, 23))
    expected = by_definition(real.astype(np.float64), fake.astype(np.float64), 3)
    assert Manifold(real, 3).scores(fake) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_frechet_distance_follows_the_unit(rng, change):
    real, fake = rng.normal(size=(60, 3)), 0.5 * rng.normal(size=(50, 3)) + 1
    scale = (change(real).max() - change(real).min()) / (real.max() - real.min())
    found = frechet_distance(change(real), change(fake)) / scale / scale
    if scale > 1e-160:  # below it the square is no float
        assert found == pytest.approx(frechet_distance(real, fake), rel=1e-3)


def test_the_order_of_examples_does_not_matter(rng):
    real, fake = rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
    found = Manifold(real).scores(fake)
    assert Manifold(rng.permutation(real)).scores(rng.permutation(fake)) == found


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_examples_lie_in_balls_of_radius_zero(offset, dtype):
    """Six copies of one real example and of one fake, and fakes at, near and far from them."""
    one, two = (np.full((6, 64), value + offset, dtype) for value in (0.25, 8.125))
    manifold = Manifold(one)
    assert manifold.radii.tolist() == [0.0] * 6
    assert manifold.scores(one) == {"precision": 1, "recall": 1, "density": 1.2, "coverage": 1}
    assert set(manifold.scores(two).values()) == {0.0}
    mixed = Manifold(np.concatenate([one, two])).scores(np.concatenate([one, one]))
    assert mixed == {"precision": 1, "recall": 0.5, "density": 1.2, "coverage": 0.5}


def test_clusters_far_apart_keep_their_small_distances(rng):
    """Where the squares of the features drown those of the distances, wherever the centre is."""
    near = rng.normal(size=(40, 3))
    real = np.concatenate([near, near + 1e9])
    fake = np.concatenate([near[:20] + 0.3, near[20:] + 1e9 + 0.3])
    found = Manifold(real, 3).scores(fake)
    assert found == pytest.approx(by_definition(real, fake, 3), abs=1e-12)
    assert 0 < found["coverage"] < 1


@pytest.mark.parametrize("K", [10, 50, 150, 500])
@pytest.mark.parametrize("num", [samples.PER_CATEGORY, 20, 7], ids=lambda n: f"{n} of each")
def test_the_purity_of_chance_is_that_of_a_class_for_any_number_of_categories(rng, K, num):
    """Random classes of 50: the maximum of the counts would score 0.12 with 20 of each."""
    classes = rng.integers(0, 50, K * num)
    found = purity(classes, np.arange(K * num) % K)
    error = np.sqrt(0.02 * 0.98 / (K * num))
    assert abs(found - 0.02) < 5 * error


def test_the_purity_of_chance_with_unequal_classes_is_that_of_the_largest(rng):
    classes = rng.choice(4, p=[0.55, 0.15, 0.15, 0.15], size=100 * samples.PER_CATEGORY)
    assert purity(classes, np.arange(len(classes)) % 100) == pytest.approx(0.55, abs=0.02)


@pytest.mark.parametrize("share", [0.3, 0.7, 1.0])
def test_purity_is_the_share_of_the_main_class(rng, share):
    K, each = 50, samples.PER_CATEGORY
    categories = np.repeat(np.arange(K), each)
    classes = np.where(
        rng.random(K * each) < share, categories % 10, rng.integers(10, 60, K * each)
    )
    assert purity(classes, categories) == pytest.approx(share, abs=0.02)
    order = rng.permutation(K * each)
    assert purity(classes[order], categories[order]) == pytest.approx(share, abs=0.02)
    assert purity(7 - classes, 10**12 - categories) == pytest.approx(share, abs=0.02)


def test_purity_counts_every_category_the_same():
    classes = np.array([0] * 8 + [5, 6] * 2)  # pure; and two classes, one of which is not scored
    categories = np.array([2] * 8 + [9] * 4)
    halves = {(1 + 0.5) / 2, (1 + 0) / 2}  # both halves hold 5 and 6, or each holds one of them
    assert purity(classes, categories) in halves


@pytest.mark.parametrize(
    ("classes", "categories", "words"),
    [
        ([1, 2, 2], [0, 0, 4], "category 4 has one sample"),
        ([1, 2], [0, 0, 0], r"shapes \(2,\) and \(3,\)"),
        ([], [], "one of each per sample"),
    ],
)
def test_samples_whose_purity_is_undefined_are_refused(classes, categories, words):
    with pytest.raises(UserError, match=words):
        purity(np.array(classes), np.array(categories))


def test_the_entropy_of_one_class_is_zero_and_of_two_log_two():
    assert class_entropy(np.array([4, 4, 4])) == 0
    assert class_entropy(np.array([4, 0, 0, 4])) == pytest.approx(np.log(2))
    assert class_entropy(np.array([-1, 10**12, -1, 10**12])) == pytest.approx(np.log(2))


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
    with pytest.raises(UserError, match=r"shape \(10,\); give \[N, F\]"):
        Manifold(x[:, 0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(rng, value):
    x = rng.normal(size=(10, 3))
    broken = x.copy()
    broken[7, 1] = value
    for call in (
        lambda: Manifold(broken),
        lambda: Manifold(x).scores(broken),
        lambda: frechet_distance(x, broken),
    ):
        with pytest.raises(UserError, match="features of example 7 are not finite"):
            call()
