"""Standard errors of means, against repeated draws."""

import numpy as np
import pytest

from cpvae_jax.evaluation.means import choice_error, controlled_error, standard_error


def test_the_standard_error_divides_by_one_less_than_the_number():
    values = np.array([1.0, 3.0, 1.0, 3.0])
    assert standard_error(values) == pytest.approx(np.sqrt(4 / 3 / 4))
    assert standard_error(np.float32(values) + np.float32(2**20)) == standard_error(values)
    assert standard_error(np.array([1, 3], np.uint8)) == 1.0


@pytest.mark.parametrize("values", [[2.0], [2.0, 2.0]])
def test_the_error_of_a_single_value_is_unknown_and_of_equal_ones_zero(values):
    found = standard_error(np.array(values))
    assert np.isnan(found) if len(values) == 1 else found == 0


def test_the_standard_error_squared_is_unbiased():
    """Five normal values: dividing by N would give 0.8 of it."""
    draws = np.random.default_rng(0).normal(size=(20_000, 5))
    squares = np.array([standard_error(x) ** 2 for x in draws])
    assert squares.mean() == pytest.approx(1 / 5, abs=5 * standard_error(squares))


def population(rng, correlation, count):
    """A control of a bound's size, and a gap that follows it."""
    control, noise = rng.normal(size=(2, count))
    gap = 6 * (correlation * control + np.sqrt(1 - correlation**2) * noise)
    return 10 * control - 90, gap + 4


@pytest.mark.parametrize("correlation", [-0.9, -0.5, 0.0, 0.5, 0.9])
@pytest.mark.parametrize("n", [20, 150])
def test_the_error_with_a_control_variate_covers_the_truth(correlation, n):
    """The mean of control + gap is −86: 95 of 100 intervals of 1.96 errors hold it."""
    rng, N, repeats = np.random.default_rng(1), 200, 2000
    estimates, errors = [], []
    for _ in range(repeats):
        control, gap = population(rng, correlation, N)
        chosen = rng.choice(N, n, replace=False)
        estimates.append(control.mean() + gap[chosen].mean())
        errors.append(controlled_error(control, gap[chosen], chosen))
    off = np.abs(np.array(estimates) + 86) / np.array(errors)
    assert np.mean(off < 1.96) == pytest.approx(0.945, abs=0.02)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(estimates), rel=0.07)


def test_the_error_with_a_control_variate_is_its_formula():
    control, gap = population(np.random.default_rng(2), 0.3, 50)
    chosen = np.arange(5, 25)
    n, N = len(chosen), len(control)
    shared = np.cov(control[chosen], gap[chosen])[0, 1]
    formula = control.var(ddof=1) / N + gap[chosen].var(ddof=1) / n + 2 * shared / N
    assert controlled_error(control, gap[chosen], chosen) == pytest.approx(np.sqrt(formula))
    everything = controlled_error(control, gap, np.arange(N))
    assert everything == pytest.approx(standard_error(control + gap))
    assert choice_error(gap, N) == 0


def test_a_gap_against_the_control_leaves_the_error_of_the_choice():
    """Few gaps that happen to cancel the control cannot make the squared error negative."""
    control = np.array([0.0, 10.0, 0.0, 1.0, 0.0, 1.0])
    gap = np.array([5.0, -5.0])
    found = controlled_error(control, gap, np.array([0, 1]))
    assert found >= choice_error(gap, 6) > 0
    assert np.isnan(controlled_error(control, gap[:1], np.array([0])))
