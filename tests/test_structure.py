"""The structure of the source: layers of imports, sizes of modules, places of equations."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

import cpvae_jax

PACKAGE = Path(cpvae_jax.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
LAYERS = (
    ("commands",),
    ("estimator",),
    ("report",),
    ("api",),
    ("deployment",),
    ("training",),
    ("evaluation",),
    ("objectives",),
    ("models",),
    ("merging",),
    ("checks",),
    ("posteriors",),
    ("priors",),
    ("likelihoods",),
    ("networks",),
    ("distributions",),
    ("data",),
    ("storage",),
    ("devices", "processes"),
    ("types",),
    ("config",),
    ("columns",),
    ("values", "registry", "keys", "errors"),
)
"""From the top: a module imports from its own layer and from those below it."""

LONGEST = 300
VAGUE = {"utils", "util", "helpers", "helper", "misc", "common", "tools", "stuff", "core", "lib"}


@cache
def nodes(path):
    """All nodes of a file's syntax tree; each file is read once."""
    return list(ast.walk(ast.parse(path.read_text())))


@cache
def docstrings(path):
    """All docstrings of a file, those below attributes too."""
    return [
        str(node.value.value)
        for node in nodes(path)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]


def equations(text):
    """The numbers after "Eq.": of "Eq. (7)", and of lists such as "Eq. (10), (11) and (12)"."""
    for found in re.findall(r"Eq\. (\(\d+\)(?:(?:, | and |, and )\(\d+\))*)", text):
        yield from map(int, re.findall(r"\d+", found))


@pytest.mark.parametrize("number", range(1, 16))
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
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def edges():
    """The modules of the package that each module imports."""
    graph = {}
    for name, path in MODULES.items():
        wanted = set()
        for module in imports(path):
            if module.startswith("cpvae_jax"):
                wanted.add(module if module in MODULES else module.rpartition(".")[0])
        graph[name] = wanted - {name}
    return graph


def layer(name):
    """The layer of a module, counted from the top."""
    parts = name.split(".")[1:2]
    return next(i for i, members in enumerate(LAYERS) if parts and parts[0] in members)


def test_every_module_is_in_one_layer():
    for name in MODULES:
        if name != "cpvae_jax":
            layer(name)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "cpvae_jax"])
def test_imports_go_down_the_layers(name):
    """Nothing but the package itself imports the package's public names from the top."""
    for wanted in edges()[name]:
        assert wanted != "cpvae_jax", f"{name} imports the public interface"
        assert layer(wanted) >= layer(name), f"{name} imports {wanted}, which lies above it"


def test_the_package_imports_no_experiment_and_no_benchmark():
    for name, path in MODULES.items():
        roots = {module.split(".")[0] for module in imports(path)}
        assert not roots & {"experiments", "benchmarks", "tests", "examples"}, name


def test_imports_have_no_cycle():
    """Every module can be placed after all that it imports."""
    graph = {name: wanted - {"cpvae_jax"} for name, wanted in edges().items()}
    placed = set()
    while ready := {name for name in graph if name not in placed and graph[name] <= placed}:
        placed |= ready
    assert not set(graph) - placed


@pytest.mark.parametrize("name", MODULES)
def test_no_module_is_long_or_vague(name):
    assert len(MODULES[name].read_text().splitlines()) <= LONGEST
    assert MODULES[name].stem not in VAGUE


def test_only_a_likelihood_s_own_file_and_the_table_ask_for_its_name():
    """Any other likelihood must be able to take its place."""
    for name, path in MODULES.items():
        if name.startswith("cpvae_jax.likelihoods.") or name == "cpvae_jax.registry":
            continue
        for node in nodes(path):
            if isinstance(node, ast.Compare):
                words = {c.value for c in ast.walk(node) if isinstance(c, ast.Constant)}
                assert not words & {"bernoulli", "gaussian"}, f"{name}, line {node.lineno}"


def test_every_public_name_exists_and_is_described():
    assert sorted(cpvae_jax.__all__) == cpvae_jax.__all__
    for name in cpvae_jax.__all__:
        assert inspect.getdoc(getattr(cpvae_jax, name)), name


@pytest.mark.parametrize("name", MODULES)
def test_every_module_begins_with_what_it_is(name):
    assert ast.get_docstring(nodes(MODULES[name])[0])
