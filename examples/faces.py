"""Faces: groups of photographs of any size in a folder, and new pictures of each group.

    python examples/faces.py folder/of/photographs --resize 24 --out faces.png

Without a folder the program writes one with the 200 small pictures that the package scikit-image
ships: 100 faces of "Labeled Faces in the Wild", and 100 other cuts of photographs.
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import jax
import numpy as np
from PIL import Image

import cpvae_jax
from cpvae_jax import data
from cpvae_jax.evaluation.clustering import hungarian_accuracy


def example_folder(folder):
    """Writes the pictures of scikit-image, faces and others in a subfolder each."""
    from skimage.data import lfw_subset

    for number, pixels in enumerate(lfw_subset()):
        path = Path(folder, "face" if number < 100 else "other", f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(255 * pixels)).save(path)
    return folder


def picture(rows, path, zoom=3):
    """Writes pictures [rows, columns, H, W] or [rows, columns, H, W, 3] with levels 0 to 255."""
    gap = [(0, 0), (0, 0), (1, 1), (1, 1)] + [(0, 0)] * (rows.ndim - 4)
    framed = np.pad(np.uint8(np.clip(rows, 0, 255)), gap, constant_values=255)
    lines = [np.concatenate(list(row), axis=1) for row in framed]
    image = Image.fromarray(np.concatenate(lines, axis=0))
    image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST).save(path)


def main(folder=None, resize="24", K=2, epochs=None, out=None):
    """Prints how large the groups are; returns the model and samples [K, 12, ...]."""
    if folder is None:
        folder = example_folder(tempfile.mkdtemp())
    with warnings.catch_warnings(action="ignore"):  # the source, printed below, says it too
        photographs = data.load(folder, resize=resize)
    print(photographs.source)
    config = cpvae_jax.Config(
        shape=photographs.shape, K=K, latent=20, hidden=(128, 128), likelihood="gaussian"
    )
    recipe = "modes"
    if epochs is not None:
        recipe = cpvae_jax.Training(epochs=epochs, warmup=1, temperature_epochs=1)
    train, test = photographs.train, photographs.test
    found = cpvae_jax.fit(
        jax.random.key(0), config, train, photographs.valid, recipe=recipe, callbacks=[]
    )
    params = found.params

    categories = np.argmax(cpvae_jax.predict(params, train), axis=1)
    for category in range(K):
        print(f"category {category}: {np.sum(categories == category)} photographs")
    bound = cpvae_jax.bound(params, jax.random.key(1), test).bound
    print(f"bound of {len(test)} other photographs {np.mean(bound):.1f} nats")
    if photographs.train_labels is not None and len(photographs.class_names) == K:
        accuracy = hungarian_accuracy(categories, photographs.train_labels)
        print(f"agreement with the subfolders {accuracy:.3f}")

    samples = np.stack(
        [
            cpvae_jax.sample(params, jax.random.key(2 + category), category=category, num=12)
            for category in range(K)
        ]
    )
    if out:  # a row of samples for each category
        picture(samples, out)
    return params, samples


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", help="folder of photographs")
    parser.add_argument("--resize", default="24", help="size to bring all to, 24 or WIDTHxHEIGHT")
    parser.add_argument("--K", type=int, default=2, help="number of categories")
    parser.add_argument("--epochs", type=int, help="epochs to train, by default the recipe's")
    parser.add_argument("--out", help="picture to write")
    main(**vars(parser.parse_args(sys.argv[1:])))
