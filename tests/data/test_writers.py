"""Tables written in batches: every format can be read back, and a failure leaves the old file whole."""

import pyarrow as pa
import pytest

from cpvae_jax.data import readers, writers
from cpvae_jax.errors import UserError

BATCHES = [
    pa.table({"row": ["a, b", 'say "c"'], "x": [1.5, None], "n": [1, 2]}),
    pa.table({"row": ["d", None], "x": [2.5, -1.0], "n": [3, 4]}),
]
WHOLE = pa.concat_tables(BATCHES)


@pytest.mark.parametrize("suffix", writers.SUFFIXES)
def test_batches_are_read_back_as_one_table(tmp_path, suffix):
    path = tmp_path / "new" / f"out{suffix}"
    with writers.writing(path) as writer:
        for batch in BATCHES:
            writer.write(batch)
        assert not path.exists()
    assert readers.read(path).to_pydict() == WHOLE.to_pydict()
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_the_first_batch_decides_the_types(tmp_path):
    path = tmp_path / "out.parquet"
    with writers.writing(path) as writer:
        writer.write(pa.table({"x": [0.5]}))
        writer.write(pa.table({"x": pa.array([2], pa.int64())}))
    assert readers.read(path)["x"].to_pylist() == [0.5, 2.0]
    assert readers.read(path).schema.field("x").type == pa.float64()


@pytest.mark.parametrize("suffix", writers.SUFFIXES)
def test_a_failure_leaves_the_old_file_whole(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with writers.writing(path) as writer:
        writer.write(BATCHES[0])
    before = path.read_bytes()
    with pytest.raises(RuntimeError), writers.writing(path) as writer:  # noqa: PT012 - fails late
        writer.write(BATCHES[1])
        raise RuntimeError("half way")
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["out.xlsx", "out.txt", "out", "out.csv.gz"])
def test_other_endings_are_refused_at_once(tmp_path, name):
    with pytest.raises(UserError, match=r"--out is .*; its name must end in \.csv, \.tsv"):
        writers.check(tmp_path / name)
    with pytest.raises(UserError, match="must end in"), writers.writing(tmp_path / name):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"out\.csv cannot be written \(.*\); choose another place"),
        writers.writing(tmp_path / "file" / "out.csv") as writer,
    ):
        writer.write(BATCHES[0])
