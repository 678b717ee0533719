"""Where the time of a training step goes on a CPU, by XLA's own trace of an epoch.

    python -m benchmarks.profile --K 10 500 --out results/profile-cpu.json

Milliseconds of operations, a step, by what the time went into; an operation counts for
what the program says it stems from, and once where several threads share it. Beside them the
milliseconds by the clock.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import flags, machine
from benchmarks.problem import Case, cases, load_images
from benchmarks.results import Results, notes

KINDS = {
    "products": r"dot_general",
    "random numbers": r"threefry|noise|_shuffle",
    "optimiser": r"/cond/",
}
"""What an operation belongs to, by the name of what it stems from: the first that fits."""

REST = "the rest"


def measure(case: Case, steps: int) -> dict[str, Any]:
    """Milliseconds a step, by kind and by the clock."""
    import jax
    from jax.profiler import ProfileData

    from benchmarks.ours import config_of
    from cpvae_jax import Training, train

    busy = machine.busy_cores()
    images = load_images("random", None, steps * case.batch).reshape(steps * case.batch, -1)
    training = Training(batch_size=case.batch, warmup=0)
    program = train.program(config_of(case), training, images)
    state = program.init(jax.random.split(jax.random.key(0), 1))
    data = jax.device_put(images)
    run: Any = program.run
    compiled = run.lower(state, data).compile()
    state, _ = jax.block_until_ready(compiled(state, data))
    began = perf_counter()
    state, _ = jax.block_until_ready(compiled(state, data))
    clock = perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(compiled(state, data))
        (path,) = Path(folder).rglob("*.xplane.pb")
        profile = ProfileData.from_file(str(path))
        spent = _by_kind(profile, _origins(compiled.as_text()))
    return {
        "notes": machine.noise(busy),
        "busy_cores": busy,
        "clock": clock / steps * 1e3,
        "threads": {kind: ns / steps / 1e6 for kind, ns in spent.most_common()},
    }


def _origins(program: str) -> dict[str, str]:
    """What each instruction of a compiled program stems from, by the instruction's name.

    What the compiler added, copies of a loop's numbers say, stems from what the loop does.
    """
    loops = re.findall(r' while\(.* body=%?([\w.-]+), .*op_name="([^"]*)"', program)
    of_body, found, body = dict(loops), {}, ""
    for line in program.splitlines():
        if begun := re.match(r"(?:ENTRY )?%?([\w.-]+) \(.*\{$", line):
            body = of_body.get(begun[1], "")
        name = re.match(r"\s*(?:ROOT )?%?([\w.-]+) = ", line)
        origin = re.search(r'op_name="([^"]*)"', line)
        if name:
            products = "dot_general" if " dot(" in line or "ynn_fusion" in name[1] else ""
            found[name[1]] = products or (origin[1] if origin else body)
    return found


def _by_kind(profile: Any, origins: dict[str, str]) -> Counter[str]:
    """Nanoseconds of all threads."""
    spent: Counter[str] = Counter()
    for plane in profile.planes:
        for line in plane.lines:
            for event in line.events:
                origin = origins.get(event.name)
                # Loops and branches are counted by what is in them.
                if origin is not None and not event.name.startswith(("call", "cond", "while")):
                    fits = (kind for kind, form in KINDS.items() if re.search(form, origin))
                    spent[next(fits, REST)] += int(event.duration_ns)
    return spent


def table(measured: Sequence[dict[str, Any]]) -> str:
    """A line a case, in Markdown."""
    kinds = [*KINDS, REST]
    lines = [["", *kinds, "all threads", "by the clock"], ["---"] * (len(kinds) + 3)]
    for one in measured:
        spent = [one["threads"].get(kind, 0.0) for kind in kinds]
        cells = [f"{value:.2f}" for value in (*spent, sum(spent), one["clock"])]
        lines.append([str(Case(**one["case"])), *cells])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([text, *notes((str(Case(**one["case"])), one) for one in measured)])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_cases(parser, K=[10])
    parser.add_argument("--batch", type=flags.positive, nargs="+", default=[100])
    parser.add_argument("--steps", type=flags.positive, default=20, help="steps of the epoch")
    parser.add_argument("--out", type=Path, help="JSON file for every number")
    chosen = parser.parse_args(argv)
    flags.use_device("cpu")
    results = Results(chosen.out, {"steps": chosen.steps})
    measured = []
    for case in cases(chosen.model, chosen.K, chosen.batch):
        measured.append(results.once(asdict(case), partial(measure, case, chosen.steps)))
    print(table(measured))


if __name__ == "__main__":
    main()
