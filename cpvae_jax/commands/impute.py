"""`cpvae impute RUN DATA --out filled.csv`: fill the gaps of a table with what the model expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpvae_jax.commands import applying, flags
from cpvae_jax.commands.applying import Applied
from cpvae_jax.commands.extend import Extend
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.job import Folders
from cpvae_jax.commands.main import exit_code
from cpvae_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from cpvae_jax.types import Params


@dataclass(frozen=True)
class Out:
    """Where to write the table."""

    out: Path = option(
        Path("filled.csv"),
        "file to write, .csv, .tsv, .parquet or .feather: the table with its gaps filled, numbers by their "
        "conditional mean, levels by the most probable one",
    )


def main(argv: Sequence[str] | None = None, *, program: str = "cpvae impute") -> int:
    """Runs the command; returns its exit code, 2 for invalid input."""
    applied, out, folders, files = flags.parse(
        argv,
        program=program,
        description="Fill the gaps of a table with the conditional mean or mode of a model.",
        groups={"data": [Applied, Out, Folders], "your own parts": [Extend]},
    )
    return exit_code(write_filled, applied, out.out, folders, files.extend)


def write_filled(applied: Applied, out: Path, folders: Folders, files: Sequence[Path]) -> None:
    """Writes the table with its gaps filled; all else stays as it is.

    Raises:
      UserError: There is no such model or table, they do not suit each other, or the file cannot be
        written.
    """
    import jax

    from cpvae_jax.data import writers
    from cpvae_jax.evaluation import imputation
    from cpvae_jax.keys import purpose

    writers.check(out)
    params = applying.opened(applied, files)
    key = purpose(jax.random.key(0), "imputation")
    count = gaps = 0
    with writers.writing(out) as writer:
        for batch in applying.batches(params, applied, folders):
            if batch.table is None:
                raise UserError(f"{applied.data} is no table; only tables have gaps to fill.")
            filled = imputation.impute(params, key, batch.x)
            table, found = _merged(params, batch.table, filled)
            count, gaps = count + table.num_rows, gaps + found
            writer.write(table)
    print(f"wrote {count:,} rows to {out}, with {gaps:,} gaps filled")


def _merged(params: Params, table: pa.Table, filled: np.ndarray) -> tuple[pa.Table, int]:
    """The table with its gaps filled, and how many there were."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from cpvae_jax.data import coding

    columns = params.config.columns
    assert columns is not None
    values: dict[str, Any] = coding.decode(columns, filled)
    gaps = 0
    for column in columns:
        place = table.column_names.index(column.name)
        before = table[column.name]
        if pa.types.is_dictionary(before.type):
            before = before.cast(before.type.value_type)
        absent = pc.is_null(before, nan_is_null=True)
        gaps += pc.sum(absent).as_py() or 0
        new = pa.array(values[column.name].tolist())
        kind = before.type if pa.types.is_floating(before.type) else new.type
        kind = pa.string() if pa.types.is_string(before.type) else kind
        merged = pc.if_else(absent, new.cast(kind), before.cast(kind))
        table = table.set_column(place, column.name, merged)
    return table, gaps
