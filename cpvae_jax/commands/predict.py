"""`cpvae predict RUN DATA --out labels.csv`: the category of every row, its probabilities and its bound."""

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

if TYPE_CHECKING:
    from cpvae_jax.types import Params


@dataclass(frozen=True)
class Out:
    """Where to write the categories."""

    out: Path = option(
        Path("labels.csv"),
        "file to write, .csv, .tsv, .parquet or .feather: row, category, probability of each category, "
        "bound in nats, and whether the row is unlike almost all rows of the test part",
    )


def main(argv: Sequence[str] | None = None, *, program: str = "cpvae predict") -> int:
    """Runs the command; returns its exit code, 2 for invalid input."""
    applied, out, folders, files = flags.parse(
        argv,
        program=program,
        description="Assign the rows of a table, array or folder of images to the categories of a model.",
        groups={"data": [Applied, Out, Folders], "your own parts": [Extend]},
    )
    return exit_code(write_categories, applied, out.out, folders, files.extend)


def write_categories(applied: Applied, out: Path, folders: Folders, files: Sequence[Path]) -> None:
    """Writes one line per row of the data, in batches, whatever their number.

    Raises:
      UserError: There is no such model or data, they do not suit each other, or the file cannot be
        written.
    """
    from cpvae_jax.data import writers

    writers.check(out)
    model = applying.opened(applied, files)
    low = applying.unusual_below(applied.run)
    count = unusual = 0
    with writers.writing(out) as writer:
        for batch in applying.batches(model, applied, folders):
            table = _scored(model, batch.ids, batch.x, low)
            count += table.num_rows
            unusual += sum(table["unusual"].to_pylist()) if low is not None else 0
            writer.write(table)
    about = "" if low is None else f"; {unusual:,} of them are unlike almost all test rows"
    print(f"wrote the categories of {count:,} rows to {out}{about}")


def _scored(params: Params, ids: Any, x: Any, low: float | None) -> Any:
    """One batch as a table."""
    import jax
    import numpy as np
    import pyarrow as pa

    from cpvae_jax.evaluation import rows
    from cpvae_jax.keys import purpose

    probs = rows.probs(params, x)
    bound = rows.bounds(params, purpose(jax.random.key(0), "test bound"), x)
    found = {"row": pa.array(ids) if isinstance(ids, np.ndarray) else ids}
    found["category"] = pa.array(probs.argmax(axis=1))
    for number in range(probs.shape[1]):
        found[f"probability_{number}"] = pa.array(probs[:, number].astype(np.float32))
    found["bound"] = pa.array(bound.astype(np.float32))
    if low is not None:
        found["unusual"] = pa.array(bound < low)
    return pa.table(found)
