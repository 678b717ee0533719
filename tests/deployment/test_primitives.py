"""Every operation that the converter covers gives in ONNX what it gives in JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cpvae_jax import UserError
from cpvae_jax.deployment import onnx_format, primitives
from cpvae_jax.deployment.programs import Input, Program

runtime = pytest.importorskip(
    "onnxruntime", reason="ONNX files are NOT run; pip install 'cpvae-jax[onnx]'"
)

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(3, 4)).astype(np.float32)
KERNEL = RNG.normal(size=(3, 2, 1, 5)).astype(np.float32)
WIDE = RNG.normal(size=(3, 3, 1, 2)).astype(np.float32)
IMAGES = ("NHWC", "HWIO", "NHWC")


def conv(x, kernel=KERNEL, strides=(1, 1), padding="SAME", **options):
    return lax.conv_general_dilated(
        x[..., None], kernel, strides, padding, dimension_numbers=IMAGES, **options
    )


@jax.custom_vjp
def relu(x):
    return jnp.maximum(x, 0)


relu.defvjp(lambda x: (relu(x), x), lambda x, g: (g * (x > 0),))

ONE = {
    "abs sign neg": lambda x: jnp.abs(x) * jnp.sign(-x),
    "ceil floor round": lambda x: jnp.ceil(3 * x) + jnp.floor(3 * x) + jnp.round(3 * x),
    "sin cos": lambda x: jnp.sin(x) + jnp.cos(x),
    "exp log sqrt": lambda x: jnp.log(1 + jnp.sqrt(jnp.exp(x))),
    "exp2 expm1 log1p": lambda x: jnp.exp2(x) + jnp.expm1(x) + jnp.log1p(x * x),
    "erf erfc": lambda x: lax.erf(x) + 2 * lax.erfc(x),
    "logistic tanh rsqrt": lambda x: jax.nn.sigmoid(x) * jnp.tanh(x) * lax.rsqrt(1 + x * x),
    "powers": lambda x: jnp.square(x) + x**2 + x**3 + jnp.abs(x) ** 1.5,
    "min max clip": lambda x: jnp.minimum(x, 0.2) + jnp.maximum(x, 0.3) + jnp.clip(x, -0.5, 0.5),
    "clamp": lambda x: lax.clamp(-0.5, x, 0.5),
    "comparisons": lambda x: sum(
        f(x, 0.1).astype(jnp.float32) * 2**n
        for n, f in enumerate((lax.lt, lax.le, lax.gt, lax.ge, lax.eq, lax.ne))
    ),
    "logic": lambda x: jnp.where((x > 0) & ~(x > 1) | (x < -1) ^ (x < -2), x, 7.0),
    "is_finite": lambda x: jnp.where(jnp.isfinite(x / jnp.maximum(x, 0)), x, 5.0),
    "gelu softplus silu": lambda x: jax.nn.gelu(x) + jax.nn.softplus(x) + jax.nn.silu(x),
    "exact gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "logsumexp softmax": lambda x: jax.nn.softmax(x) * jax.nn.logsumexp(x, axis=-1, keepdims=True),
    "reductions": lambda x: x.sum(1) + x.max(1) + x.min(1) + x.prod(1) + x.mean(1),
    "argmax argmin": lambda x: (x.argmax(1) * 10 + x.argmin(1)).astype(jnp.float32),
    "cumsum": lambda x: jnp.cumsum(x, axis=1) + lax.cumsum(x, axis=1, reverse=True),
    "transpose": lambda x: jnp.swapaxes(x, 1, 2) @ x,
    "einsum": lambda x: jnp.einsum("bij,kj->bki", x, TABLE),
    "matmul": lambda x: x @ TABLE.T,
    "outer": lambda x: jnp.einsum("bi,bj->bij", x[:, 0], x[:, 1]),
    "concatenate": lambda x: jnp.concatenate([x, x[:, ::2], jnp.ones((len(x), 1, 4))], axis=1),
    "split": lambda x: jnp.split(x, 2, axis=2)[1],
    "pad": lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=3.0),
    "reshape": lambda x: x.reshape(len(x), -1),
    "rows": lambda x: jnp.asarray(TABLE)[(x[:, 0] > 0).astype(jnp.int32)],
    "columns": lambda x: jnp.asarray(TABLE).take((x[:, 0, 0] > 0).astype(jnp.int32), axis=1).T,
    "convolution": conv,
    "strides": lambda x: conv(x, strides=(2, 2)),
    "dilation": lambda x: conv(x, padding=((1, 2), (0, 1)), rhs_dilation=(2, 1)),
    "groups": lambda x: lax.conv_general_dilated(
        conv(x), jnp.asarray(KERNEL), (1, 1), "SAME", dimension_numbers=IMAGES,
        feature_group_count=5,
    ),
    "widening": lambda x: lax.conv_transpose(x[..., None], WIDE, (2, 2), "SAME"),
    "widening by 3": lambda x: lax.conv_transpose(x[..., None], WIDE, (3, 1), "VALID"),
    "integers": lambda x: ((x * 5).astype(jnp.int32) % 2**3 + 1).astype(jnp.float32),
    "no batch": lambda x: jnp.broadcast_to(jnp.asarray(TABLE), (len(x), 3, 4)) + 0 * x,
    "constant": lambda x: jnp.ones((len(x), 2)),
    "input": lambda x: x,
    "rem": lambda x: lax.rem(5 * x, jnp.float32(2)),
    "derivative of one's own": relu,
    "checkpoint": jax.checkpoint(lambda x: jnp.sin(jnp.sin(x))),
}  # fmt: skip
"""Functions of x [B, 3, 4]."""


def program(function):
    def of_one(x):
        return function(x[None])[0]

    return Program("encoder", (Input("x", (3, 4), "float32", ""),), {"y": ""}, jax.vmap(of_one))


def run(function, x):
    session = runtime.InferenceSession(onnx_format.written(program(function)))
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("name", ONE)
def test_an_operation_is_the_same_in_onnx(name):
    for B in (1, 5):
        x = RNG.normal(size=(B, 3, 4)).astype(np.float32)
        found = run(ONE[name], x)
        np.testing.assert_allclose(found, ONE[name](x), rtol=2e-6, atol=2e-6)


def operations(jaxpr):
    """The names of all operations in a program, those of calls too."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for inner in jax.tree.leaves(list(equation.params.values())):
            if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                yield from operations(getattr(inner, "jaxpr", inner))


ALIASES = {
    *("add_any", "copy", "copy_p", "reduce_precision", "optimization_barrier"),
    "sharding_constraint",
}
"""Operations that only derivatives and other programs have; they copy or add."""


def test_every_rule_is_tested():
    seen = set()
    for function in ONE.values():
        traced = jax.make_jaxpr(program(function).function)(*program(function).shapes())
        seen |= set(operations(traced.jaxpr))
    assert set(primitives.RULES) - seen - ALIASES <= {"stop_gradient"}


UNCOVERED = {
    "lgamma": lax.lgamma,
    "sort": lambda x: jnp.sort(x, axis=1),
    "not": lambda x: (~(x * 5).astype(jnp.int32)).astype(jnp.float32),
    "pad": lambda x: lax.pad(x, 0.0, ((0, 0, 0), (-1, 0, 0), (0, 0, 1))),
    "gather": lambda x: jnp.take_along_axis(x, (x > 0).astype(jnp.int32), axis=2),
    "select_n": lambda x: lax.select_n((x > 0).astype(jnp.int32), x, -x, x),
    "round": lambda x: lax.round(x),
    "conv_general_dilated": lambda x: conv(x, padding=((-1, 0), (0, 0))),
    "while": lambda x: lax.fori_loop(0, x[0, 0, 0].astype(int), lambda _, y: y + 1, x),
}


@pytest.mark.parametrize("name", UNCOVERED)
def test_an_operation_that_is_not_covered_is_named(name):
    with pytest.raises(UserError, match=rf"^the encoder uses the operation '{name}' in a way .*"
                       r"choose the format 'stablehlo' \(--format stablehlo\)\.$"):  # fmt: skip
        onnx_format.written(program(UNCOVERED[name]))


def test_weights_beyond_the_limit_of_the_format_are_refused(monkeypatch):
    monkeypatch.setattr("cpvae_jax.deployment.graph.LARGEST", 30)
    with pytest.raises(
        UserError, match=r"has 88 bytes of weights, but an ONNX file holds at most 30;"
    ):
        onnx_format.written(program(ONE["matmul"]))
