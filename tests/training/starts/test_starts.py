"""The partitions that categories start from, on data whose clusters are known."""

import jax
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from cpvae_jax import Config
from cpvae_jax.evaluation.clustering import hungarian_accuracy
from cpvae_jax.training.starts import kmeans, mixture, rows, transforms

KEY = jax.random.key(7)


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


BOTH = pytest.mark.parametrize("start", [kmeans, mixture])


@pytest.fixture
def hasty(monkeypatch):
    """Fewer fits, where their quality does not count."""
    monkeypatch.setattr(mixture, "FEW_ROWS", mixture.Effort(3, 1, 2))


def found(start, x, K, key=KEY):
    """A partition as categories [N]; its form is checked on the way."""
    given = start.partition(key, Config(shape=(x.shape[1],), K=K), x)
    if start is kmeans:
        assert given.shape == (len(x),)
        assert given.dtype.kind == "i"
        assert given.min() >= 0
        assert given.max() < K
        return given
    assert given.shape == (len(x), K)
    assert given.dtype == np.float64
    assert given.min() >= 0
    np.testing.assert_allclose(given.sum(axis=1), 1, rtol=1e-9)
    return given.argmax(axis=1)


def standardised(x):
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)


def unequal(seed=0):
    """A cluster of 285 rows and one of 15."""
    rng = np.random.default_rng(seed)
    label = np.repeat([0, 1], [285, 15])
    means = np.array([[0.0, 0.0], [5.0, 0.0]])
    return standardised(means[label] + rng.normal(size=(300, 2)) * [1, 3]), label


def skewed(seed=0):
    """Two clusters with log-normal noise in both columns."""
    rng = np.random.default_rng(seed)
    label = np.arange(200) % 2
    noise = np.exp(0.8 * rng.normal(size=(200, 2)))
    return standardised(noise + label[:, None] * [-1.0, 2.0]), label


def test_the_mixture_finds_a_small_cluster_and_kmeans_does_not(hasty):
    x, label = unequal()
    assert hungarian_accuracy(found(mixture, x, 2), label) > 0.98
    assert hungarian_accuracy(found(kmeans, x, 2), label) < 0.8


@BOTH
def test_clusters_that_are_apart_are_found(start):
    rng = np.random.default_rng(0)
    label = np.arange(300) % 3
    x = np.float32(np.eye(3)[label] * 20 + rng.normal(size=(300, 3)))
    assert hungarian_accuracy(found(start, x, 3), label) == 1


def test_elongated_clusters_are_found_with_a_shape_that_has_correlations():
    rng = np.random.default_rng(0)
    label = np.arange(200) % 2
    x = rng.normal(size=(200, 2)) @ [[3.0, 3.0], [0.0, 0.4]]
    x = standardised(x + np.where(label, 2.0, -2.0)[:, None] * [1, -1])
    assert mixture.choose(x.astype(float), 2, [transforms.PLAIN], 0)[0].kind in ("tied", "full")
    assert hungarian_accuracy(found(mixture, x, 2), label) > 0.99
    spheres = GaussianMixture(2, covariance_type="spherical", n_init=10, random_state=0)
    assert hungarian_accuracy(spheres.fit_predict(x), label) < 0.9


def test_skewed_clusters_are_found_after_a_transform(hasty):
    x, label = skewed()
    x = x.astype(np.float64)
    unskewed = transforms.unskewed(x)
    assert mixture.choose(x, 2, [transforms.PLAIN, unskewed], 0)[1] is unskewed
    plain = GaussianMixture(2, n_init=10, reg_covar=1e-3, random_state=0).fit_predict(x)
    ours = hungarian_accuracy(found(mixture, x, 2), label)
    assert ours > 0.85
    assert hungarian_accuracy(plain, label) < 0.7


def test_exponential_columns_become_symmetric():
    rng = np.random.default_rng(0)
    x = np.stack([rng.exponential(size=500), -rng.exponential(size=500), rng.normal(size=500)], 1)
    z = transforms.unskewed(x).apply(x)
    third = ((z - z.mean(axis=0)) / z.std(axis=0)) ** 3
    assert np.abs(third.mean(axis=0)[:2]).max() < 0.3
    np.testing.assert_array_equal(z[:, 2], x[:, 2])
    np.testing.assert_allclose(z.mean(axis=0), x.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(z.std(axis=0), x.std(axis=0))


def test_columns_of_few_values_are_left_alone():
    """An empty margin of images: its λ would be far away."""
    rng = np.random.default_rng(0)
    margin = np.where(rng.random(500) < 0.05, rng.integers(1, 4, 500), 0.0)
    assert transforms.unskewed(np.stack([margin, rng.normal(size=500)], 1)) is None


def test_the_log_density_of_left_out_rows_counts_the_jacobian():
    """Against one Gaussian for the transformed rows, with slopes by finite differences."""
    x = skewed()[0].astype(np.float64) * 3
    transform = transforms.unskewed(x)
    shape = mixture.Shape("full", 0.001)
    h = 1e-6
    expected = []
    z = transform.apply(x)
    slopes = (transform.apply(x + h) - transform.apply(x - h)) / (2 * h)  # column by column
    rng = np.random.RandomState(5)
    order = rng.permutation(len(x))
    for test in np.array_split(order, 5):
        train = np.setdiff1d(order, test)
        covariance = np.cov(z[train].T, bias=True) + 0.001 * np.eye(2)
        gaussian = multivariate_normal(z[train].mean(axis=0), covariance)
        expected.append(gaussian.logpdf(z[test]) + np.log(slopes[test]).sum(axis=1))
    ours = mixture.log_density(x, 1, shape, transform, 5)
    assert ours == pytest.approx(np.mean(np.concatenate(expected)), abs=1e-6)


def test_rescaling_does_not_change_the_log_density():
    x = unequal()[0].astype(np.float64)
    scale = np.array([10.0, 0.2])
    rescaled = transforms.Transform(
        lambda x: x * scale, lambda x: np.full(len(x), np.log(scale).sum())
    )
    shape = mixture.Shape("full", 1e-12)  # a floor does not scale
    plain = mixture.log_density(x, 1, shape, transforms.PLAIN, 0)
    assert mixture.log_density(x, 1, shape, rescaled, 0) == pytest.approx(plain, abs=1e-8)


def test_the_unit_of_the_rows_does_not_matter(hasty):
    x = unequal()[0]
    expected = found(mixture, x, 2)
    for scale in (1e-3, 255):
        np.testing.assert_array_equal(found(mixture, x * scale, 2), expected)


@BOTH
def test_a_key_decides(start, hasty):
    x = np.random.default_rng(0).normal(size=(60, 2))
    config = Config(shape=(2,), K=5)
    first, again, other = (start.partition(key, config, x) for key in (KEY, KEY, jax.random.key(8)))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@BOTH
@pytest.mark.parametrize(
    "x",
    [
        np.zeros((6, 2)),
        np.zeros((6, 2), np.uint8),
        np.array([[0, 1], [1, 0], [0, 1], [1, 0]], np.int64),
        np.array([[0.0, 1.0], [-0.0, 1.0]], np.float32),
        np.arange(3.0)[:, None],
        np.ones((1, 2)),
    ],
)
def test_fewer_distinct_rows_than_categories_have_their_own(start, x):
    categories = found(start, x, 4)
    _, expected = np.unique(x + 0, axis=0, return_inverse=True)
    assert len(np.unique(categories)) == len(np.unique(expected))
    assert hungarian_accuracy(categories, expected.ravel()) == 1


@BOTH
@pytest.mark.parametrize("num", [5, 7, 9, 12])
def test_few_rows_for_many_categories(start, num):
    """No fold has room for a mixture of four, or hardly."""
    x = np.random.default_rng(num).normal(size=(num, 3)).astype(np.float32)
    assert len(np.unique(found(start, x, 4))) == 4


@BOTH
def test_one_category(start):
    x = np.random.default_rng(0).normal(size=(40, 2))
    assert not found(start, x, 1).any()


@BOTH
def test_binary_rows_with_duplicates_and_constant_columns(start):
    """Two kinds of rows with few bits flipped, and two columns that never vary."""
    rng = np.random.default_rng(0)
    label = np.arange(200) % 2
    x = np.repeat(np.eye(2, dtype=np.uint8)[label], 4, axis=1) ^ (rng.random((200, 8)) < 0.05)
    x = np.concatenate([x, np.zeros((200, 1)), np.ones((200, 1))], axis=1).astype(np.uint8)
    assert hungarian_accuracy(found(start, x, 2), label) > 0.97


@BOTH
def test_more_columns_than_rows_and_than_the_mixture_takes(start):
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2
    x = np.float32(rng.normal(size=(40, 60)) + 4 * label[:, None])
    assert hungarian_accuracy(found(start, x, 2), label) == 1


@BOTH
def test_a_sample_answers_for_all_rows(start, monkeypatch):
    """The sample has fewer distinct rows than there are categories at times."""
    monkeypatch.setattr(start, "MOST_ROWS", 50)
    monkeypatch.setattr(rows, "PART", 64)
    rng = np.random.default_rng(0)
    label = np.arange(300) % 2
    x = np.float32(rng.normal(size=(300, 2)) + 8 * label[:, None])
    assert hungarian_accuracy(found(start, x, 2), label) == 1
    rare = np.zeros((1000, 2))
    rare[:6, 0] = np.arange(6)
    assert len(found(start, rare, 4)) == 1000


def test_many_rows_take_fewer_folds(monkeypatch):
    x = unequal()[0].astype(np.float64)
    few = mixture.log_density(x, 1, mixture.SHAPES[0], transforms.PLAIN, 0)
    monkeypatch.setattr(mixture, "MANY", 299)
    many = mixture.log_density(x, 1, mixture.SHAPES[0], transforms.PLAIN, 0)
    assert few != many
    assert few == pytest.approx(many, abs=0.05)
