"""Speed, measured against PyTorch programs of the same model in the same run.

`python -m benchmarks.epoch` is the command. Read `problem.py` for what every program
is given, `torch_cpvae.py` for the competitors and `ours.py` for our own call.
"""
