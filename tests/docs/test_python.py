"""Every block of Python in the documentation runs as printed, except that training is short.

The blocks of a page share their names and run in order, in a temporary folder. Their calls of
`cpvae_jax.fit` are limited to two epochs and to the first examples, and those of `CPVAE.fit` to two
epochs; nothing else is changed.
"""

import ast
import re
import runpy
from dataclasses import replace

import pytest

import cpvae_jax
from cpvae_jax import estimator, registry
from cpvae_jax.training import recipe as recipes
from tests.docs.pages import PAGES, ROOT, blocks, name

EPOCHS, EXAMPLES = 2, 200
SNIPPET = re.compile(r'--8<-- "(.*)"')
PRINTS = re.compile(r"print\(.*\)  # ([\d.]+)$", re.MULTILINE)
"""A number that a page says a line prints."""


class Shorter(ast.NodeTransformer):
    """Makes every call of `cpvae_jax.fit` one of `_fit`."""

    calls = 0

    def visit_Attribute(self, node):
        if ast.unparse(node) != "cpvae_jax.fit":
            return self.generic_visit(node)
        self.calls += 1
        return ast.Name("_fit", ast.Load())


def short_fit(key, config, train, valid=None, *, recipe="paper", **others):
    """`fit` of the first examples, for two epochs."""

    def training(config, examples):
        return replace(recipes.resolve(recipe, config, examples), epochs=EPOCHS)

    train = train if isinstance(train, cpvae_jax.Rows) else train[:EXAMPLES]
    short = recipes.Recipe(training, "for the tests")
    return cpvae_jax.fit(key, config, train, valid, recipe=short, **others)


@pytest.fixture
def short_estimators(monkeypatch):
    """`CPVAE.fit` trains for two epochs."""
    fit = estimator.fit

    def short(*arguments, recipe, **others):
        recipe = replace(recipe, epochs=EPOCHS, starts=1, start_epochs=2)
        return fit(*arguments, recipe=recipe, **others)

    monkeypatch.setattr(estimator, "fit", short)


def run(text, names, page):
    shorter = Shorter()
    tree = ast.fix_missing_locations(shorter.visit(ast.parse(text)))
    assert shorter.calls == text.count("cpvae_jax.fit(")
    exec(compile(tree, name(page), "exec"), names)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_the_python_of_a_page_runs(page, own_data, tmp_path, monkeypatch, capsys, short_estimators):
    for shared in ("mine.csv", "mine.npz", "folder"):
        (tmp_path / shared).symlink_to(own_data / shared)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page", "_fit": short_fit}
    for text in blocks(page, "python"):
        if not SNIPPET.match(text):
            run(text, names, page)
            printed = capsys.readouterr().out.split()
            for number in PRINTS.findall(text):
                assert number in printed


SNIPPETS = [
    (page, path)
    for page in PAGES
    for text in blocks(page, "python")
    for path in SNIPPET.findall(text)
]


@pytest.mark.parametrize(("page", "path"), SNIPPETS, ids=[path for _, path in SNIPPETS])
def test_the_file_of_a_snippet_is_named_and_runs(page, path):
    """It registers its part, or defines its functions; tests/examples trains with each of them."""
    assert f'title="{path}"' in page.read_text()
    tables = [part for part in vars(registry).values() if isinstance(part, registry.Registry)]
    before = [set(table.names()) for table in tables]
    runpy.run_path(str(ROOT / path), run_name="snippet")
    new = [
        (table, part)
        for table, known in zip(tables, before, strict=True)
        for part in set(table.names()) - known
    ]
    for table, part in new:
        table.forget(part)
    assert len(new) == ("extending" in path)
