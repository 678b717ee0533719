"""Real tables: those that scikit-learn includes, and CSV files that the user has.

Clustering without labels is scored on all rows, as the literature does for these tables: the test part
is the whole table, and a tenth of it is held out of training for validation, which reads no labels.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cpvae_jax.data.dataset import Dataset, gather, split, tenth
from cpvae_jax.data.paths import denied
from cpvae_jax.data.places import Places
from cpvae_jax.data.sources import Loader
from cpvae_jax.errors import UserError

GAPS = ("", "NA")
"""How a CSV file writes a missing value."""


class Table(NamedTuple):
    """A table.

    Attributes:
      title: What it holds, and who made it.
      home: Where it can be had; "" if scikit-learn includes it.
      label: The column of the classes.
      columns: The columns of numbers; empty for all but the label.
    """

    title: str
    home: str = ""
    label: str = "class"
    columns: tuple[str, ...] = ()


_UCI = "https://archive.ics.uci.edu/dataset/"

TABLES = {
    "iris": Table("Iris flowers of three species (R. A. Fisher, 1936)"),
    "wine": Table("Chemical analyses of wines of three growers (S. Aeberhard and M. Forina, 1992)"),
    "breast_cancer": Table(
        "Breast cancer Wisconsin, diagnostic (W. Wolberg, O. Mangasarian, N. Street and W. Street, 1993)"
    ),
    "pendigits": Table(
        "Pen-based recognition of handwritten digits (E. Alpaydin and F. Alimoglu, 1996, CC BY 4.0)",
        f"{_UCI}81/pen+based+recognition+of+handwritten+digits",
    ),
    "optdigits": Table(
        "Optical recognition of handwritten digits (E. Alpaydin and C. Kaynak, 1998, CC BY 4.0)",
        f"{_UCI}80/optical+recognition+of+handwritten+digits",
    ),
    "satimage": Table(
        "Statlog, Landsat satellite (A. Srinivasan, 1993, CC BY 4.0)",
        f"{_UCI}146/statlog+landsat+satellite",
    ),
    "letter": Table(
        "Letter recognition (D. Slate, 1991, CC BY 4.0)", f"{_UCI}59/letter+recognition"
    ),
    "penguins": Table(
        "Penguins of Palmer Station (A. Horst, A. Hill and K. Gorman, 2020, CC0)",
        "https://allisonhorst.github.io/palmerpenguins",
        label="species",
        columns=("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"),
    ),
}
"""The tables by name. Those with a home are read from `NAME.csv` in the folder of original files."""


class Content(NamedTuple):
    """The rows of a table: numbers [N, X], classes [N] from 0, their names, and a note."""

    x: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    note: str = ""


def loader(name: str) -> Loader:
    """Returns the function that loads a table of `TABLES`."""

    def load(places: Places) -> Dataset:
        """Returns a table, float64, in nine tenths for training, a tenth for validation, and all to test.

        Args:
          places: Its `manual_dir` holds the CSV file, if it is not a table of scikit-learn.

        Raises:
          UserError: The file is missing or cannot be read.
        """
        table = TABLES[name]
        file = places.manual_dir / f"{name}.csv"
        found = _read(file, table) if table.home else _included(name)
        num = len(found.x)
        train, valid, _ = split(num, valid=tenth(num), test=0, of=name)
        return Dataset(
            name=name,
            **gather(found.x, found.labels, (train, valid, np.arange(num))),
            kind="real",
            source=(
                f"{table.title}: {num:,} rows of {found.x.shape[1]} columns, of which {len(valid):,}, "
                "chosen by a fixed permutation, are for validation and the others for training. All "
                f"rows are scored, as usual in clustering without labels.{found.note}"
            ),
            class_names=found.class_names,
        )

    return load


def _included(name: str) -> Content:
    """Returns a table of scikit-learn."""
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    return Content(found.data, found.target.astype(np.int32), tuple(map(str, found.target_names)))


def _read(path: Path, table: Table) -> Content:
    """Returns the table in a CSV file, without rows that have a gap.

    Raises:
      UserError: The file is missing, cannot be read, or is no such table.
    """
    header, *rows = _lines(path, table)
    names = list(table.columns) or [name for name in header if name != table.label]
    for name in (*names, table.label):
        if name not in header:
            raise UserError(
                f"{path} has no column {name!r}, but {', '.join(map(repr, header))}: write the names "
                "of the columns into its first line."
            )
    if not names:
        raise UserError(
            f"{path} has no column of numbers beside {table.label!r}: give the whole table."
        )
    places, of_label = [header.index(name) for name in names], header.index(table.label)
    kept = [row for row in rows if not any(row[i] in GAPS for i in (*places, of_label))]
    if not kept:
        raise UserError(f"{path} has no row without a gap: give the whole table.")
    x = np.array([[_number(path, row, header, i) for i in places] for row in kept])
    class_names, labels = np.unique([row[of_label] for row in kept], return_inverse=True)
    gaps = len(rows) - len(kept)
    many = f"{gaps} rows with a gap were" if gaps > 1 else "1 row with a gap was"
    note = f" {many} left out." if gaps else ""
    return Content(x, labels.astype(np.int32), tuple(class_names.tolist()), note)


def _lines(path: Path, table: Table) -> list[list[str]]:
    """Returns the cells of the header and of all rows."""
    remedy = (
        f"get the table from {table.home}, and write it there as CSV, with a first line of names and "
        f"the classes in the column {table.label!r}; or give its folder by --manual-dir."
    )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [
                [cell.strip() for cell in row]
                for row in csv.reader(file, skipinitialspace=True)
                if row
            ]
    except FileNotFoundError:
        raise UserError(f"There is no file {path}: {remedy}") from None
    except PermissionError as error:
        raise denied(path) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV ({error}): {remedy}") from error
    if len(lines) < 2:
        raise UserError(
            f"{path} has {len(lines)} line{'s' * (len(lines) != 1)}, and no rows: {remedy}"
        )
    for number, row in enumerate(lines):
        if len(row) != len(lines[0]):
            raise UserError(
                f"{path} has {len(row)} cells in row {number}, but {len(lines[0])} in its first line: "
                "separate the cells by commas, one row per line."
            )
    return lines


def _number(path: Path, row: list[str], header: list[str], place: int) -> float:
    try:
        return float(row[place])
    except ValueError:
        raise UserError(
            f"{path} has {row[place]!r} in the column {header[place]!r}: write numbers, and gaps as NA."
        ) from None


def labelled(path: Path, label: str) -> tuple[Any, np.ndarray]:
    """The columns of a table with columns of several kinds as an Arrow table, and its labels."""
    from cpvae_jax.data import readers

    table = readers.read(path)
    return table.drop_columns([label]), np.array(table[label].to_pylist())
