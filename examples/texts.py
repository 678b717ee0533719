"""Texts: what groups of documents are about, from counts of words.

    python examples/texts.py

The documents are docstrings of Python's standard library, which every Python has: those of at least
twenty words, from packages about e-mail, calendars, numbers, windows, files, tests and networks. A
CountVectorizer counts the words. Every word is a column of the kind "count", and so has a negative
binomial distribution: rare and common words count alike, and nothing needs to be weighted first. The
package of a docstring serves for the comparison only.
"""

import argparse
import ast
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import normalized_mutual_info_score

from cpvae_jax import CPVAE

TOPICS = {
    "e-mail": ("email", "mailbox.py", "smtplib.py", "imaplib.py"),
    "numbers": ("decimal.py", "_pydecimal.py", "fractions.py", "statistics.py", "random.py"),
    "windows": ("tkinter", "turtle.py"),
    "files": ("pathlib.py", "shutil.py", "os.py", "tempfile.py", "tarfile.py", "zipfile.py"),
    "tests": ("unittest", "doctest.py"),
    "networks": ("asyncio", "socketserver.py", "selectors.py", "ssl.py", "http", "urllib"),
}
PARTS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(words=20):
    """The docstrings of some words or more, and the topic of each."""
    library, texts, topics = Path(sysconfig.get_path("stdlib")), [], []
    for topic, names in TOPICS.items():
        for name in names:
            path = library / name
            for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                if "test" in file.relative_to(library).parts or not file.is_file():
                    continue
                for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                    text = (isinstance(node, PARTS) and ast.get_docstring(node)) or ""
                    if len(text.split()) >= words:
                        texts.append(text)
                        topics.append(topic)
    return texts, np.array(topics)


def telling(model, counts, most=8):
    """The words of each category that are more frequent there than elsewhere, by log-odds."""
    found = {}
    for category in range(model.n_categories):
        here = counts[model.labels_ == category].sum() + 0.5
        there = counts[model.labels_ != category].sum() + 0.5
        share, share_there = here / here.sum(), there / there.sum()
        score = share * np.log(share / share_there)  # frequent words first, among the telling ones
        found[category] = score.sort_values(ascending=False).index[:most].tolist()
    return found


def main(epochs=None, words=200, K=6):
    """Prints the words and topics of each category; returns the model and the words."""
    texts, topics = docstrings()
    counter = CountVectorizer(
        stop_words="english", max_features=words, max_df=0.3, token_pattern=r"[a-zA-Z]{3,}"
    )
    counts = pd.DataFrame(
        counter.fit_transform(texts).toarray(), columns=counter.get_feature_names_out()
    )
    print(f"{len(counts)} docstrings, {words} words, {(counts == 0).to_numpy().mean():.0%} zeros")
    model = CPVAE(
        K,
        columns=dict.fromkeys(counts, "count"),
        training={} if epochs is None else {"epochs": epochs},
        random_state=0,
    ).fit(counts)
    found = telling(model, counts)
    for category, its_words in found.items():
        of = model.labels_ == category
        names, numbers = np.unique(topics[of], return_counts=True)
        order = np.argsort(-numbers)[:2]
        about = ", ".join(f"{numbers[i] / max(1, of.sum()):.0%} {names[i]}" for i in order)
        print(f"category {category}, {of.sum()} docstrings ({about}): {' '.join(its_words)}")
    agreement = normalized_mutual_info_score(topics, model.labels_)
    print(f"normalised mutual information with the topics {agreement:.2f}")
    return model, found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, help="epochs to train, by default the recipe's")
    main(**vars(parser.parse_args(sys.argv[1:])))
