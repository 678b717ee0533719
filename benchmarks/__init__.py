"""Speed, measured as ratios between programs that take turns on one machine.

    python -m benchmarks.epoch        an epoch of training: PyTorch, the floor, another checkout
    python -m benchmarks.throughput   sampling and log-likelihoods against PyTorch
    python -m benchmarks.start        seconds from a command to its first training step
    python -m benchmarks.seeds        several seeds in one program
    python -m benchmarks.scaling      several processes against one

`turns.py` measures programs by turns, `machine.py` describes the machine, `results.py` writes the
JSON files, and `command.py` has the shared flags. `ours.py` is the only module that calls
`cpvae_jax`; `torch_programs` holds the PyTorch programs; `floor.py` measures what no program can
beat.
"""
