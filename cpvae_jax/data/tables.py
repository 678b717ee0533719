"""Data sets from files of tables and from data frames."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cpvae_jax import columns as kinds
from cpvae_jax.columns import Columns
from cpvae_jax.data import coding, inference, readers
from cpvae_jax.data.dataset import Dataset, split, tenth
from cpvae_jax.data.inference import Seen
from cpvae_jax.data.labels import as_labels
from cpvae_jax.data.parts import PARTS
from cpvae_jax.data.paths import printable
from cpvae_jax.data.places import Places
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

IN_MEMORY = 128 * 2**20
"""Bytes of rows as numbers up to which a table is held in memory. Larger ones stay on disk."""

MOST_HELD = 50_000
"""Rows of each held-out part of a table that stays on disk: enough for any score."""

Batches = Callable[[], Iterator["pa.Table"]]


@dataclass(frozen=True)
class Choice:
    """What to read of a table, and as what.

    Attributes:
      label_column: The column of the classes, for scores only.
      id_column: A column that names the rows; it is not used in training.
      drop_columns: Further columns that are left out.
      columns: Kinds by name, which take the place of what would be inferred.
      coded: Whether rows are coded (`cpvae_jax.columns`); None codes them if a column is not real or
        has gaps.
    """

    label_column: str | None = None
    id_column: str | None = None
    drop_columns: tuple[str, ...] = ()
    columns: Any = None
    coded: bool | None = None

    @property
    def outside(self) -> tuple[str, ...]:
        """Columns that are no data."""
        given = (self.label_column, self.id_column, *self.drop_columns)
        return tuple(name for name in given if name is not None)

    def check(self, names: Sequence[str], of: str) -> None:
        """Raises a `UserError` unless all columns that are named are there, and some are left."""
        for name in self.outside:
            if name not in names:
                raise UserError(
                    f"{of} has no column {name!r}; it has {', '.join(map(repr, names))}."
                )
        if not set(names) - set(self.outside):
            raise UserError(
                f"{of} has no column of data beside {', '.join(map(repr, self.outside))}."
            )

    def data(self, table: pa.Table) -> pa.Table:
        """The columns of data."""
        return table.drop_columns([n for n in self.outside if n in table.column_names])


def load(path: Path, places: Places, choice: Choice) -> Dataset:
    """Returns the data set in a file of a table: a fixed permutation splits the rows 80/10/10.

    Args:
      path: The file, see `readers`.
      places: The folder of the cache, for tables that are too large for memory.
      choice: What to read of it.

    Raises:
      UserError: The file or a column cannot be used.
    """
    shown = printable(path)
    seen = _survey(lambda: readers.batches(path), choice, shown)
    data = {name: column for name, column in seen.items() if name not in choice.outside}
    columns = inference.from_survey(data, choice.columns, shown)
    coded = is_coded(columns, any(c.missing for c in data.values()), choice.coded, shown)
    num = next(iter(seen.values())).rows
    width = kinds.size(columns) if coded else len(columns)
    large = num * width * 8 > IN_MEMORY
    held = min(tenth(num), MOST_HELD) if large else tenth(num)
    parts = split(num, valid=held, test=held, of=shown)
    source = (
        f"The table in {shown}: {num:,} rows of {len(columns)} columns, of which {held:,} drawn at random "
        f"are for validation and {held:,} for testing."
    )
    if not large:
        table = readers.read(path)
        x = coding.encode(columns, choice.data(table), shown, coded=coded)
        found = {part: x[np.sort(index)] for part, index in zip(PARTS, parts, strict=True)}
        labels = {p: _labels(table, choice, i) for p, i in zip(PARTS, parts, strict=True)}
    else:
        found, labels = _on_disk(path, places, choice, (columns, coded, num), parts)
        source += " Training rows are read from disk."
    numbers, class_names = as_labels(shown, labels)
    gaps = {name: column.missing for name, column in data.items()}
    return Dataset(
        name=printable(path.name.split(".")[0]),
        train=found["train"],
        valid=found["valid"],
        test=found["test"],
        train_labels=numbers["train"],
        valid_labels=numbers["valid"],
        test_labels=numbers["test"],
        kind="table" if coded else "real",
        source=f"{source}\n{inference.described(columns, gaps)}",
        class_names=class_names,
        columns=columns,
    )


def is_coded(columns: Columns, gaps: bool, wanted: bool | None, of: str) -> bool:
    """Whether the rows of a table are coded.

    Raises:
      UserError: They are not to be, but a column has levels.
    """
    if wanted is None:
        return gaps or not kinds.plain(columns)
    several = [column for column in columns if column.kind == kinds.CATEGORICAL]
    if not wanted and several:
        raise UserError(
            f"column {several[0].name!r} of {of} has {len(several[0].levels)} levels, which only the likelihood "
            "'mixed' takes; leave --likelihood out, or drop the column."
        )
    return wanted


def _survey(batches: Batches, choice: Choice, of: str) -> dict[str, Seen]:
    """What is known of all columns but those that are left out; the label has any number of values."""

    def checked() -> Iterator[pa.Table]:
        for number, batch in enumerate(batches()):
            if number == 0:
                choice.check(batch.column_names, of)
            yield batch

    return inference.survey(checked(), of)


def _labels(table: pa.Table, choice: Choice, index: np.ndarray) -> Any:
    """The labels of some rows in the order of the file, or None."""
    if choice.label_column is None:
        return None
    return table[choice.label_column].take(np.sort(index)).to_numpy(zero_copy_only=False)


def _on_disk(
    path: Path,
    places: Places,
    choice: Choice,
    how: tuple[Columns, bool, int],
    parts: Sequence[np.ndarray],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of a large table by part: those for training in a file of the cache, the others in memory."""
    columns, coded, num = how
    folder = places.cache_dir / "tables" / _key(path, choice, coded)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        writing = Path(tempfile.mkdtemp(prefix=folder.name, dir=folder.parent))
        try:
            _write(writing, path, choice, (columns, coded, num), parts)
            os.replace(writing, folder)
        except OSError as error:
            shutil.rmtree(writing, ignore_errors=True)
            if not folder.is_dir():  # another process may have been faster
                raise UserError(
                    f"{printable(folder)} cannot be written ({error.strerror}); give a folder with room for "
                    f"{num:,} rows by --cache-dir."
                ) from error
        except BaseException:
            shutil.rmtree(writing, ignore_errors=True)
            raise
    rows: dict[str, Any] = {p: np.load(folder / f"{p}.npy", mmap_mode="r") for p in PARTS}
    found = {
        "train": Rows([rows["train"]]),
        "valid": np.array(rows["valid"]),
        "test": np.array(rows["test"]),
    }
    labels = dict.fromkeys(PARTS)
    if choice.label_column is not None:
        labels = {p: np.load(folder / f"{p}_labels.npy", allow_pickle=False) for p in PARTS}
    return found, labels


def _key(path: Path, choice: Choice, coded: bool) -> str:
    """A digest that changes with the file and with what is read of it."""
    found = path.stat()
    options = [choice.label_column, choice.id_column, list(choice.drop_columns)]
    kinds_given = {name: str(kind) for name, kind in kinds.changed(choice.columns).items()}
    about = [str(path.resolve()), found.st_size, found.st_mtime_ns, options, kinds_given, coded]
    return hashlib.sha256(json.dumps(about).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _write(
    folder: Path,
    path: Path,
    choice: Choice,
    how: tuple[Columns, bool, int],
    parts: Sequence[np.ndarray],
) -> None:
    """Writes the rows of each part, and their labels, in the order of the file."""
    columns, coded, num = how
    width = kinds.size(columns) if coded else len(columns)
    part_of = np.zeros(num, np.int8)
    for number, index in enumerate(parts):
        part_of[index] = number
    files = [
        np.lib.format.open_memmap(folder / f"{p}.npy", "w+", np.float64, (len(i), width))
        for p, i in zip(PARTS, parts, strict=True)
    ]
    labels: list[list[Any]] = [[], [], []]
    written, first = [0, 0, 0], 0
    for batch in readers.batches(path):
        x = coding.encode(columns, choice.data(batch), printable(path), coded=coded)
        of_batch = part_of[first : first + len(x)]
        for number in range(3):
            index = np.flatnonzero(of_batch == number)
            files[number][written[number] : written[number] + len(index)] = x[index]
            written[number] += len(index)
            if choice.label_column is not None:
                labels[number].append(_labels(batch, choice, index))
        first += len(x)
    for number, file in enumerate(files):
        file.flush()
        if choice.label_column is not None:
            _save_labels(folder / f"{PARTS[number]}_labels.npy", np.concatenate(labels[number]))


def _save_labels(path: Path, labels: np.ndarray) -> None:
    """Text as text, with "" where it is missing, so that nothing is unpickled."""
    if labels.dtype == object:
        labels = np.array(["" if v is None else str(v) for v in labels])
    np.save(path, labels)
