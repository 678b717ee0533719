"""Files of tables, as Arrow tables: CSV, TSV, Parquet, Feather, Excel and AnnData.

Whole (`read`) or in batches (`batches`), so that files may be larger than memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpvae_jax.data import frames, inference
from cpvae_jax.data.paths import denied, printable
from cpvae_jax.errors import UserError, first_line

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
"""Files of text, with the separator that they have unless their first line has more of another."""

SEPARATORS = ",;\t|"
COMPRESSED = (".gz", ".bz2", ".zst", ".xz")

PARQUET, FEATHER = (".parquet", ".pq"), (".feather", ".arrow", ".ipc")
EXCEL, ANNDATA = (".xlsx", ".xlsm"), (".h5ad",)
SUFFIXES = (*TEXT, *PARQUET, *FEATHER, *EXCEL, *ANNDATA)

GAPS = ("", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "-nan", "NULL", "null", "None", "<NA>", "?")
"""How a text file may write a missing value; "?" is that of the UCI tables."""

BLOCK = 16 * 2**20
"""Bytes of a text file that are read at once in batches."""

BATCH = 2**15
"""Rows of other files that are read at once."""


def suffix(path: Path) -> str:
    """The ending that tells the format, in lower case: ".csv" of "mine.CSV.gz"."""
    endings = [ending.lower() for ending in path.suffixes]
    if len(endings) > 1 and endings[-1] in COMPRESSED:
        return endings[-2]
    return endings[-1] if endings else ""


def is_table(path: Path) -> bool:
    """Whether the name of a file is that of a table.

    >>> is_table(Path("mine.csv.gz")), is_table(Path("mine.npz"))
    (True, False)
    """
    return suffix(path) in SUFFIXES


def read(path: Path) -> pa.Table:
    """Returns all rows of a file.

    Raises:
      UserError: It is missing, empty, damaged, or in another encoding than UTF-8; or the package that
        reads it is missing.
    """
    import pyarrow as pa

    return pa.concat_tables(list(batches(path, whole=True)))


def batches(path: Path, *, whole: bool = False) -> Iterator[pa.Table]:
    """Yields the rows of a file in order; `whole` allows one large batch.

    Raises:
      UserError: As `read`, perhaps after some batches.
    """
    import pyarrow as pa

    shown = printable(path)
    try:
        for number, batch in enumerate(_batches(path, whole)):
            if number == 0:
                frames.check_names(batch.column_names, shown)
                _check_header(batch.column_names, path)
            yield batch
        pa.default_memory_pool().release_unused()
    except UserError:
        raise
    except PermissionError as error:
        raise denied(path) from error
    except FileNotFoundError as error:
        raise UserError(f"{shown} does not exist; give the path of a table.") from error
    except ImportError as error:
        raise _missing(path, error) from error
    except Exception as error:  # damaged files can raise almost anything
        raise _unreadable(path, error) from error


def _batches(path: Path, whole: bool) -> Iterator[pa.Table]:
    import pyarrow as pa

    ending = suffix(path)
    if path.is_file() and path.stat().st_size == 0:
        raise UserError(
            f"{printable(path)} is empty; give a table with a line of names and one line per row."
        )
    if ending in TEXT:
        yield from _of_text(path, whole)
    elif ending in PARQUET:
        import pyarrow.parquet as parquet

        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            # Threads would decode columns side by side, and keep more of them in memory.
            rows = file.iter_batches(BATCH, use_threads=False)
            found = (pa.Table.from_batches([batch]) for batch in rows)
            yield from _at_least_one(found, schema)
    elif ending in FEATHER:
        with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
            found = (
                pa.Table.from_batches([file.get_batch(i)]) for i in range(file.num_record_batches)
            )
            yield from _at_least_one(found, file.schema)
    elif ending in EXCEL:
        yield _of_excel(path)
    elif ending in ANNDATA:
        import anndata

        yield frames.table_of(anndata.read_h5ad(path), printable(path))
    else:
        raise UserError(
            f"{printable(path)} is no table that can be read; its name must end in {', '.join(SUFFIXES)}."
        )


def _at_least_one(found: Iterator[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The batches; an empty table if there are none, so that its names are known."""
    count = 0
    for count, batch in enumerate(found, 1):  # noqa: B007 - counted for later
        yield batch
    if not count:
        yield schema.empty_table()


def _of_text(path: Path, whole: bool) -> Iterator[pa.Table]:
    import pyarrow as pa
    from pyarrow import csv

    separator, decimal = _written(path)
    convert = csv.ConvertOptions(
        strings_can_be_null=True, null_values=list(GAPS), decimal_point=decimal
    )
    parse = csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    size = path.stat().st_size if whole else BLOCK
    options = csv.ReadOptions(block_size=max(2**20, min(size, 2**30)))
    if whole:
        table = csv.read_csv(path, options, parse, convert)
        _check_text(table.schema, path)
        yield table
        return
    convert.column_types = _types(path, options, parse, convert)
    with csv.open_csv(path, options, parse, convert) as reader:
        _check_text(reader.schema, path)
        for batch in reader:
            yield pa.Table.from_batches([batch])


WIDER = {"null": "int64", "int64": "double"}
"""The type that holds the values of another one too; text holds those of all others."""


def _types(path: Path, options: Any, parse: Any, convert: Any) -> dict[str, Any]:
    """The types of columns whose first block suggests one that later values do not have.

    Arrow decides the types by the first block: whole numbers there, and 1.5 in a later one, are an error.
    """
    import pyarrow as pa
    from pyarrow import csv

    found: dict[str, Any] = {}
    if path.stat().st_size <= options.block_size and path.suffix.lower() not in COMPRESSED:
        return found
    while True:
        convert.column_types = found
        with csv.open_csv(path, options, parse, convert) as reader:
            try:
                for _ in reader:
                    pass
                return found
            except pa.ArrowInvalid as error:
                refused = re.match(
                    r"In CSV column #(\d+): .*conversion error to ([\w\[\]]+)", str(error)
                )
                if refused is None or refused[2] == "string":
                    raise
                name = reader.schema.names[int(refused[1])]
                found[name] = pa.type_for_alias(WIDER.get(refused[2], "string"))


def _check_text(schema: pa.Schema, path: Path) -> None:
    """Raises a `UserError` for a column of text that is not UTF-8, which Arrow takes for bytes."""
    import pyarrow.types as types

    bytes_in = next((field.name for field in schema if types.is_binary(field.type)), None)
    if bytes_in is not None:
        raise UserError(
            f"{printable(path)} is not written in UTF-8 (column {bytes_in!r}); save it as UTF-8."
        )


def _written(path: Path) -> tuple[str, str]:
    """The separator of a text file, and its decimal mark, judged by the first lines."""
    import pyarrow as pa

    with pa.input_stream(str(path), compression="detect") as file:
        head = file.read(2**16)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UserError(f"{printable(path)} is written in UTF-16; save it as UTF-8.")
    lines = head.decode("utf-8", "replace").splitlines()
    first = next((line for line in lines if line.strip()), "")
    default = TEXT[suffix(path)]
    found = max(SEPARATORS, key=lambda mark: (first.count(mark), mark == default))
    separator = found if found in first else default
    cells = [cell.strip() for line in lines[1:100] for cell in line.split(separator)]
    commas = sum(cell.replace(",", "", 1).lstrip("-").isdigit() and "," in cell for cell in cells)
    points = sum(cell.replace(".", "", 1).lstrip("-").isdigit() and "." in cell for cell in cells)
    return separator, "," if separator != "," and commas > points else "."


def _of_excel(path: Path) -> pa.Table:
    """The first sheet; its first line has the names."""
    import openpyxl
    import pyarrow as pa

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    lines = [
        line
        for line in book.worksheets[0].iter_rows(values_only=True)
        if any(v is not None for v in line)
    ]
    book.close()
    if not lines:
        raise UserError(
            f"{printable(path)} is empty; give a sheet with a line of names and one line per row."
        )
    names = [str(name) for name in lines[0]]
    frames.check_names(names, printable(path))
    cells: list[list[Any]] = [
        [None if v in GAPS else v for v in values] for values in zip(*lines[1:], strict=True)
    ]
    if not cells:
        return pa.table({name: pa.array([], pa.null()) for name in names})
    found = {}
    for name, values in zip(names, cells, strict=True):
        numbers = all(isinstance(v, int | float) for v in values if v is not None)
        try:
            found[name] = pa.array(
                values if numbers else [None if v is None else _plain(v) for v in values]
            )
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise UserError(
                f"column {name!r} of {printable(path)} mixes types ({first_line(error)}); make all of its cells numbers or text."
            ) from error
    return pa.table(found)


def _plain(value: Any) -> Any:
    """A cell among text; numbers there are text, and `inference` says so if most are numbers."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _check_header(names: list[str], path: Path) -> None:
    """Raises a `UserError` if the first line of a text file holds numbers in place of names."""
    if suffix(path) in TEXT and all(inference.reads_as_number(name) for name in names):
        raise UserError(
            f"the first line of {printable(path)} holds numbers ({', '.join(names[:5])}); write the names of the "
            "columns there."
        )


def _missing(path: Path, error: ImportError) -> UserError:
    extra = "excel" if suffix(path) in EXCEL else "anndata"
    return UserError(
        f"{printable(path)} is read by the package {error.name}, which is missing; install it with "
        f"pip install 'cpvae-jax[{extra}]'."
    )


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = first_line(error).rstrip(".")
    shown = printable(path)
    if "UTF8" in reason or "UTF-8" in reason or isinstance(error, UnicodeDecodeError):
        return UserError(f"{shown} is not written in UTF-8 ({reason}); save it as UTF-8.")
    if "Empty CSV" in reason:
        return UserError(
            f"{shown} is empty; give a table with a line of names and one line per row."
        )
    return UserError(f"{shown} cannot be read ({reason}); mend it, or save it again.")
