"""The picture of a choice of K."""

import matplotlib.image
import numpy as np
from matplotlib.axes import Axes

from cpvae_jax.report import selection


def test_the_curve_shows_the_paired_errors_and_the_choice(tmp_path, monkeypatch):
    bars, lines, errorbar, axvline = [], [], Axes.errorbar, Axes.axvline

    def noted(axes, x, y, **how):
        bars.append((x, y, how["yerr"]))
        return errorbar(axes, x, y, **how)

    monkeypatch.setattr(Axes, "errorbar", noted)
    monkeypatch.setattr(
        Axes,
        "axvline",
        lambda axes, x, **how: lines.append((x, how["label"])) or axvline(axes, x, **how),
    )
    table = [
        {"K": 2, "behind": 0.5, "behind_error": 0.1},
        {"K": 12, "behind": 0.0, "behind_error": float("nan")},
    ]
    selection.curve(tmp_path / "curve.png", table, 12, 10)
    ((x, y, error),) = bars
    assert x == [2, 12]
    np.testing.assert_array_equal(y, [-0.5, 0.0])
    np.testing.assert_array_equal(error, [0.1, 0.0])
    assert lines == [(12, "chosen: K = 12, merged to 10 categories")]
    assert matplotlib.image.imread(tmp_path / "curve.png").shape[0] > 100
