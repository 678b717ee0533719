"""The recipe "steps": the same number of steps for data of any size, at a falling learning rate."""

from cpvae_jax import Training
from cpvae_jax.training import recipe

STEPS, BATCH = 10_000, 100


def training(config, examples):
    """Two levels take smaller steps. The warm-up is a tenth of the training."""
    epochs = max(1, STEPS * BATCH // examples)
    return Training(
        batch_size=BATCH,
        epochs=epochs,
        decay_epochs=epochs,
        learning_rate=1e-3 if config.levels == 2 else 3e-3,
        warmup=epochs // 10,
        temperature_epochs=epochs // 10,
        patience=epochs,  # no early stopping
    )


recipe.register("steps", recipe.Recipe(training, f"{STEPS} steps, whatever the size of the data"))
