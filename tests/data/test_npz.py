import numpy as np
import pytest

from cpvae_jax.data import check, load
from cpvae_jax.errors import UserError


@pytest.fixture
def saved(tmp_path):
    """A function that saves arrays and loads them as a data set."""

    def save(**arrays):
        np.savez(tmp_path / "mine.npz", **arrays)
        return load(tmp_path / "mine.npz")

    return save


def test_x_is_split(saved):
    x = np.arange(100, dtype=np.uint8)[:, None, None].repeat(4, axis=1)
    data = saved(x=x, y=np.arange(100))
    check(data)
    assert [len(a) for a in (data.train, data.valid, data.test)] == [80, 10, 10]
    assert (data.name, data.shape, data.kind) == ("mine", (4, 1), "grey")
    for part in ("train", "valid", "test"):
        labels = getattr(data, f"{part}_labels")
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(getattr(data, part)[:, 0, 0], labels)


def test_given_parts_are_kept(saved):
    parts = {k: np.full((n, 2), n / 10) for k, n in (("train", 5), ("valid", 3), ("test", 2))}
    data = saved(**parts, test_labels=np.array([[1], [0]]))
    assert [len(a) for a in (data.train, data.valid, data.test)] == [5, 3, 2]
    assert data.train.dtype == np.float32
    assert data.train_labels is None
    assert data.test_labels.tolist() == [1, 0]


def test_missing_parts_come_out_of_train(saved):
    x = np.arange(50.0)[:, None]
    data = saved(train=x, test=x[:7], train_labels=np.arange(50), test_labels=np.arange(7))
    assert [len(a) for a in (data.train, data.valid, data.test)] == [45, 5, 7]
    np.testing.assert_array_equal(data.test, x[:7])
    np.testing.assert_array_equal(data.valid[:, 0], data.valid_labels)
    assert sorted([*data.train[:, 0], *data.valid[:, 0]]) == x[:, 0].tolist()


@pytest.mark.parametrize(
    ("given", "dtype", "high", "kind"),
    [
        (np.array([0, 1, 1], bool), np.uint8, 255, "grey"),
        (np.array([0, 1, 1], np.int64), np.uint8, 255, "grey"),
        (np.array([0, 1, 1], np.uint8), np.uint8, 255, "grey"),
        (np.array([0, 1, 7], np.uint8), np.uint8, 7, "grey"),
        (np.array([0, 1, 7], np.int64), np.float32, 7, "real"),
        (np.array([0, 1, 256], np.int64), np.float32, 256, "real"),
        (np.array([-1, 1, 2], np.int8), np.float32, 2, "real"),
        (np.array([0.0, 1.0, 1.0]), np.float32, 1, "grey"),
        (np.array([0.0, 0.5, 1.0]), np.float32, 1, "real"),
        (np.array([0.0, 0.5, 1.5], np.float16), np.float32, 1.5, "real"),
    ],
)
def test_types(saved, given, dtype, high, kind):
    data = saved(train=given, valid=given, test=given)
    assert (data.train.dtype, data.kind, data.shape) == (dtype, kind, (1,))
    assert data.train.max() == high
    check(data)


@pytest.mark.parametrize(
    ("given", "dtype"), [(np.array([0, 1, 7]), np.uint8), (np.array([0.0, 0.5, 1.0]), np.float32)]
)
def test_in_images_whole_numbers_and_fractions_are_grey_levels(saved, given, dtype):
    given = given[:, None, None]
    data = saved(train=given, valid=given, test=given)
    assert (data.train.dtype, data.kind, data.shape) == (dtype, "grey", (1, 1))


@pytest.mark.parametrize("value", [np.nan, 1e300])
def test_a_value_too_large_for_float32_becomes_infinite(saved, value):
    """`checks.dataset` refuses it later."""
    data = saved(x=np.full((10, 1), value))
    check(data)
    assert not np.isfinite(data.train).any()


def test_strings_as_labels_become_class_names(saved):
    data = saved(x=np.zeros((10, 1)), y=np.array(["b", "a"] * 5))
    assert data.class_names == ("a", "b")
    labels = np.concatenate([data.train_labels, data.valid_labels, data.test_labels])
    assert np.bincount(labels).tolist() == [5, 5]


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (
            {"z": np.zeros(3), "w": np.zeros(3)},
            "has the keys z, w, but needs exactly one of x and train",
        ),
        ({"x": np.zeros(3), "train": np.zeros(3)}, "exactly one of x and train"),
        ({"x": np.array(3.0)}, r"x has dtype float64 and shape \(\)"),
        ({"x": np.array(["a", "b"])}, "dtype <U1"),
        ({"x": np.array([1j])}, "dtype complex128"),
        ({"x": np.array([{}, {}])}, "cannot be read .*not Python objects"),
        ({"x": np.zeros((9, 1)), "y": np.zeros(8)}, "8 labels for 9 examples"),
        ({"x": np.zeros((9, 1)), "y": np.full(9, 0.5)}, "32-bit whole numbers only"),
        ({"x": np.zeros((9, 1)), "y": np.full(9, np.nan)}, "32-bit whole numbers only"),
        ({"x": np.zeros((9, 1)), "y": np.full(9, 2**40)}, "32-bit whole numbers only"),
        ({"x": np.zeros((2, 1))}, r"mine.npz has 2 examples, too few to split"),
    ],
)
def test_errors(saved, arrays, sentence):
    with pytest.raises(UserError, match=sentence):
        saved(**arrays)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"gone.npz does not exist"):
        load(tmp_path / "gone.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(UserError, match=r"text.npz is not an .npz file"):
        load(tmp_path / "text.npz")
    np.savez(tmp_path / "hurt.npz", x=np.arange(1000))
    content = bytearray((tmp_path / "hurt.npz").read_bytes())
    content[500] ^= 255
    (tmp_path / "hurt.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"hurt.npz cannot be read"):
        load(tmp_path / "hurt.npz")
