"""Pen strokes: a CSV file of numbers, the number of categories, and strokes drawn from each.

    python examples/pendigits.py pendigits.csv --out strokes.png

The file is the data set "pen-based recognition of handwritten digits" of UCI: 10,992 rows with the
positions of the pen at eight moments (x0, y0, ..., x7, y7; 0 to 100), and the digit in the column
class. The program fits more categories than there may be, merges those that the model itself mixes
up, and draws new strokes from each of the others. The digits serve for the comparison only.
"""

import argparse
import sys

import jax
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

import cpvae_jax
from cpvae_jax import data
from cpvae_jax.evaluation.clustering import majority_accuracy


def draw(strokes, digits, path):
    """Writes strokes [rows, columns, 16], a row for each category, named by its digit."""
    rows, columns = strokes.shape[:2]
    figure, axes = plt.subplots(rows, columns, figsize=(0.5 * columns, 0.5 * rows), squeeze=False)
    for row, digit, each in zip(axes, digits, strokes, strict=True):
        for place, stroke in zip(row, each, strict=True):
            x, y = stroke.reshape(8, 2).T
            place.plot(x, y, color="0.2", linewidth=1)
            place.plot(x[0], y[0], "o", color="tab:red", markersize=2)  # where the pen starts
            place.set(xlim=(-15, 115), ylim=(-15, 115), aspect="equal", xticks=[], yticks=[])
            place.axis("off")
        row[0].text(-70, 30, str(digit))
    figure.savefig(path, dpi=80, bbox_inches="tight")
    plt.close(figure)


def main(path, K=20, epochs=None, out=None):
    """Prints the size and the digit of each category; returns the choice and the strokes."""
    pen = data.load(path, label_column="class")
    print(pen.source.splitlines()[0])
    config = cpvae_jax.Config(
        shape=pen.shape, K=K, latent=8, hidden=(128, 128), likelihood="gaussian"
    )
    recipe = "modes" if epochs is None else cpvae_jax.Training(epochs=epochs, warmup=1)
    found = cpvae_jax.select(
        jax.random.key(0), config, pen.train, pen.valid, K=[K], recipe=recipe, callbacks=[]
    )
    print(f"{K} categories, of which {found.categories} are left after merging")

    known = np.argmax(cpvae_jax.predict(found.params, pen.train), axis=1)
    categories = np.argmax(cpvae_jax.predict(found.params, pen.test), axis=1)
    names, digits = np.unique(pen.train_labels), []
    for category in range(found.categories):
        counts = np.array([np.sum(pen.train_labels[known == category] == name) for name in names])
        digit = names[counts.argmax()] if counts.sum() else "?"
        share = counts.max() / max(1, counts.sum())
        print(f"category {category}: {counts.sum():5} rows, {share:.0%} of them {digit}")
        digits.append(digit)
    accuracy = majority_accuracy(
        categories, pen.test_labels, fit_categories=known, fit_labels=pen.train_labels
    )
    print(f"accuracy of the test rows by the digit of their category {accuracy:.3f}")

    strokes = np.stack(
        [
            cpvae_jax.sample(found.params, jax.random.key(category), category=category, num=12)
            for category in range(found.categories)
        ]
    )
    if out:
        draw(strokes, digits, out)
    return found, strokes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("path", help="pendigits.csv")
    parser.add_argument("--K", type=int, default=20, help="categories before merging")
    parser.add_argument("--epochs", type=int, help="by default the recipe's")
    parser.add_argument("--out", help="picture to write")
    main(**vars(parser.parse_args(sys.argv[1:])))
