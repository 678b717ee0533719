"""For `benchmarks.start`, which gives this file to a training by --extend and --callback marks."""

import time

from cpvae_jax.training import callbacks


class Marks(callbacks.Callback):
    """Prints the time when training starts, and when the first epoch is done."""

    def start(self, run: callbacks.Run) -> None:
        print("mark training", time.time(), flush=True)

    def epoch(self, run: callbacks.Run) -> None:
        print("mark epoch", time.time(), flush=True)


callbacks.register("marks", Marks)
