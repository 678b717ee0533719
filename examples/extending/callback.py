"""The callback "categories": says now and then how many categories the best model so far uses."""

import numpy as np

from cpvae_jax.training import callbacks


class Categories(callbacks.Callback):
    """Prints the best validation bound, and how many categories have q(c) above 0.1 / K.

    Args:
      every: epochs between two lines.
      enough: a bound in nats at which training may end.
    """

    def __init__(self, every=10, enough=np.inf):
        self.every, self.enough = every, enough

    def epoch(self, run):
        if run.epoch % self.every == 0:
            self.show(run)
        if run.best_bound >= self.enough:
            run.stop(f"a validation bound of at least {self.enough:g} nats")

    def end(self, run):
        if run.epoch % self.every:
            self.show(run)

    def show(self, run):
        params = run.best()
        used = int(np.sum(params.aggregate > 0.1 / params.config.K))
        print(f"epoch {run.epoch}: {run.best_bound:.2f} nats, {used} categories in use", flush=True)


callbacks.register("categories", Categories)
