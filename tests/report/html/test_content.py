"""What the page is told of a model: every kind of data, of model and of category."""

import json

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Rows
from cpvae_jax.data import Dataset
from cpvae_jax.report.html import codes, content, gallery, pixels, reference

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 6, 4), np.uint8)
TABLE = RNG.normal(size=(60, 5)) + 4 * (np.arange(60) % 2)[:, None]
LINE = RNG.normal(size=(60, 1))


def dataset(x, labels=None, names=None):
    train = x if isinstance(x, Rows) else x[:40]
    test = x[np.arange(40, 60)] if isinstance(x, Rows) else x[40:]
    of = (None, None) if labels is None else (labels[: len(train)], labels[40:])
    return Dataset("things", train, test, test, of[0], of[1], of[1], "real", "", names)


def model(x, **how):
    how = {"K": 3, "latent": 2, "hidden": (8,), "likelihood": "gaussian", **how}
    config = Config(shape=tuple(x.shape[1:]), **how)
    start = x[np.arange(40)]
    return cpvae_jax.initialise(jax.random.key(0), config, start)


CASES = {
    "images": (IMAGES, {}),
    "ink": (IMAGES, {"likelihood": "bernoulli"}),
    "colours": (RNG.integers(0, 256, (60, 4, 4, 3), np.uint8), {}),
    "one channel": (RNG.random((60, 4, 4, 1)), {}),
    "two levels": (IMAGES, {"levels": 2}),
    "mixture": (IMAGES, {"prior": "mg"}),
    "no categories": (IMAGES, {"prior": "vae", "K": 1}),
    "one category": (IMAGES, {"K": 1}),
    "table": (TABLE, {"latent": 4}),
    "table without categories": (TABLE, {"prior": "vae", "K": 1}),
    "yes and no": (np.float64(TABLE > 1), {"likelihood": "bernoulli"}),
    "rows on disk": (Rows([TABLE]), {}),
    "neither images nor a table": (RNG.normal(size=(60, 2, 2, 2)), {}),
    "one number": (LINE, {"latent": 1}),
    "one number without categories": (LINE, {"prior": "vae", "K": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_data_and_model(case):
    x, how = CASES[case]
    params = model(x, **how)
    found = content.of_run(params, dataset(x), seed=0)
    assert json.loads(json.dumps(found)) == found
    G = how.get("K", 3)
    assert found["has_categories"] == (G > 1)
    points = found["codes"]
    assert {len(points[name]) for name in ("x", "y", "category", "row", "label")} == {20}
    assert set(points["category"]) <= set(range(G))
    assert sum(found["test_counts"]) == 20
    assert "labels" not in found
    (kind,) = found.keys() & {"images", "rows", "density"}
    if kind == "images":
        assert len(found["images"]) == G
        assert found["images"][0]["across"] * found["images"][0]["down"] == pixels.MOST
    elif kind == "rows":
        assert len(found["rows"]) == len(found["profile"]) == G
        assert len(found["rows"][0]["samples"]) == len(found["rows"][0]["nearest"])
    else:
        assert len(found["density"]["categories"]) == G


def test_merged_categories_are_those_that_are_shown():
    params = cpvae_jax.merge(model(IMAGES), [(0, 2), (1,)])
    found = content.of_run(params, dataset(IMAGES), seed=0)
    assert found["categories"] == len(found["images"]) == len(found["shares"]) == 2
    probs = np.asarray(cpvae_jax.predict(params, IMAGES[40:]))
    assert found["codes"]["category"] == probs.argmax(axis=1).tolist()
    encoded = cpvae_jax.encode(params, IMAGES[40:])
    own = np.where(
        np.array(params.config.groups) == probs.argmax(axis=1)[:, None], encoded.logits, -9e9
    )
    mean = np.asarray(encoded.mean)[np.arange(20), own.argmax(axis=1)]
    np.testing.assert_allclose(found["codes"]["x"], mean[:, 0], rtol=1e-3)


def test_labels_have_their_names_and_unlabelled_examples_none():
    labels = np.arange(60) % 3 - 1
    params = model(TABLE)
    found = content.of_run(params, dataset(TABLE, labels, ("a", "b")), seed=0)
    assert set(found["codes"]["label"]) == {None, "a", "b"}
    assert sum(found["labelled"]) == np.sum(labels[40:] >= 0)
    for listed, count in zip(found["labels"], found["labelled"], strict=True):
        assert sum(number for _, number in listed) == count
    numbered = content.of_run(params, dataset(TABLE, labels), seed=0)
    assert set(numbered["codes"]["label"]) == {None, "0", "1"}


def test_the_neighbour_is_the_nearest_training_example():
    samples, examples = RNG.normal(size=(7, 3)), RNG.normal(size=(50, 3))
    distances = np.linalg.norm(samples[:, None] - examples, axis=2)
    np.testing.assert_array_equal(reference.nearest(samples, examples), distances.argmin(axis=1))


def test_the_neighbours_shown_belong_to_the_samples():
    params, key = model(TABLE), jax.random.key(1)
    beside = reference.of(params, dataset(TABLE, np.arange(60)))
    drawn = gallery.samples(params, key, 2, draw=True).reshape(-1, 5)
    scale = TABLE[:40].std(axis=0)
    distances = np.linalg.norm((drawn[:, None] - TABLE[:40]) / scale, axis=2)
    near = reference.nearest(reference.inputs(params, drawn), beside.inputs)
    np.testing.assert_array_equal(near, distances.argmin(axis=1))
    assert [beside.labels[at] for at in near] == [str(at) for at in near]


def test_codes_of_many_dimensions_are_projected_on_their_principal_components():
    spread = np.array([0.1, 5.0, 0.2, 3.0])
    mean = RNG.normal(size=(500, 4)) * spread
    x, y, titles = codes._flat(mean, np.ones(500), single=False)
    assert abs(np.corrcoef(x, mean[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(y, mean[:, 3])[0, 1]) > 0.99
    assert "% of the variance" in titles[0]
    assert all(len(axis) == 1 for axis in codes._flat(mean[:1], np.ones(1), single=False)[:2])


def test_large_images_are_made_small_and_a_grid_has_lines():
    assert pixels.resized(np.ones((200, 100, 3)), (20, 10)).shape == (20, 10, 3)
    assert pixels.resized(np.ones((4, 4, 1)), (4, 4)).shape == (4, 4)
    for shape in ((28, 28), (64, 64, 3), (500, 300, 3), (3, 2000)):
        for categories in (1, 10, 100, 500):
            num, size = pixels.plan(shape, categories)
            channels = shape[2] if len(shape) == 3 else 1
            assert pixels.FEWEST <= num <= pixels.MOST
            assert max(size) <= pixels.SIDE
            area = size[0] * size[1] * channels * categories * (2 * num + 1)
            assert area <= pixels.BYTES or max(size) <= pixels.SMALLEST_SIDE
