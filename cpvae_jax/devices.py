"""Where arrays lie: seeds and the examples of a batch, spread over devices and processes.

One code path serves one device and many. Programs are written for the whole batch; the
constraints put here tell the compiler to cut it along a mesh of two axes, `SEEDS` and `DATA`.
Random numbers do not depend on the cut, so that the result is that of one device but for the
rounding of sums. A mesh of None asks for nothing: one device, no constraint.

Across processes every one runs the same program on the same inputs; `everywhere` brings what one
of them has to all, `home` takes results out of the mesh again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from cpvae_jax import keys
from cpvae_jax.errors import UserError

SEEDS, DATA = "seeds", "data"
"""The axes of a mesh: seeds trained side by side, and the examples of a batch."""

T = TypeVar("T")


def mesh(num: int | None = None, *, seeds: int = 1) -> Mesh | None:
    """A mesh over the first `num` devices, by default all of all processes; None for one device.

    As many seeds as divide the devices evenly are given devices of their own, without any
    communication between them; the examples of each seed's batch are cut along the rest.

    Raises `UserError` for more devices than there are, or fewer than there are processes.

    >>> mesh(1) is None
    True
    """
    found = jax.devices()
    num = len(found) if num is None else num
    if not 1 <= num <= len(found):
        raise UserError(f"devices is {num}; there are {len(found)}, so give 1 to {len(found)}.")
    if jax.process_count() > 1 and num != len(found):
        raise UserError(
            f"devices is {num}, but {jax.process_count()} processes hold {len(found)} together and "
            "all of them take part; leave it out."
        )
    return None if num == 1 else of(found[:num], seeds=seeds)


def of(devices: Sequence[jax.Device], *, seeds: int = 1) -> Mesh:
    """A mesh of given devices."""
    along = math.gcd(seeds, len(devices))
    grid = np.array(devices).reshape(along, -1)
    return Mesh(grid, (SEEDS, DATA), axis_types=(AxisType.Auto,) * 2)


def compile_with(care: int) -> dict[str, int] | None:
    """Options of `jax.jit` for LLVM's level of care on a CPU, 0 to 3; elsewhere the defaults.

    With 1 a training step compiles in half the time and runs as fast (docs/scaling.md): the time
    goes into products, which are library calls. With 0, for what runs once, in a quarter.
    """
    if jax.default_backend() != "cpu" or jax.config.read("jax_disable_most_optimizations"):
        return None
    return {"xla_backend_optimization_level": care}


class Plan(NamedTuple):
    """How the steps of an epoch are compiled: a matter of time alone. See `benchmarks.choices`."""

    unroll: int = 1
    """Steps that the compiler sees at once"""
    branch: bool = True
    """Whether a step without finite numbers is a branch of the program, or computed like the others
    and thrown away number by number"""
    together: bool = True
    """Whether several seeds on one device share its operations, or follow one another"""


def plan(backend: str | None = None) -> Plan:
    """The plan of a backend, such as "cpu"; by default of the one in use.

    On a CPU a branch spares reading all parameters once more. A GPU would make the host wait for
    which branch to start, and reads them anyway: not measured. One seed fills a CPU: eight
    together take 11.2 times as long as one, and 8.1 times one after another (docs/scaling.md).
    """
    on_cpu = (backend or jax.default_backend()) == "cpu"
    return Plan(branch=on_cpu, together=not on_cpu)


def cut(tree: T, mesh: Mesh | None, *axes: str | tuple[str, ...] | None) -> T:
    """Inside a compiled program: cut arrays along mesh axes, one for each leading axis of theirs.

    No axes: the arrays lie whole on every device. Lengths need not divide evenly.
    """
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec(*axes)))


def rows(tree: T, mesh: Mesh | None) -> T:
    """Inside a compiled program without seeds: cut the examples, axis 0, along all devices."""
    return cut(tree, mesh, (SEEDS, DATA))


def everywhere(tree: T, mesh: Mesh | None, *axes: str | None) -> T:
    """Put arrays that every process has, and has alike, on the mesh; cut as by `cut`."""
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, PartitionSpec(*axes))

    def put(leaf: Any) -> jax.Array:
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return keys.from_numbers(jax.tree.map(put, keys.to_numbers(tree)), tree)


def home(tree: T, mesh: Mesh | None) -> T:
    """Arrays as each process can read them, whole, on its first device; a collective step."""
    if mesh is None:
        return tree
    whole = jax.jit(lambda t: t, out_shardings=NamedSharding(mesh, PartitionSpec()))(tree)

    def fetch(leaf: jax.Array) -> jax.Array:
        return jnp.asarray(np.asarray(leaf.addressable_data(0)))

    return keys.from_numbers(jax.tree.map(fetch, keys.to_numbers(whole)), whole)
