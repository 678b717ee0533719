"""A model outside this library: its programs in other formats, its weights, and a card about it.

`programs` says what the encoder, the decoder and the sampler compute. `onnx_format` and
`stablehlo_format` write them. `graph`, `primitives` and `products` translate JAX's operations to
ONNX. `card` and `weights` describe a model folder. `folder` puts them together.
"""

FORMATS = ("onnx", "stablehlo")
"""Formats of the exported programs, and the endings of their files."""
