"""Ink or photographs: which kind of data grey levels are, judged by their histogram."""

import numpy as np

from cpvae_jax.data.rows import Rows

SAMPLE = 10_000
"""Examples that are looked at in `Rows`, enough for a histogram."""

MID = (0.1, 0.9)
"""Levels between these, black being 0 and white 1, are mid-grey."""

MOST_MID = 0.5
"""The largest share of mid-grey pixels in ink. Observed: 9% in MNIST and Omniglot, 35% in the 8 by 8
digits, 40% in Fashion-MNIST; 67 and 83% in the two photographs that scikit-learn has."""

LEAST_CONTRAST = 0.25
"""The smallest contrast of ink: the variance of its levels, as a share of the variance of pixels
that are drawn black or white by these levels. Observed: 0.84 in MNIST, 0.74 in Omniglot, 0.67 in
the digits, 0.61 in Fashion-MNIST. Below, three quarters of what is drawn is noise."""


def of(x: np.ndarray | Rows) -> tuple[str, str]:
    """Returns the kind of data that grey levels are, and a sentence that gives the reason.

    Ink lies near black and white, so that its pixels can be drawn black or white by their levels.
    In photographs most pixels are mid-grey, and pixels drawn by them would be noise.

    Args:
      x: Examples `[N, *shape]`, uint8 from 0 to 255 or floats from 0 to 1.

    Returns:
      "grey" for ink and "real" for photographs, as in `Dataset.kind`; and the reason.

    >>> of(np.array([[0, 0, 255], [0, 250, 255]], np.uint8))[0]
    'grey'
    >>> of(np.array([[90, 100, 120], [80, 60, 140]], np.uint8))
    ('real', '100% of the values are mid-grey, as in photographs: they are taken for real numbers.')
    """
    mid, contrast = _statistics(x.sample(SAMPLE) if isinstance(x, Rows) else x)
    share = f"{mid:.0%} of the values are mid-grey"
    if mid >= MOST_MID:
        return "real", f"{share}, as in photographs: they are taken for real numbers."
    if contrast < LEAST_CONTRAST:
        return "real", (
            "The levels differ too little to be drawn black or white, as ink is: they are taken for "
            "real numbers."
        )
    return "grey", f"{share}, the others nearly black or white: they are taken for ink."


def _statistics(x: np.ndarray) -> tuple[float, float]:
    """Returns the share of mid-grey values, and their contrast; 1 if all are black or all white."""
    if x.dtype == np.uint8:
        levels = np.arange(256) / 255
        share = np.bincount(x.reshape(-1), minlength=256) / x.size
        mid = share[(levels > MID[0]) & (levels < MID[1])].sum()
        mean = share @ levels
        variance = share @ (levels - mean) ** 2
    else:
        mid = ((x > MID[0]) & (x < MID[1])).mean()
        mean, variance = x.mean(dtype=np.float64), x.var(dtype=np.float64)
    drawn = mean * (1 - mean)
    return float(mid), float(variance / drawn) if drawn > 0 else 1.0
