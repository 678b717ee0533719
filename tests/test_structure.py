"""What the source text has to hold: where equations stand, and which way imports go."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import cpvae_jax

PACKAGE = Path(cpvae_jax.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
LEAVES = (
    *("errors", "config", "types", "keys", "rows", "precision", "noise", "gaussian", "categorical"),
    *("mixture", "nets", "priors", "likelihoods"),
)
ASSEMBLERS = (
    *("models", "devices", "stream", "interface", "epoch", "train", "estimate", "checkpoint"),
)


def docstrings(path):
    """All docstrings of a file, those under attributes too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


def equations(text):
    """The numbers after "Eq.": of "Eq. (7)", and of lists such as "Eq. (10), (11) and (12)"."""
    for found in re.findall(r"Eq\. (\(\d+\)(?:(?:, | and |, and )\(\d+\))*)", text):
        yield from map(int, re.findall(r"\d+", found))


@pytest.mark.parametrize("number", range(3, 16))
def test_each_equation_of_the_paper_stands_in_one_docstring(number):
    places = [
        name
        for name, path in MODULES.items()
        for text in docstrings(path)
        for found in equations(text)
        if found == number
    ]
    assert len(places) == 1, places


def test_equations_stand_nowhere_but_in_docstrings():
    for path in MODULES.values():
        in_docstrings = sum(len(list(equations(text))) for text in docstrings(path))
        assert len(list(equations(path.read_text()))) == in_docstrings, path


def imports(path):
    """Names of the modules that a file imports, `from a import b` as a.b, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name, parts):
    """Whether a dotted name is one of the given parts of the package, or inside one."""
    return any((name + ".").startswith(f"cpvae_jax.{part}.") for part in parts)


def test_the_modules_named_here_exist():
    for part in LEAVES + ASSEMBLERS:
        assert f"cpvae_jax.{part}" in MODULES


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, LEAVES)])
def test_leaves_import_nothing_of_the_package_but_leaves(name):
    """Not what assembles them, nor the package itself: `from cpvae_jax import sample`."""
    own = [module for module in imports(MODULES[name]) if module.startswith("cpvae_jax")]
    assert not [module for module in own if not within(module, LEAVES)]


def test_the_package_imports_no_experiment_and_no_benchmark():
    for name, path in MODULES.items():
        roots = {module.split(".")[0] for module in imports(path)}
        assert not roots & {"experiments", "benchmarks", "tests"}, name


def test_imports_of_the_package_form_no_circle():
    """Each module after all that it imports."""
    graph = {}
    for name, path in MODULES.items():
        wanted = set()
        for module in imports(path):
            if module.startswith("cpvae_jax"):
                wanted.add(module if module in MODULES else module.rpartition(".")[0])
        graph[name] = wanted - {"cpvae_jax"}  # the package itself, for its public names
    placed = set()
    while ready := {name for name in graph if name not in placed and graph[name] <= placed}:
        placed |= ready
    assert not set(graph) - placed


def test_every_public_name_exists_and_is_described():
    assert sorted(cpvae_jax.__all__) == cpvae_jax.__all__
    for name in cpvae_jax.__all__:
        assert inspect.getdoc(getattr(cpvae_jax, name)), name


@pytest.mark.parametrize("name", MODULES)
def test_every_module_begins_with_what_it_is(name):
    assert ast.get_docstring(ast.parse(MODULES[name].read_text()))
