"""Speed and memory, measured against PyTorch programs of the same models in the same run.

    python -m benchmarks.epoch        training, beside PyTorch and beside the floor
    python -m benchmarks.throughput   sampling and scoring; memory of training
    python -m benchmarks.growth       cost against K, z, width, batch and data size
    python -m benchmarks.seeds        several seeds in one program
    python -m benchmarks.start        from the command to the first step
    python -m benchmarks.profile      where a step's time goes
    python -m benchmarks.reading      data on the disk against data in memory
    python -m benchmarks.scaling      several processes against one
    python -m benchmarks.forecast     1 to 1,024 GPUs, on paper
    python -m benchmarks.plots        pictures of the files that the first and the third leave

Read `problem.py` for what every program is given, `torch_programs` for the competitors,
`ours.py` for our own calls, `floor.py` for what no program can beat, and `turns.py` for how
times are compared.
"""
