"""Penguins: clusters of a table with numbers, levels and gaps.

    python examples/penguins.py penguins.csv

The file is that of the data set palmerpenguins: 344 penguins of three species. The model sees the
measurements, the sex and the island; the species serves for the comparison only. Nothing is scaled,
encoded or filled first: each kind of column has a distribution of its own, and gaps are left out.
The columns decide what a group is: with the sex, six groups are species and sexes; without, three
are species.
"""

import argparse
import sys

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from cpvae_jax import CPVAE


def hidden_values(data, share=0.1):
    """A copy of the data with some of the known values taken out, and where they were."""
    out = (np.random.default_rng(0).random(data.shape) < share) & data.notna().to_numpy()
    return data.mask(out), pd.DataFrame(out, data.index, data.columns)


def errors_of_filling(model, data):
    """How well hidden values come back: of numbers in standard deviations, of levels as a share."""
    gaps, out = hidden_values(data)
    filled, found = model.impute(gaps), {}
    for name in data:
        true, ours, known = data[name][out[name]], filled[name][out[name]], gaps[name]
        if pd.api.types.is_numeric_dtype(true):
            simple, scale = known.mean(), data[name].std()
            found[name] = [np.sqrt(np.mean((v - true) ** 2)) / scale for v in (ours, simple)]
        else:
            found[name] = [np.mean(v != true) for v in (ours, known.mode()[0])]
    return pd.DataFrame(found, ["filled by the model", "by the mean or mode"]).T


def fitted(data, K, epochs):
    training = {} if epochs is None else {"epochs": epochs}
    return CPVAE(K, training=training, random_state=0).fit(data)


def main(path, epochs=None):
    """Prints what the categories are; returns how well they agree with species and sex."""
    penguins = pd.read_csv(path)
    data = penguins.drop(columns=["species", "year"])
    species, sex = penguins["species"], penguins["sex"].fillna("?")
    model = fitted(data, 6, epochs)
    print("kinds:", ", ".join(f"{c.name} {c.kind}" for c in model.columns_))

    print("\nSix categories of all columns, against species and sex:")
    print(pd.crosstab([species, sex], pd.Series(model.labels_, name="category")).to_string())
    print("\nThe mean penguin of each, and its most frequent island and sex:")
    groups = data.groupby(model.labels_)
    means = groups.mean(numeric_only=True).round(1)
    print(means.join(groups[["island", "sex"]].agg(lambda x: x.mode()[0])).to_string())
    print("\nTwo new penguins of each:")
    categories = np.repeat(range(6), 2)
    rows, _ = model.sample(12, category=categories)
    print(rows.set_index(pd.Index(categories, name="category")).round(1).to_string())

    print("\nPenguins with gaps, and filled:")
    gaps = data[data.isna().any(axis=1)].iloc[:3]
    print(gaps.to_string(index=False))
    print(model.impute(gaps).round(1).to_string(index=False))
    print("\nA tenth of the known values hidden before training; error of filling per column:")
    blind = fitted(hidden_values(data)[0], 6, epochs)
    print(errors_of_filling(blind, data).round(2).to_string())

    print("\nThree categories without the sex, against species:")
    without = fitted(data.drop(columns="sex"), 3, epochs)
    print(pd.crosstab(species, pd.Series(without.labels_, name="category")).to_string())
    known = sex != "?"
    both = adjusted_rand_score((species + sex)[known], model.labels_[known])
    alone = adjusted_rand_score(species, without.labels_)
    print(
        f"adjusted Rand index: six with species and sex {both:.3f}, three with species {alone:.3f}"
    )
    return both, alone


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("path", help="penguins.csv")
    parser.add_argument("--epochs", type=int, help="epochs to train, by default the recipe's")
    main(**vars(parser.parse_args(sys.argv[1:])))
