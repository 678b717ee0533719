"""The documentation agrees with the repository: its size, paths, names and numbers, and its site."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from cpvae_jax.commands.job import Folders
from cpvae_jax.storage.run_folder import result
from experiments import generation, sweep, table1
from tests.docs.pages import PAGES, README, ROOT, inline, name, paragraphs, shell

LIMIT = 8192
"""The most bytes of the README."""

PATH = re.compile(
    r"(?<![\w./-])(?:cpvae_jax|experiments|benchmarks|examples|tests|docs|results)/[\w./*-]*"
)
"""A path in the repository, possibly with stars."""

ELSEWHERE = {
    ("docs/reliability.md", "3.11"): "a version of Python",
    ("docs/results.md", "2.13"): "a version of PyTorch",
    ("docs/scaling.md", "2.13"): "a version of PyTorch",
    ("docs/results.md", "84.76"): "the paper's",
    ("docs/results.md", "114.31"): "the paper's",
    ("docs/results.md", "0.993"): "results/short/generation",
    ("docs/results.md", "0.721"): "results/short/generation",
    ("docs/results.md", "6.76"): "results/short/generation",
    ("docs/results.md", "1.35"): "one over the 0.74 of the file",
    ("docs/scaling.md", "0.92"): "results/observations/cpu-tries.json",
    ("docs/scaling.md", "0.95"): "results/observations/cpu-tries.json",
}
"""Numbers that stand beside a result file, and are not from it."""

MODELS = {
    "CP": "cp-K10",
    "CP, full covariances": "full-K10",
    "VAE": "vae-K1",
    "MG": "mg-K10",
    "VampPrior": "vp-K10",
    "HVP, two levels": "hvp-K10",
}
"""Rows of the README's table, and the names of their files."""


def test_the_readme_is_short():
    assert len(README.read_bytes()) <= LIMIT


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_path_on_a_page_exists(page):
    """Paths that a command writes to are checked too: their results are in the repository."""
    for path in PATH.findall(page.read_text()):
        path = path.rstrip(".")
        assert list(ROOT.glob(path.rstrip("/"))), f"{name(page)} names {path}"


def test_the_anchors_of_the_readme_s_links_exist():
    """Those of the site's own pages are checked when it is built."""
    for page, anchor in re.findall(r"\]\((docs/[\w-]+\.md)#([\w-]+)\)", README.read_text()):
        headings = re.findall(r"^#+ (.*)", (ROOT / page).read_text(), re.MULTILINE)
        slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert anchor in slugs, f"{page}#{anchor}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name)
def test_every_name_of_the_package_on_a_page_exists(page):
    """The changelog is left out, because it names what is gone."""
    for found in re.findall(r"`(cpvae_jax(?:\.\w+)+)", page.read_text()):
        home, _, last = found.rpartition(".")
        there = hasattr(importlib.import_module(home), last)
        assert there or importlib.util.find_spec(found), f"{name(page)} names {found}"


def numbers(value):
    """All numbers in the contents of a JSON file."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, int | float):
        yield value


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_numbers_beside_a_result_file_are_in_it(page):
    """Every number with two decimals or more, in a paragraph or a row that names JSON files."""
    for paragraph in paragraphs(page):
        files = re.findall(r"`(?:results/)?([\w./-]+\.json)`", paragraph)
        files = [ROOT / "results" / file for file in files if (ROOT / "results" / file).is_file()]
        known = [abs(number) for file in files for number in numbers(json.loads(file.read_text()))]
        for text in re.findall(r"(?<![\w.^])\d+\.\d\d+(?![\w.])", paragraph) if files else []:
            decimals = len(text.partition(".")[2])
            there = any(f"{number:.{decimals}f}" == text for number in known)
            assert there or (name(page), text) in ELSEWHERE, (text, paragraph)


def spread(values, decimals):
    return f"{np.mean(values):.{decimals}f} ± {np.std(values, ddof=1):.{decimals}f}"


def test_the_readme_s_table_is_that_of_the_files():
    lines = [line for line in README.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows = [row for row in rows if len(row) == 5 and " ± " in row[1]]
    assert [row[0] for row in rows] == list(MODELS)
    for model, bound, paper, accuracy, frechet in rows:
        cell = MODELS[model]
        files = sorted((ROOT / "results/short").glob(f"mnist-{cell}-seed*.json"))
        scores = [result(file) for file in files]
        drawn = (ROOT / "results/short/generation" / file.name for file in files)
        draws = [result(file) for file in drawn if file.exists()]
        assert len(scores) >= len(draws) == 3
        assert bound == spread([-one["test_bound"]["mean"] for one in scores], 2)
        assert frechet == spread([one["frechet"]["mean"] for one in draws], 2)
        papers = table1.PAPER[cell.split("-")[0]][0]
        assert paper == ("" if papers is None else f"{papers:.2f}")
        found = [one["clustering"]["accuracy_hungarian"] for one in scores if cell != "vae-K1"]
        assert accuracy.removesuffix(" (paper: 0.946)") == (spread(found, 3) if found else "")


def test_the_tables_of_the_results_are_those_that_the_programs_print():
    text = (ROOT / "docs/results.md").read_text()
    options = sweep.SweepOptions(results=ROOT / "results/short")
    printed = table1.tables(sweep.of(options, Folders())).split("\n\n")
    titles = ("Negative true bound", "Nats by which", "Test log-likelihood")
    tables = [table for title, table in pairwise(printed) if title.startswith(titles)]
    assert len(tables) == len(titles)
    tables.append(generation.tables(ROOT / "results/short/generation"))
    for row in "\n".join(tables).splitlines():
        assert row in text


def test_the_accuracies_of_k_means_are_those_of_the_file():
    """docs/choosing.md computes the first of the ten, and another test runs that."""
    found = json.loads((ROOT / "results/observations/kmeans-digits.json").read_text())
    accuracies = found["accuracy_hungarian"]
    assert len(accuracies) == len(found["random_state"]) == 10
    assert found["accuracy_hungarian_mean"] == pytest.approx(np.mean(accuracies))
    text = (ROOT / "docs/choosing.md").read_text()
    assert f"hungarian_accuracy(categories, digits.test_labels))  # {accuracies[0]}\n" in text
    assert f"give {min(accuracies)} to {max(accuracies)}, with a mean of 0.790" in text


def test_the_readme_prints_the_command_and_the_scores_of_the_published_files():
    """The picture and the numbers come from the command that the README prints, with ten seeds."""
    files = sorted((ROOT / "results/clusters").glob("mnist-cp-K10-seed*.json"))
    found, text = [result(file) for file in files], README.read_text()
    assert sorted(scores["seed"] for scores in found) == list(range(10))
    for scores in found:
        assert (scores["config"]["dataset"], scores["schedule"]) == ("mnist", "modes")
        assert scores["config"]["model"]["K"] == 10
    printed = ["python", "-m", "experiments.run", "--dataset", "mnist", "--K", "10"]
    assert printed in shell(README) + inline(README)
    accuracies = [scores["clustering"]["accuracy_hungarian"] for scores in found]
    bounds = [-scores["test_bound"]["mean"] for scores in found]
    spread = np.std(accuracies, ddof=1)
    assert (
        f"**{np.mean(accuracies):.3f}** ± {spread:.3f} (worst seed {min(accuracies):.3f};" in text
    )
    assert f"bound of {np.mean(bounds):.2f} ± {np.std(bounds, ddof=1):.2f} " in text
    for baseline in ("kmeans", "mixture"):
        assert f"{found[0]['baselines'][baseline]['accuracy_hungarian']:.3f}" in text


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is missing, so the site is NOT checked; pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert (tmp_path / "api/training/index.html").exists()
