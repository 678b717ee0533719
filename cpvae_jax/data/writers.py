"""Tables written batch by batch: CSV, TSV, Parquet and Feather."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpvae_jax.data import readers
from cpvae_jax.data.paths import printable
from cpvae_jax.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".csv", ".tsv", *readers.PARQUET, *readers.FEATHER)


def check(path: Path, flag: str = "--out") -> None:
    """Raises a `UserError` unless the name of a file is that of a table that can be written."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{flag} is {printable(path)}; its name must end in {', '.join(SUFFIXES)}.")


class Writer:
    """Writes batches to one file; the first one decides the columns and their types."""

    def __init__(self, path: Path, suffix: str) -> None:
        self._path, self._suffix = path, suffix
        self._writer: Any = None
        self._schema: Any = None

    def write(self, table: pa.Table) -> None:
        """Writes further rows."""
        if self._writer is None:
            self._schema = table.schema
            self._writer = self._begun(table.schema)
        self._writer.write_table(table.cast(self._schema))

    def _begun(self, schema: pa.Schema) -> Any:
        import pyarrow as pa
        from pyarrow import csv, parquet

        if self._suffix in readers.PARQUET:
            return parquet.ParquetWriter(self._path, schema)
        if self._suffix in readers.FEATHER:
            return pa.ipc.new_file(str(self._path), schema)
        separator = "\t" if self._suffix == ".tsv" else ","
        options = csv.WriteOptions(delimiter=separator, quoting_style="needed")
        return csv.CSVWriter(str(self._path), schema, write_options=options)

    def close(self) -> None:
        """Ends the file."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A writer whose file takes its name when all is written, so that a failure leaves an old file whole.

    Raises:
      UserError: The file cannot be written.
    """
    check(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = Writer(unfinished, path.suffix.lower())
        try:
            yield writer
        finally:
            writer.close()
        os.replace(unfinished, path)
    except OSError as error:
        raise UserError(
            f"{printable(path)} cannot be written ({error.strerror or error}); choose another place, or check its "
            "permissions and the free space on its disk."
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
