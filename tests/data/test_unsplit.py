"""All rows of a file or folder in its own order: what a trained model is applied to."""

import numpy as np
import pandas
import pytest
import scipy.sparse
from PIL import Image

from cpvae_jax import Column
from cpvae_jax.data import Places, readers, unsplit
from cpvae_jax.data.unsplit import Reading
from cpvae_jax.errors import UserError

COLUMNS = (Column("a", "real"), Column("b", "binary", ("x", "y")))
TABLE = pandas.DataFrame({"b": ["y", None, "x"], "name": ["p", "q", "r"], "a": [1.5, None, -2.0]})
CODED = [[1.5, 1, 0, 0], [0, 0, 1, 1], [-2, 0, 0, 0]]


@pytest.fixture
def every(tmp_path):
    """A function that reads all batches of a path."""

    def read(path, **how):
        places = Places.find(cache_dir=tmp_path / "cache")
        return list(unsplit.batches(str(path), places, Reading(**how)))

    return read


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rows_of_a_table_with_the_columns_of_the_model(tmp_path, every, ending):
    path = tmp_path / f"mine.{ending}"
    TABLE.to_csv(path, index=False) if ending == "csv" else TABLE.to_parquet(path)
    (batch,) = every(path, columns=COLUMNS, coded=True)
    assert batch.ids.tolist() == [0, 1, 2]
    assert batch.x.tolist() == CODED
    assert batch.table.column_names == ["b", "name", "a"]
    (batch,) = every(path, columns=COLUMNS, coded=True, id_column="name")
    assert batch.ids.to_pylist() == ["p", "q", "r"]


def test_numbers_of_rows_go_on_from_batch_to_batch(tmp_path, every, monkeypatch):
    monkeypatch.setattr(readers, "BATCH", 1000)
    path = tmp_path / "mine.parquet"
    a = np.random.default_rng(0).normal(size=3500)
    pandas.DataFrame({"a": a}).to_parquet(path)
    found = every(path, columns=COLUMNS[:1], coded=False)
    assert [len(batch.x) for batch in found] == [1000, 1000, 1000, 500]
    assert np.concatenate([batch.ids for batch in found]).tolist() == list(range(3500))
    np.testing.assert_array_equal(np.concatenate([batch.x for batch in found])[:, 0], a)


def test_arrays_come_whole_and_in_order(tmp_path, every, monkeypatch):
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    np.savez(tmp_path / "parts.npz", train=x[:30], valid=x[30:40], test=x[40:])
    np.savez(tmp_path / "keras.npz", x_train=x[:30], y_train=np.arange(30), x_test=x[30:])
    scipy.sparse.save_npz(tmp_path / "sparse.npz", scipy.sparse.csr_matrix(x))
    (tmp_path / "folder").mkdir()
    for part, values in {"train": x[:30], "valid": x[30:40], "test": x[40:]}.items():
        np.save(tmp_path / "folder" / f"{part}.npy", values)
    monkeypatch.setattr("cpvae_jax.data.rows.BLOCK", 200)
    for name in ("x.npy", "x.npz", "parts.npz", "keras.npz", "sparse.npz", "folder"):
        found = every(tmp_path / name)
        assert np.concatenate([batch.ids for batch in found]).tolist() == list(range(50)), name
        np.testing.assert_allclose(np.concatenate([b.x for b in found]), x, err_msg=name)
        assert all(batch.table is None for batch in found)


def test_images_are_named_by_their_files_and_resized(tmp_path, every):
    folder = tmp_path / "images"
    (folder / "cats").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, shape in {"b.png": (6, 9), "cats/a.png": (6, 6), "a.png": (12, 12)}.items():
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / name)
    (batch,) = every(folder, resize="6")
    assert batch.ids.tolist() == ["a.png", "b.png", "cats/a.png"]
    assert (batch.x.shape, batch.x.dtype) == ((3, 6, 6), np.uint8)
    np.testing.assert_array_equal(batch.x[2], np.asarray(Image.open(folder / "cats" / "a.png")))
    with pytest.raises(UserError, match="size"):
        every(folder)
    with pytest.raises(UserError, match="resize is 'big': give a number of pixels"):
        every(folder, resize="big")


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({}, r"mine\.csv is a table, but the model was trained on an array without names"),
        ({"columns": COLUMNS, "id_column": "id"}, "has no column 'id'; it has 'b', 'name', 'a'"),
        ({"columns": (Column("c", "real"),)}, "has no column 'c', which the model was trained on"),
        (
            {"columns": (Column("name", "binary", ("p", "q")),)},
            "holds 'r', which the model has not",
        ),
        ({"columns": (Column("name", "real"),)}, "holds 'p', but the model was trained on numbers"),
        ({"columns": COLUMNS, "coded": False}, "'a' of .* has missing values"),
    ],
)
def test_tables_that_do_not_suit_the_model_are_refused(tmp_path, every, how, sentence):
    TABLE.to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(UserError, match=sentence) as found:
        every(tmp_path / "mine.csv", **{"coded": True, **how})
    assert "\n" not in str(found.value)


def test_what_is_not_there_is_refused(tmp_path, every):
    with pytest.raises(UserError, match=r"gone\.csv does not exist; give the path of a table"):
        every(tmp_path / "gone.csv", columns=COLUMNS)
    (tmp_path / "header.csv").write_text("a,b\n")
    with pytest.raises(UserError, match=r"header\.csv has no rows; give at least one"):
        every(tmp_path / "header.csv", columns=COLUMNS, coded=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        every(tmp_path / "empty")
    np.save(tmp_path / "x.npy", [[1.0, np.nan]])
    with pytest.raises(UserError, match=r"x\.npy"):
        every(tmp_path / "x.npy")
