"""What data parallelism costs and gives: processes of one core each, over loopback, against one.

    python -m benchmarks.scaling --processes 2 --batch 100 400 --out results/scaling-cpu.json

By turns: one process, pinned to a core, on a batch; several, a core each, on the same batch cut
among them (strong scaling), and on as many batches (weak scaling). Also what summing the gradient
over them costs when nothing is computed. Seconds a step; ratios within a round. Loopback and cores
that share a memory are no network: the shape of the curve holds elsewhere, its numbers do not.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Any

from benchmarks import flags, machine
from benchmarks.problem import Case, UnavailableError, load_images
from benchmarks.results import Results, notes
from benchmarks.turns import progress, ratio

STEPS = 40
"""Steps an epoch, of which one warms up and one is timed."""


def child(processes: int, process: int, address: str, batch: int) -> None:
    """One of the processes: prints seconds a step, and seconds of a sum as large as the gradient."""
    import jax
    import jax.numpy as jnp

    if processes > 1:
        jax.distributed.initialize(address, processes, process)
    from benchmarks.ours import config_of, parameters
    from cpvae_jax import Training, devices, train

    case = Case("cp", 10, batch)
    mesh = devices.mesh()
    images = load_images("random", None, STEPS * batch).reshape(-1, config_of(case).size)
    training = Training(batch_size=batch, warmup=0)
    program = train.program(config_of(case), training, images, mesh)
    state = program.init(jax.random.split(jax.random.key(0), 1))
    data = devices.everywhere(jnp.asarray(images), mesh)
    times = []
    for _ in range(3):
        began = perf_counter()
        state, _ = jax.block_until_ready(train.advance(program, state, data, data[:1]))
        times.append((perf_counter() - began) / STEPS)
    found = {"step": min(times[1:])}
    if mesh is not None:
        found["sum"] = _sum(mesh, parameters(case))
    if process == 0:
        print(json.dumps(found), flush=True)


def _sum(mesh: Any, size: int) -> float:
    """Seconds of one sum over the devices of an array as large as all gradients together."""
    import jax
    import jax.numpy as jnp

    from cpvae_jax import devices

    n = mesh.devices.size
    apart = devices.everywhere(jnp.ones((n, size)), mesh, devices.DATA)

    @jax.jit
    def sums(apart: jax.Array) -> jax.Array:
        def once(carry: jax.Array, _: None) -> tuple[jax.Array, None]:
            total = devices.cut(jnp.sum(apart + carry, axis=0), mesh)
            return total[0] * 0, None

        return jax.lax.scan(once, jnp.zeros(()), None, length=20)[0]

    jax.block_until_ready(sums(apart))
    began = perf_counter()
    jax.block_until_ready(sums(apart))
    return (perf_counter() - began) / 20


def run(processes: int, batch: int) -> dict[str, float]:
    """One measurement, in processes of its own, each kept on a core of its own."""
    cores = machine.cores()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = []
    for process in range(processes):
        command = [sys.executable, "-m", "benchmarks.scaling", "--child", address]
        command += ["--processes", str(processes), "--process", str(process), "--batch", str(batch)]
        environment = os.environ | {"JAX_COORDINATOR_BIND_ADDRESS": address}
        started.append(
            subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=partial(os.sched_setaffinity, 0, {cores[process]}),
            )
        )
    told = [process.communicate() for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError(told[0][1])
    return json.loads(told[0][0].splitlines()[-1])


def measure(processes: int, batch: int, repeats: int) -> dict[str, Any]:
    """Everything that is kept of a case."""
    busy = machine.busy_cores()
    settings = {
        "one": (1, batch),
        "strong": (processes, batch),
        "weak": (processes, batch * processes),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in settings}
    for number in range(repeats):
        progress(f"batch {batch}: round {number + 1} of {repeats}")
        for name, (count, size) in settings.items():
            found[name].append(run(count, size))
    steps = {name: [one["step"] for one in all_] for name, all_ in found.items()}
    return {
        "notes": machine.noise(busy),
        "busy_cores": busy,
        "strong_speedup": ratio(steps["one"], steps["strong"])._asdict(),
        "weak_efficiency": ratio(steps["one"], steps["weak"])._asdict(),
        "seconds_a_step": steps,
        "seconds_a_sum": [one["sum"] for one in found["strong"]],
    }


def table(measured: Sequence[dict[str, Any]]) -> str:
    """A line a batch."""
    lines = [f"{'batch':>6} {'processes':>9} {'speed-up, same batch':>22} {'a batch each':>20}"]
    for one in measured:
        ratios = [one[name] for name in ("strong_speedup", "weak_efficiency")]
        cells = [f"{r['median']:.2f} ({r['low']:.2f}–{r['high']:.2f})" for r in ratios]
        case = one["case"]
        lines.append(f"{case['batch']:>6} {case['processes']:>9} {cells[0]:>22} {cells[1]:>20}")
    lines += notes((f"batch {one['case']['batch']}", one) for one in measured)
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = flags.command("scaling", "Time processes of one core each against one of them.")
    parser.add_argument("--processes", type=flags.positive, default=2)
    parser.add_argument("--batch", type=flags.positive, nargs="+", default=[100, 400])
    parser.add_argument("--child", metavar="HOST:PORT", help=argparse.SUPPRESS)
    parser.add_argument("--process", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    flags.use_device(chosen.device)
    if chosen.child:
        child(chosen.processes, chosen.process, chosen.child, chosen.batch[0])
        return
    try:
        there = len(machine.cores())
    except UnavailableError as error:
        parser.error(f"{error}, which is what is measured")
    if not 1 < chosen.processes <= there:
        parser.error(f"--processes is {chosen.processes}; each takes a core, and there are {there}")
    results = Results(chosen.out, {"device": chosen.device, "repeats": chosen.repeats})
    measured = []
    for batch in chosen.batch:
        case = {"batch": batch, "processes": chosen.processes}
        new = partial(measure, chosen.processes, batch, chosen.repeats)
        measured.append(results.once(case, new))
    print(table(measured))


if __name__ == "__main__":
    main()
