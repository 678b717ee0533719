"""Pictures of a run, in the unit of the model's outputs."""

import jax
import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes

import cpvae_jax
from cpvae_jax.report import drawing, pictures, units


def test_the_unit_follows_from_the_likelihood(grey):
    for likelihood, white in (("bernoulli", 1.0), ("gaussian", 255.0)):
        config = cpvae_jax.Config(shape=(8, 8), likelihood=likelihood)
        assert units.value_range(config, grey.test) == (0.0, white)
        shown = units.in_unit(config, grey.test)
        np.testing.assert_allclose(shown, grey.test / 255 * white, rtol=1e-6)
        np.testing.assert_allclose(units.as_grey(config, grey.test, shown), grey.test / 255)
        assert units.is_standardised(config) == (likelihood == "gaussian")
        floats = np.linspace(-1, 3, 64, dtype=np.float32).reshape(1, 8, 8)
        assert units.value_range(config, floats) == (-1.0, 3.0)
        assert units.in_unit(config, floats) is floats
        assert units.as_grey(config, floats, shown) is shown
    threshold = cpvae_jax.Config(shape=(8, 8), binarise="threshold")
    assert units.value_range(threshold, grey.test) == (0.0, 1.0)


@pytest.mark.parametrize("picture", ["samples", "reconstructions"])
def test_a_gaussian_of_grey_levels_is_drawn_in_its_unit(
    picture, grey, gaussian, tmp_path, monkeypatch
):
    shown = []
    monkeypatch.setattr(drawing, "show_tiled", lambda axes, image: shown.append(image))
    test, path = grey.test, tmp_path / "picture.png"
    if picture == "samples":
        pictures.samples(path, gaussian, jax.random.key(0), test)
    else:
        pictures.reconstructions(path, gaussian, test)
        np.testing.assert_allclose(shown[0][1:9, 1:9], test[0] / 255, atol=1e-6)
    assert 0.1 < shown[0][9 * (picture != "samples") :].mean() < 0.7  # neither black nor white


def plotted(monkeypatch):
    """Everything drawn as points or lines, from now on."""
    drawn, plot = [], Axes.plot

    def noted(axes, *at, **how):
        drawn.append(at)
        return plot(axes, *at, **how)

    monkeypatch.setattr(Axes, "plot", noted)
    return drawn


def test_reconstructions_of_few_images_are_points_in_one_unit(grey, tmp_path, monkeypatch):
    config = cpvae_jax.Config(shape=grey.shape, K=2, latent=2)
    drawn, few = plotted(monkeypatch), grey.test[:5]
    pictures.reconstructions(
        tmp_path / "few.png", cpvae_jax.initialise(jax.random.key(0), config), few
    )
    original, rebuilt = drawn[0][:2]
    np.testing.assert_allclose(original, few.ravel() / 255, atol=1e-6)
    assert 0 < rebuilt.min() < rebuilt.max() < 1


def test_columns_of_a_table_are_drawn_in_their_own_units(tmp_path, monkeypatch):
    table = np.random.default_rng(0).normal(size=(200, 4)) * [1e-3, 1, 50, 1e5]
    config = cpvae_jax.Config(shape=(4,), K=2, latent=2, likelihood="gaussian")
    params = cpvae_jax.initialise(jax.random.key(0), config, table)
    drawn = plotted(monkeypatch)
    pictures.reconstructions(tmp_path / "rebuilt.png", params, table)
    np.testing.assert_allclose(drawn[0][0].reshape(200, 4).std(axis=0), 1, atol=0.01)
    drawn.clear()
    pictures.samples(tmp_path / "samples.png", params, jax.random.key(1), table)
    assert len(drawn) == config.K  # one row per category, its curves within it
    for row, (curves,) in enumerate(drawn):
        assert np.abs(curves - row).max() <= 0.4 + 1e-6
        assert np.ptp(curves, axis=1).min() > 0.01  # every column varies


def test_values_beyond_black_and_white_are_clipped(tmp_path):
    images = np.array([-0.1, 0.5, 1.3, 1.0])[:, None, None] * np.ones((4, 2, 2))
    drawing.save_tiled(tmp_path / "tiled.png", images)
    seen = matplotlib.image.imread(tmp_path / "tiled.png")
    np.testing.assert_allclose(seen[[1, 1, 4], [1, 4, 1]], [0, 0.5, 1], atol=0.51 / 255)
