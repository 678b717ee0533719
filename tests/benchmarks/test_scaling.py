"""Scaling on paper, and the tables of what was measured."""

import pytest

from benchmarks import forecast, profile, scaling
from benchmarks.floor import Work
from benchmarks.forecast import Gpu, gradient, step

WORK = Work(flops=10**9, parameters=10**6)


def test_one_device_sums_nothing():
    assert gradient(4 * 10**6, 1, Gpu()) == 0


def test_a_ring_of_two_by_hand():
    gpu = Gpu(inside=1e9, hop=1e-6)
    assert gradient(10**6, 2, gpu) == pytest.approx(1e-3 + 2e-6)


def test_machines_add_a_tree_by_hand():
    gpu = Gpu(inside=1e9, between=1e8, hop=0, far=1e-6, machine=2)
    ring = 10**6 / 1e9
    assert gradient(10**6, 8, gpu) == pytest.approx(ring + 1.5 * 0.5e6 / 1e8 + 4e-6)


def test_more_devices_help_a_large_batch_and_hurt_a_small_one():
    assert step(WORK, 100, 8, Gpu()) > 0.7 * step(WORK, 100, 1, Gpu())
    large = Work(WORK.flops * 1000, WORK.parameters)
    assert step(large, 10**5, 8, Gpu()) < 0.2 * step(large, 10**5, 1, Gpu())


def test_the_table_of_the_forecast_leaves_out_more_devices_than_examples(capsys):
    forecast.main(["--batch", "100", "--gpus", "1", "8", "1024"])
    row = capsys.readouterr().out.splitlines()[-1].split("|")
    assert "(100%)" in row[2]
    assert "%" in row[3]
    assert row[4].strip() == ""


def test_more_processes_than_cores_are_told(capsys):
    with pytest.raises(SystemExit):
        scaling.main(["--processes", "1000"])
    assert "--processes is 1000; each takes a core" in capsys.readouterr().err


def test_operations_are_counted_by_what_they_stem_from():
    program = """
      %dot.3 = f32[2,2] dot(%a, %b), metadata={op_name="jit(run)/while/body/dot_general"}
      ROOT %ynn_fusion.1 = f32[2] fusion(%a), kind=kCustom
      %xor.5 = u32[2] xor(%a, %b), metadata={op_name="jit(run)/while/body/threefry2x32"}
      %add.1 = f32[2] add(%a, %b), metadata={op_name="jit(run)/cond/branch_1_fun/add"}
      %tanh = f32[2] tanh(%a), metadata={op_name="jit(run)/tanh"}
    """

    class Event:
        def __init__(self, name):
            self.name, self.duration_ns = name, 10

    class Holder:
        def __init__(self, inner):
            self.planes = self.lines = self.events = inner

    names = ["dot.3", "ynn_fusion.1", "xor.5", "add.1", "tanh", "tanh", "while.7", "no_op"]
    trace = Holder([Holder([Holder([Event(name) for name in names])])])
    assert profile._by_kind(trace, profile._origins(program)) == {
        "products": 20,
        "random numbers": 10,
        "optimiser": 10,
        "the rest": 20,
    }
