"""Affine views of images, against scipy's interpolation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from cpvae_jax import Config, UserError
from cpvae_jax.objectives.views import affine

H, W = 12, 9
ROWS, COLUMNS = np.meshgrid(np.arange(H), np.arange(W), indexing="ij")
transformed = jax.jit(affine.transformed)


def views_of(key, images):
    """Views of a few images that share one map, because they are the channels of one image."""
    channels = jnp.asarray(np.stack(images, axis=-1)[None], jnp.float32)
    return np.moveaxis(np.asarray(transformed(key, channels), np.float64)[0], -1, 0)


def map_of(key):
    """The affine map of a view, [3, 2], from views of the coordinates and of a white image.

    Inside, interpolation leaves a linear image exact, so the coordinates of each pixel's source
    can be read off.
    """
    rows, columns, white = views_of(key, [ROWS, COLUMNS, np.ones((H, W))])
    inside = white > 1 - 1e-5
    assert inside.sum() > H * W / 3
    targets = np.stack([ROWS[inside], COLUMNS[inside], np.ones(inside.sum())], axis=1)
    sources = np.stack([rows[inside], columns[inside]], axis=1)
    found, *_ = np.linalg.lstsq(targets, sources, rcond=None)
    np.testing.assert_allclose(targets @ found, sources, atol=1e-3)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_view_is_an_affine_map_with_bilinear_interpolation(seed):
    key, image = jax.random.key(seed), np.random.default_rng(seed).random((H, W))
    found = map_of(key)
    expected = ndimage.affine_transform(
        image, found[:2].T, found[2], order=1, mode="grid-constant", cval=0.0
    )
    got = views_of(key, [image, 1 - image, image**2])[0]
    np.testing.assert_allclose(got, expected, atol=5e-3)


def test_maps_stay_within_their_limits_and_differ():
    maps = np.stack([map_of(jax.random.key(seed)) for seed in range(20)])
    assert len(np.unique(maps.round(4), axis=0)) == 20
    centre = np.array([(H - 1) / 2, (W - 1) / 2, 1])
    shift = np.abs(centre @ maps - centre[:2])
    assert np.all(shift <= affine.SHIFT * np.array([H, W]) + 1e-3)
    assert shift.max() > 0.5 * affine.SHIFT * W
    area = np.abs(np.linalg.det(maps[:, :2]))
    assert np.all((area > (1 - affine.SCALE) ** 2 - 1e-3) & (area < (1 + affine.SCALE) ** 2 + 1e-3))


@pytest.mark.parametrize("shape", [(6, 5, 7), (6, 5, 7, 3), (20, 4, 4), (1, 3, 3), (4, 1, 5)])
def test_views_keep_the_shape_and_the_range_of_images(shape):
    x = np.random.default_rng(0).random(shape).astype(np.float32)
    found = np.asarray(transformed(jax.random.key(0), x))
    assert found.shape == shape
    assert found.min() >= 0
    assert found.max() <= x.max() + 1e-5
    assert np.any(np.abs(found - x) > 0.1)


def test_the_channels_of_an_image_share_one_map():
    x = np.random.default_rng(0).random((6, 5, 7)).astype(np.float32)
    both = transformed(jax.random.key(0), np.stack([x, 2 * x], axis=-1))
    np.testing.assert_allclose(both[..., 1], 2 * both[..., 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        both[..., 0], transformed(jax.random.key(0), x), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4, 5)])
def test_examples_that_are_not_images_are_refused(shape):
    with pytest.raises(
        UserError, match=r"an example has the shape .*, but affine views need images"
    ):
        affine.check(Config(shape=shape), np.zeros((4, *shape)))


def test_each_image_of_a_batch_has_its_own_map():
    x = np.broadcast_to(np.random.default_rng(0).random((5, 7)).astype(np.float32), (6, 5, 7))
    found = np.asarray(transformed(jax.random.key(1), x))
    assert len(np.unique(found.round(5), axis=0)) == 6
