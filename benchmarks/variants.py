"""Variants of our own program, by turns, over one of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from benchmarks import flags, machine
from benchmarks.problem import Case, image_file, load_images
from benchmarks.turns import Program, ratio, take_turns, warmed_up
from cpvae_jax.errors import UserError

OURS = "benchmarks.ours:ours"


def command(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with what `measure` and the choice of cases take."""
    parser = flags.command(module, description)
    flags.add_cases(parser, K=[10])
    parser.add_argument("--batch", type=flags.positive, nargs="+", default=[100])
    parser.add_argument("--steps", type=flags.positive, default=100, help="steps an epoch")
    return parser


def measure(
    case: Case, variants: Mapping[str, Program], reference: str, args: argparse.Namespace
) -> dict[str, Any]:
    """Epochs of each variant, which is given the case and the images too; `over` is by the reference.

    Raises `UserError` where the reference cannot run; another that cannot is left out, and noted.
    """
    busy = machine.busy_cores()
    with ExitStack() as stack:
        images = load_images("random", None, args.steps * case.batch)
        given = {"case": case, "images": stack.enter_context(image_file(images))}
        programs = {
            name: Program(variant.target, {**given, **variant.arguments})
            for name, variant in variants.items()
        }
        children, left_out = stack.enter_context(warmed_up(programs, case))
        if reference not in children:
            raise UserError(f"{left_out[0]}.")
        answers = take_turns(children, args.repeats, case)
    seconds = {name: [one for one, _ in found] for name, found in answers.items()}
    return {
        "notes": machine.noise(busy) + left_out,
        "busy_cores": busy,
        "over": {
            name: ratio(times, seconds[reference])._asdict() for name, times in seconds.items()
        },
        "loss": {name: found[-1][1] for name, found in answers.items()},
        "seconds": seconds,
    }
