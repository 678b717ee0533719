"""On paper: seconds a step on 1 to 1,024 GPUs, by what a step has to do and what a GPU can do.

    python -m benchmarks.forecast --batch 100 4096 65536

A step's products and bytes are counted (`floor`); the GPU is a data sheet's (NVIDIA H100 SXM), of
which small programs reach a share. Nothing here was measured on a GPU. A step on n devices takes

    launches + products / (n · rate) + optimiser's bytes / memory's rate + sum over devices

where the sum of the gradient goes through a ring within a machine, and then by a tree between
machines: twice its bytes over the slowest link, and a delay a hop.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import flags
from benchmarks.floor import FLOAT, Work
from benchmarks.problem import Case


@dataclass(frozen=True)
class Gpu:
    """What a GPU does at best, and what we think that small programs see of it."""

    flops: float = 67e12
    """Operations a second in float32, without tensor cores"""
    share: float = 0.5
    """Of them, with large batches"""
    half_batch: float = 1000.0
    """Examples at which products reach half of that: below, a GPU is not filled"""
    memory: float = 3.35e12
    """Bytes a second"""
    launches: float = 60 * 2e-6
    """Seconds to start the kernels of a step: some 60, two microseconds each"""
    inside: float = 450e9
    """Bytes a second one way between GPUs of a machine"""
    between: float = 50e9
    """Bytes a second for each GPU between machines"""
    hop: float = 2e-6
    """Seconds of delay a hop inside a machine"""
    far: float = 5e-6
    """Seconds of delay a hop between machines"""
    machine: int = 8
    """GPUs in a machine"""


def step(work: Work, batch: int, devices: int, gpu: Gpu) -> float:
    """Seconds a step, of a batch cut along the devices."""
    own = batch / devices
    rate = gpu.flops * gpu.share * own / (own + gpu.half_batch)
    products = work.flops / devices / rate
    adam = work.bytes / gpu.memory
    return gpu.launches + products + adam + gradient(work.parameters * FLOAT, devices, gpu)


def gradient(size: int, devices: int, gpu: Gpu) -> float:
    """Seconds to sum arrays of `size` bytes over the devices."""
    near = min(devices, gpu.machine)
    machines = math.ceil(devices / gpu.machine)
    ring = 2 * (near - 1) / near * size / gpu.inside + 2 * (near - 1) * gpu.hop
    if machines == 1:
        return ring
    tree = 2 * (machines - 1) / machines * size / near / gpu.between
    return ring + tree + 2 * math.ceil(math.log2(machines)) * gpu.far


def table(batches: Sequence[int], devices: Sequence[int]) -> str:
    """A line a batch: images a second and, in parentheses, the share of perfect scaling."""
    from benchmarks.ours import gradient as program
    from benchmarks.ours import parameters
    from benchmarks.products import flops, products

    head = ["batch", *(f"{n} GPU{'s' if n > 1 else ''}" for n in devices)]
    lines = [head, ["---"] * len(head)]
    for batch in batches:
        case = Case("cp", 10, batch)
        work = Work(flops(products(program(case))), parameters(case))
        alone = batch / step(work, batch, 1, Gpu())
        cells = []
        for n in devices:
            speed = batch / step(work, batch, n, Gpu()) if batch >= n else 0.0
            cells.append(f"{speed / 1e6:.2f} M ({speed / alone / n:.0%})" if speed else "")
        lines.append([str(batch), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table, in Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.forecast",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--batch", type=flags.positive, nargs="+", default=[100, 4096, 65536])
    parser.add_argument("--gpus", type=flags.positive, nargs="+", default=[1, 8, 64, 1024])
    chosen = parser.parse_args(argv)
    flags.use_device("cpu")
    print(table(chosen.batch, chosen.gpus))


if __name__ == "__main__":
    main()
