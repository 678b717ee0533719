"""One plug-in file for each seam, copied outside the package and trained with by command."""

import itertools
import json
import runpy
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.stats import nbinom

import cpvae_jax
from cpvae_jax import Config, Training, UserError, models
from cpvae_jax.commands import sample
from cpvae_jax.registry import (
    CALLBACKS,
    LIKELIHOODS,
    NETWORKS,
    OBJECTIVES,
    POSTERIORS,
    PRIORS,
    RECIPES,
    REGULARISERS,
    VIEWS,
)
from cpvae_jax.storage.run_folder import CONFIG, LOG
from cpvae_jax.training import recipe
from experiments import run
from tests.running import message

FILES = Path(__file__).parents[2] / "examples" / "extending"
SMALL = [
    "--recipe",
    "paper",
    "--K",
    "3",
    "--latent",
    "2",
    "--hidden",
    "8",
    "--warmup",
    "2",
    "--quiet",
]
SEAMS = {
    "network": (NETWORKS, "strided"),
    "posterior": (POSTERIORS, "planar"),
    "prior": (PRIORS, "tied"),
    "likelihood": (LIKELIHOODS, "negative-binomial"),
    "objective": (OBJECTIVES, "beta-vae"),
    "regulariser": (REGULARISERS, "steady"),
    "view": (VIEWS, "mirror"),
    "recipe": (RECIPES, "steps"),
    "callback": (CALLBACKS, "categories"),
}
OF_THE_MODEL = ("network", "posterior", "prior", "likelihood")


@pytest.fixture(autouse=True)
def _no_parts_left():
    """No test leaves the parts of the examples behind."""
    yield
    forget()


@pytest.fixture(scope="module")
def x():
    """Images of 5 x 6 grey levels with a bright pair of rows, of three kinds."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 9, (120, 5, 6))
    for index, image in enumerate(images):
        image[index % 3 : index % 3 + 2] += 90
    return images.astype(np.uint8)


@pytest.fixture(scope="module")
def data(x, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    np.savez(path, x=x)
    return path


def plug_ins(folder, seams):
    """Copies of examples in a folder outside the package, as a command takes them."""
    copies = [shutil.copy(FILES / f"{seam}.py", folder / f"{seam}.py") for seam in seams]
    return ["--extend", *map(str, copies)]


def train(data, out, *arguments):
    """Train by command; returns the epochs of the log."""
    assert run.main(["--dataset", str(data), "--out", str(out), *SMALL, *arguments]) == 0
    return [json.loads(line) for line in (out / LOG).read_text().splitlines()]


def forget():
    """Remove the parts of the examples."""
    for table, name in SEAMS.values():
        table.forget(name)


def register(seam):
    """Run an example in this process."""
    runpy.run_path(str(FILES / f"{seam}.py"))


@pytest.mark.parametrize("seam", SEAMS)
def test_each_file_is_short_and_registers_its_part(seam):
    table, name = SEAMS[seam]
    assert name not in table
    register(seam)
    assert name in table
    lines = (FILES / f"{seam}.py").read_text().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert f'"{name}"' in lines[0], "the docstring says the name"


def test_there_is_one_file_for_each_seam():
    assert {path.stem for path in FILES.glob("*.py")} == set(SEAMS)


@pytest.mark.slow
@pytest.mark.parametrize("seam", OF_THE_MODEL)
def test_a_part_of_the_model_by_command(seam, data, tmp_path, capsys):
    """It trains with `--extend`, and the trained model needs the file to load and to sample."""
    (table, name), out = SEAMS[seam], tmp_path / "run"
    lines = train(data, out, *plug_ins(tmp_path, [seam]), "--epochs", "2", f"--{seam}", name)
    assert all(np.isfinite(line["valid_bound"]) for line in lines)
    assert (out / "pictures" / "samples.png").exists()
    table.forget(name)
    capsys.readouterr()
    draw = [str(out), "--category", "1", "--num", "4", "--out", str(tmp_path / "samples.npz")]
    assert sample.main(draw) == 2
    assert "--extend" in message(capsys)
    (tmp_path / "again").mkdir()  # another file, because a process runs each file once
    assert sample.main([*draw, *plug_ins(tmp_path / "again", [seam])]) == 0
    with np.load(tmp_path / "samples.npz") as found:
        assert found["x"].shape == (4, 5, 6)
        assert np.isfinite(found["x"]).all()
    params = cpvae_jax.load(out)
    assert getattr(params.config, seam) == name
    if seam == "prior":
        log_var = np.asarray(models.parts.components(params).log_var)
        assert np.abs(log_var).max() > 0
        np.testing.assert_array_equal(log_var, np.broadcast_to(log_var[0], log_var.shape))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run of 11 epochs with all parts of training: its log, its record and what it printed."""
    folder = tmp_path_factory.mktemp("plug-ins")
    files = plug_ins(folder, [seam for seam in SEAMS if seam not in OF_THE_MODEL])
    names = ["--recipe", "steps", "--objective", "beta-vae", "--callback", "categories"]
    names += ["--view", "mirror", "--regulariser", "steady=2", "consistency=3"]
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("builtins.print", lambda *words, **how: printed.append(" ".join(words)))
        lines = train(data, folder / "run", *files, *names, "--epochs", "11")
    forget()
    return lines, json.loads((folder / "run" / CONFIG).read_text()), printed


@pytest.mark.slow
def test_the_objective_by_command(trained):
    """The loss is that of the mean terms, at the weight of this step: an epoch has one step."""
    register("objective")
    weight = OBJECTIVES["beta-vae"].__globals__["WEIGHT"]
    assert trained[0][0]["beta"] < 1 < weight
    for line in trained[0]:
        kl = line["train_kl_c"] + line["train_kl_z"]
        loss = weight * line["beta"] * kl - line["train_reconstruction"]
        loss += 2 * line["train_steady"] + 3 * line["train_consistency"]
        assert line["train_loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.slow
def test_the_regulariser_by_command(trained):
    """It is in the log; `test_the_objective_by_command` finds it in the loss."""
    assert all(line["train_steady"] > 0 for line in trained[0])


def test_the_view_by_command(trained):
    lines, record, _ = trained
    assert record["training"]["view"] == "mirror"
    assert all(line["train_consistency"] > 0 for line in lines)


def test_the_view_mirrors_about_half_of_the_images(x):
    register("view")
    found = np.asarray(VIEWS["mirror"](jax.random.key(0), x))
    mirrored = np.all(found == x[:, :, ::-1], axis=(1, 2))
    assert np.all(mirrored | np.all(found == x, axis=(1, 2)))
    assert 0.25 < mirrored.mean() < 0.75


def test_the_recipe_by_command(trained):
    lines, record, _ = trained
    assert record["training"]["learning_rate"] == 3e-3
    assert len(lines) == 11, "a flag overrides the recipe"


def test_the_callback_by_command(trained):
    found = [line for line in trained[2] if "categories in use" in line]
    assert [line.split(":")[0] for line in found] == ["epoch 10", "epoch 11"]


@pytest.mark.slow
def test_parts_registered_in_python_together_on_two_levels(x):
    for seam in (*OF_THE_MODEL, "callback"):
        register(seam)
    parts = {seam: SEAMS[seam][1] for seam in OF_THE_MODEL}
    config = Config(shape=x.shape[1:], K=3, latent=2, hidden=(8,), levels=2, **parts)
    assert config.model == "htied"
    callback = CALLBACKS["categories"](enough=-1e6)
    result = cpvae_jax.fit(
        jax.random.key(0), config, x, recipe=Training(epochs=5), callbacks=[callback]
    )
    assert len(result.history) == 1
    assert np.isfinite(result.history[0]["train_loss"])
    assert "at least" in result.stopped


@pytest.mark.parametrize(("shape", "levels"), [((4, 4), 1), ((5, 6), 2), ((3, 7, 2), 1)])
def test_the_network_takes_images_of_any_size(shape, levels):
    register("network")
    config = Config(shape=shape, K=3, latent=2, hidden=(8,), network="strided", levels=levels)
    params = cpvae_jax.initialise(jax.random.key(0), config)
    x = np.random.default_rng(0).random((4, *shape))
    assert cpvae_jax.reconstruct(params, x).shape == x.shape
    assert cpvae_jax.sample(params, jax.random.key(1), category=2, num=5).shape == (5, *shape)


def test_the_network_sees_a_shift_less_than_the_order_of_pixels():
    """Its first layer is a convolution: the features of a shifted image are shifted ones."""
    register("network")
    config = Config(shape=(16, 16), K=3, network="strided")
    network = NETWORKS["strided"]
    weights = network.init_encoder(jax.random.key(0), config)
    image = np.zeros((1, 16, 16), np.float32)
    image[0, 4:8, 4:8] = 1
    h, moved = (
        np.asarray(network.encode(config, weights, x)).reshape(4, 4, 64)
        for x in (image, np.roll(image, 4, axis=2))
    )
    np.testing.assert_allclose(moved[:, 1:3], h[:, 0:2], atol=1e-5)
    assert np.abs(h[:, 0:2]).max() > 0.01


def test_the_network_refuses_what_is_no_image():
    register("network")
    with pytest.raises(UserError, match=r"takes images, but the shape is \(7,\)"):
        Config(shape=(7,), network="strided")


def test_the_density_of_the_posterior_integrates_to_one():
    """log q(z|x, c) at the draws, against the density of the bent Gaussian by its histogram."""
    register("posterior")
    family = POSTERIORS["planar"]
    weights = {"w": np.array([1.5]), "u": np.array([-1.3]), "b": np.array(0.4)}
    conditional = (np.array([[0.3]]), np.array([[0.2]]))
    z, log_q = family.sample(weights, jax.random.key(0), conditional, 200_000)
    z, log_q = np.asarray(z)[:, 0, 0], np.asarray(log_q)[:, 0]
    edges = np.quantile(z, np.linspace(0.05, 0.95, 19))
    for low, high in itertools.pairwise(edges):
        inside = (low < z) & (z < high)
        # The mean of 1 / q over the draws in an interval is its length over its probability.
        length = np.mean(np.exp(-log_q) * inside)
        error = np.std(np.exp(-log_q) * inside) / len(z) ** 0.5
        assert abs(length - (high - low)) < 6 * error + 1e-4


def test_the_means_of_the_prior_start_at_encoded_examples(x):
    register("prior")
    config = Config(shape=x.shape[1:], K=3, latent=2, hidden=(8,), prior="tied")
    params = cpvae_jax.initialise(jax.random.key(0), config, x)
    gaussians = models.parts.components(params)
    encode = models.parts.gaussian(params)
    of_all = np.asarray(encode(np.asarray(x, np.float32) / 255)[0])
    for mean in np.asarray(gaussians.mean):
        assert np.abs(mean).max() > 1e-3
        assert np.abs(of_all - mean).max(axis=1).min() < 1e-5
    np.testing.assert_array_equal(gaussians.log_var, np.zeros((3, 2)))
    with pytest.raises(UserError, match="give initialise some data"):
        cpvae_jax.initialise(jax.random.key(0), config)


def test_the_likelihood_is_the_negative_binomial(assert_mean):
    register("likelihood")
    likelihood = LIKELIHOODS["negative-binomial"]
    config = Config(shape=(3,), K=2, latent=1, hidden=(8,), likelihood="negative-binomial")
    own = likelihood.init(jax.random.key(0), config, None)
    output = np.array([[1.2, 0.5], [-0.3, 1.5], [2.0, -0.7]])
    m, r = np.exp(7 * np.tanh(output / 7)).T
    counts = np.array([[0, 1, 12], [3, 0, 40]], np.float32)
    expected = nbinom.logpmf(counts, r, r / (r + m)).sum(axis=1)
    found = likelihood.log_prob(config, own, np.stack([output] * 2), counts)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    draws = likelihood.sample(config, own, jax.random.key(1), np.stack([output] * 20_000))
    assert_mean(draws, m)
    np.testing.assert_allclose(likelihood.mean(config, own, output), m, rtol=1e-5)
    with pytest.raises(UserError, match="not counts"):
        cpvae_jax.initialise(jax.random.key(0), config, counts + 0.5)


def test_the_regulariser_moves_the_encoder_alone(x):
    register("regulariser")
    regulariser = REGULARISERS["steady"](Training())
    config = Config(shape=x.shape[1:], K=3, latent=2, hidden=(8,))
    params = cpvae_jax.initialise(jax.random.key(0), config)
    grey = np.asarray(x, np.float32) / 255

    def value(weights):
        model = params.replace(weights=weights)
        encoding = models.of(config).infer(model, grey)
        return regulariser(model, jax.random.key(1), grey, encoding)

    found, gradient = jax.value_and_grad(value)(params.weights)
    assert found > 0
    moved = {name for name, tree in gradient.items() if any(map(np.any, jax.tree.leaves(tree)))}
    assert moved == {"encoder", "heads"}


def test_the_recipe_gives_data_of_any_size_the_same_steps():
    register("recipe")
    config = Config(shape=(4,))
    small, large = (recipe.resolve("steps", config, number) for number in (1000, 50_000))
    assert small.epochs * 1000 == large.epochs * 50_000
    assert recipe.resolve("steps", Config(shape=(4,), levels=2), 1000).learning_rate == 1e-3
