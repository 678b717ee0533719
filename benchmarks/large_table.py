"""A large table: `python -m benchmarks.large_table --out results/large-table.json`.

It writes a Parquet file of a million rows and fifty columns around eight centres, and runs the commands fit,
predict and report on it, each as a process of its own, beside scikit-learn's MiniBatchKMeans, which holds
the table in memory. The peak of a process is its resident memory, pages of mapped files included.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from cpvae_jax.commands import flags, provenance
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.main import as_process, exit_code

CENTRES = 8
BLOCK = 100_000
"""Rows that are written at once."""


@dataclass(frozen=True)
class Options:
    """The size of the table, and where the figures go."""

    rows: int = option(1_000_000, "rows")
    columns: int = option(50, "columns")
    out: Path | None = option(None, "JSON file to write")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    (options,) = flags.parse(
        argv,
        program="python -m benchmarks.large_table",
        description=str(__doc__),
        groups={"options": [Options]},
    )
    return exit_code(run, options)


def run(options: Options) -> None:
    """Measures everything once, and prints it."""
    busy = machine.busy_cores()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = folder / "table.parquet"
        write(table, options.rows, options.columns)
        os.environ["CPVAE_JAX_CACHE"] = str(folder / "cache")
        cpvae = [sys.executable, "-m", "cpvae_jax.commands.main"]
        made, labels = str(folder / "run"), str(folder / "labels.parquet")
        K = ["--K", str(CENTRES), "--drop-columns", "centre"]
        found = {
            "fit": measured([*cpvae, "fit", str(table), *K, "--out", made, "--quiet"]),
            "predict": measured([*cpvae, "predict", made, str(table), "--out", labels]),
            "report": measured([*cpvae, "report", made]),
            "MiniBatchKMeans": measured([sys.executable, "-c", KMEANS, str(table), str(CENTRES)]),
        }
        agreement = agree(folder / "labels.parquet", table)
    for one in found.values():
        one["rows_per_second"] = options.rows / one["seconds"]
    result = {
        "commit": provenance.describe([], "python -m benchmarks.large_table")["commit"],
        "machine": machine.describe(),
        "busy_cores": busy,
        "rows": options.rows,
        "columns": options.columns,
        "adjusted_rand_index": agreement,
        **found,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


KMEANS = """
import sys
import numpy as np
import pyarrow.parquet as parquet
from sklearn.cluster import MiniBatchKMeans
table = parquet.read_table(sys.argv[1]).drop_columns(["centre"])
x = np.stack([column.to_numpy() for column in table.columns], axis=1)
MiniBatchKMeans(int(sys.argv[2]), n_init=3, random_state=0).fit_predict(x)
"""


def write(path: Path, rows: int, columns: int) -> None:
    """Rows of standard normals around centres that lie three apart in each column."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as parquet

    rng = np.random.default_rng(0)
    centres = rng.normal(0, 3, (CENTRES, columns))
    writer = None
    for start in range(0, rows, BLOCK):
        centre = rng.integers(0, CENTRES, min(BLOCK, rows - start))
        x = centres[centre] + rng.normal(size=(len(centre), columns))
        table = pa.table({**{f"x{i}": x[:, i] for i in range(columns)}, "centre": centre})
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def measured(command: list[str]) -> dict[str, float]:
    """Seconds and the peak memory of a process in MiB.

    Raises:
      RuntimeError: It failed.
    """
    began = time.monotonic()
    number = os.spawnv(os.P_NOWAIT, command[0], command)
    _, status, used = os.wait4(number, 0)
    if status:
        raise RuntimeError(f"{command} ended with the status {status}")
    return {"seconds": time.monotonic() - began, "peak_mib": used.ru_maxrss / 1024}


def agree(labels: Path, table: Path) -> float:
    """The adjusted Rand index between the categories and the centres."""
    import pyarrow.parquet as parquet
    from sklearn.metrics import adjusted_rand_score

    found = parquet.read_table(labels, columns=["category"])["category"].to_numpy()
    truth = parquet.read_table(table, columns=["centre"])["centre"].to_numpy()
    return float(adjusted_rand_score(truth, found))


if __name__ == "__main__":
    sys.exit(as_process(main))
