"""Placement of arrays: seeds and the examples of a batch, spread over devices and processes.

One code path serves one device and many. Programs are written for the whole batch, and the
constraints set here tell the compiler to split it along a mesh of two axes, `SEEDS` and `DATA`.
Random numbers do not depend on the split, so results equal those of one device up to the rounding
of sums. A mesh of None means one device and no constraint.

With several processes, each runs the same program on the same inputs. `everywhere` puts arrays on
the mesh, and `home` takes results off it again.
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
"""The axes of a mesh: seeds trained in one program, and the examples of a batch."""

T = TypeVar("T")


def mesh(num: int | None = None, *, seeds: int = 1) -> Mesh | None:
    """A mesh over the first `num` devices, by default all devices of all processes.

    As many seeds as divide the devices evenly get devices of their own, without communication
    between them. The examples of each seed's batch are split along the rest.

    Args:
      num: How many devices.
      seeds: How many seeds are trained.

    Returns:
      The mesh, or None for a single device.

    Raises:
      UserError: There are not that many devices, or a process would be left out.

    >>> mesh(1) is None
    True
    """
    found = jax.devices()
    num = len(found) if num is None else num
    if not 1 <= num <= len(found):
        raise UserError(f"devices is {num}; there are {len(found)}, so give 1 to {len(found)}.")
    if jax.process_count() > 1 and num != len(found):
        raise UserError(
            f"devices is {num}, but all {len(found)} devices of the {jax.process_count()} processes "
            "must take part; leave it out."
        )
    return None if num == 1 else of(found[:num], seeds=seeds)


def check(mesh: Any) -> None:
    """Raises a `UserError` for anything but None and the meshes that `mesh` returns."""
    if mesh is not None and not (isinstance(mesh, Mesh) and mesh.axis_names == (SEEDS, DATA)):
        raise UserError(
            f"mesh is {mesh!r}; give what cpvae_jax.devices.mesh() returns, or None for one device."
        )


def of(devices: Sequence[jax.Device], *, seeds: int = 1) -> Mesh:
    """A mesh of given devices."""
    along = math.gcd(seeds, len(devices))
    grid = np.array(devices).reshape(along, -1)
    return Mesh(grid, (SEEDS, DATA), axis_types=(AxisType.Auto,) * 2)


def compile_with(care: int) -> dict[str, int] | None:
    """Options of `jax.jit` that set LLVM's optimisation level on a CPU; elsewhere the defaults.

    At level 1 a training step compiles in half the time and runs as fast, because its time goes
    into matrix products, which are library calls (docs/scaling.md). At level 0 it compiles in a
    quarter of the time, which suits programs that run once.

    Args:
      care: The level, 0 to 3.
    """
    if jax.default_backend() != "cpu" or jax.config.read("jax_disable_most_optimizations"):
        return None
    return {"xla_backend_optimization_level": care}


class Plan(NamedTuple):
    """How the steps of an epoch are compiled. It affects time alone, not results.

    Attributes:
      unroll: Steps that the compiler sees at once.
      branch: Whether a step that is not finite is skipped by a branch, or computed and then
        discarded number by number.
      together: Whether several seeds on one device share its operations, or follow one another.
    """

    unroll: int = 1
    branch: bool = True
    together: bool = True


def plan(backend: str | None = None) -> Plan:
    """The plan for a backend, such as "cpu"; by default for the one in use.

    On a CPU a branch avoids reading all parameters once more. On a GPU the host would have to wait
    to know which branch to start (not measured). One seed fills a CPU: eight seeds together take
    11.2 times as long as one, and 8.1 times as long one after another (docs/scaling.md).
    """
    on_cpu = (backend or jax.default_backend()) == "cpu"
    return Plan(branch=on_cpu, together=not on_cpu)


def cut(tree: T, mesh: Mesh | None, *axes: str | tuple[str, ...] | None) -> T:
    """Inside a compiled program: split arrays along mesh axes, one per leading axis.

    Without axes the arrays lie whole on every device. Lengths need not divide evenly.
    """
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec(*axes)))


def rows(tree: T, mesh: Mesh | None) -> T:
    """Inside a compiled program without seeds: split the examples, axis 0, along all devices."""
    return cut(tree, mesh, (SEEDS, DATA))


def everywhere(tree: T, mesh: Mesh | None, *axes: str | None) -> T:
    """Put arrays that all processes have alike on the mesh, split as by `cut`."""
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, PartitionSpec(*axes))

    def put(leaf: Any) -> jax.Array:
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return keys.from_numbers(jax.tree.map(put, keys.to_numbers(tree)), tree)


def home(tree: T, mesh: Mesh | None) -> T:
    """Arrays whole on the first device of each process; all processes call this together."""
    if mesh is None:
        return tree
    whole = jax.jit(lambda t: t, out_shardings=NamedSharding(mesh, PartitionSpec()))(tree)

    def fetch(leaf: jax.Array) -> jax.Array:
        return jnp.asarray(np.asarray(leaf.addressable_data(0)))

    return keys.from_numbers(jax.tree.map(fetch, keys.to_numbers(whole)), whole)
