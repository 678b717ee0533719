import os

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
    x = np.arange(0, 200, 2, dtype=np.uint8)[:, None, None].repeat(4, axis=1)
    data = saved(x=x, y=np.arange(100))
    check(data)
    assert [len(a) for a in (data.train, data.valid, data.test)] == [80, 10, 10]
    assert (data.name, data.shape) == ("mine", (4, 1))
    for part in ("train", "valid", "test"):
        labels = getattr(data, f"{part}_labels")
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(getattr(data, part)[:, 0, 0], 2 * labels)


def test_given_parts_are_kept(saved):
    parts = {k: np.full((n, 2), n / 10) for k, n in (("train", 5), ("valid", 3), ("test", 2))}
    data = saved(**parts, test_labels=np.array([[1], [0]]))
    assert [len(a) for a in (data.train, data.valid, data.test)] == [5, 3, 2]
    assert data.train.dtype == np.float64  # 0.3 and 0.2 are rounded in float32
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
        (np.array([0, 255, 255], np.uint8), np.uint8, 255, "grey"),
        (np.array([0, 1, 7], np.uint8), np.uint8, 7, "real"),
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
    ("given", "dtype"),
    [(np.array([0, 9, 255]), np.uint8), (np.array([0.0, 0.05, 1.0]), np.float32)],
)
def test_in_images_whole_numbers_and_fractions_are_grey_levels(saved, given, dtype):
    given = given[:, None, None]
    data = saved(train=given, valid=given, test=given)
    assert (data.train.dtype, data.kind, data.shape) == (dtype, "grey", (1, 1))


@pytest.mark.parametrize(
    ("given", "expected"),
    [([0, 8, 16], [0, 128, 255]), ([0, 5, 15], [0, 85, 255]), ([0, 1, 3], [0, 85, 255])],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_images_of_few_levels_are_scaled_and_tables_are_not(saved, given, expected, dtype):
    x = np.tile(np.array(given, dtype), (20, 2, 1))
    with pytest.warns(
        UserWarning, match=rf"mine\.npz: levels 0 to {given[2]} in the images: scaled"
    ):
        data = saved(x=x)
    assert data.train[0, 0].tolist() == expected
    assert f"scaled by {given[2]}" in data.source
    assert saved(x=x[:, 0]).train[0].tolist() == given


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_named_as_in_the_file(saved, value):
    x = np.zeros((30, 2))
    x[[4, 17], 1] = value
    with pytest.raises(UserError, match=r"mine.npz: x holds 2 .* in examples 4 and 17 \(counting"):
        saved(x=x)
    with pytest.raises(
        UserError, match=r"train holds .* examples 4 and 17; .*: test holds 2 .* 4 and"
    ):
        saved(train=x, valid=x[:3], test=x)


@pytest.mark.parametrize(
    "x",
    [
        1.7e9 + np.arange(20.0)[:, None],
        45_000 + 1e-4 * np.arange(20.0)[:, None],
        2**40 + np.arange(20)[:, None],
        np.full((20, 1), 1e300),
    ],
)
def test_numbers_that_float32_would_round_keep_their_value(saved, x):
    data = saved(train=x, valid=x, test=x)
    assert data.train.dtype == np.float64
    np.testing.assert_array_equal(data.train, x)


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
        ({"x": np.zeros((9, 1)), "y": np.full(9, 0.5)}, "labels hold 0.5: give whole numbers"),
        ({"x": np.zeros((9, 1)), "y": np.full(9, -2)}, "labels hold -2: give whole numbers from 0"),
        ({"x": np.zeros((2, 1))}, r"mine.npz has 2 examples, too few to split"),
    ],
)
def test_errors(saved, arrays, sentence):
    with pytest.raises(UserError, match=sentence):
        saved(**arrays)


LABELS = {
    "objects": np.array([{}, 1] * 5, object),
    "strings as objects": np.array(["a", "b"] * 5, object),
    "records": np.zeros(10, "i4,i4"),
    "complex": np.zeros(10, complex),
    "dates": np.zeros(10, "M8[D]"),
    "empty": np.zeros(0, np.int64),
    "too few": np.zeros(9, np.int64),
    "one number": np.array(3),
    "two columns": np.zeros((10, 2), np.int64),
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("key", ["y", "train_labels", "test_labels"])
def test_unusable_labels_are_refused_and_named(saved, name, key):
    x = np.arange(20.0).reshape(10, 2)
    parts = {"x": x} if key == "y" else {"train": x, "valid": x, "test": x}
    with pytest.raises(UserError, match=r"mine"):
        check(saved(**parts, **{key: LABELS[name]}))


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.99])
def test_a_truncated_file_is_refused_and_named(tmp_path, share):
    np.savez(tmp_path / "hurt.npz", x=np.arange(100.0), y=np.arange(100))
    content = (tmp_path / "hurt.npz").read_bytes()
    (tmp_path / "hurt.npz").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"hurt\.npz (is not an \.npz file|cannot be read)"):
        load(tmp_path / "hurt.npz")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    np.savez(tmp_path / "closed.npz", x=np.arange(100.0))

    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)  # root may read everything
    with pytest.raises(UserError, match=r"closed\.npz cannot be read \(permission denied\): allow"):
        load(tmp_path / "closed.npz")


def test_of_many_unknown_keys_a_few_are_shown(saved):
    with pytest.raises(UserError, match=r"keys k0, k1, k2, k3, k4 and 95 more, but needs"):
        saved(**{f"k{number}": np.zeros(3) for number in range(100)})


def test_a_name_that_is_not_utf8_is_shown(tmp_path):
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9.npz"))
    np.savez(path, x=np.arange(100.0))
    data = load(path)
    assert data.name == r"caf\xe9"
    assert r"caf\xe9.npz" in data.source


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.npz' does not exist: .* an \.npz or \.npy file"):
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
