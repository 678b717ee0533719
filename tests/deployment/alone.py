"""Runs exported programs where this library cannot be imported.

    python tests/deployment/alone.py FOLDER

Every subfolder holds an exported model and `inputs.npz`, arrays named PROGRAM/NUMBER. The outputs
go to `outputs.npz` beside them under such names, for the whole batch and, as PROGRAM/first/NUMBER,
for its first example alone.
"""

import sys
from pathlib import Path

import jax
import numpy as np
import onnxruntime

PROGRAMS = ("encoder", "decoder", "sampler")


def program(path):
    """A program as a function of arrays that returns a list of arrays."""
    if path.suffix == ".stablehlo":
        call = jax.export.deserialize(bytearray(path.read_bytes())).call
        return lambda *arrays: [np.asarray(array) for array in jax.tree.leaves(call(*arrays))]
    session = onnxruntime.InferenceSession(path)
    names = [given.name for given in session.get_inputs()]
    return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def run(folder):
    """Writes the outputs of all programs of a folder."""
    given, found = np.load(folder / "inputs.npz"), {}
    for path in folder.iterdir():
        if path.stem in PROGRAMS:
            prefix, call = f"{path.stem}/", program(path)
            arrays = [given[name] for name in sorted(given.files) if name.startswith(prefix)]
            for group, batch in (("", arrays), ("first/", [array[:1] for array in arrays])):
                for number, array in enumerate(call(*batch)):
                    found[f"{prefix}{group}{number}"] = array
    np.savez(folder / "outputs.npz", **found)


if __name__ == "__main__":
    assert not any(name.startswith("cpvae_jax") for name in sys.modules)
    sys.modules["cpvae_jax"] = None  # importing it raises ImportError
    for folder in Path(sys.argv[1]).iterdir():
        run(folder)
