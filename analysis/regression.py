"""Slope and bend of a series with autocorrelated residuals.

With several seeds, ``over seeds`` decides: a t-test with each seed's least-squares slope as one
observation, which assumes nothing about the series. The other methods use one series, the mean over
the seeds, so they do not measure how seeds differ; they are printed for comparison:

* ``ordinary least squares``, the paper's method, takes the residuals as independent;
* ``Newey–West``: the same slope with standard errors that allow for autocorrelation (Bartlett's
  kernel, floor(4 (n/100)^(2/9)) lags). For short, strongly autocorrelated series they are still
  too small;
* ``AR(1) errors``: generalised least squares, with the autocorrelation estimated by restricted
  maximum likelihood and (n − 2)(1 − ρ)/(1 + ρ) degrees of freedom, since an autocorrelated series
  has fewer effective points. At ρ = 0.7 its false positive rate is the nominal 5 %; at ρ = 0.97,
  which is usual here, it is about 17 %. Tests simulate both;
* ``Theil–Sen``: the median slope of all pairs of points, with the Mann–Kendall test of a monotone
  trend in the form of Hamed and Rao, which inflates the variance for ranks autocorrelated up to
  three lags. The interval takes the points as independent.

The bend is the κ of y = a + b·x + c·max(x − κ, 0) plus errors: the inflection of Section 3.2.1,
which the paper reads off Figure 4b by eye (about 200K). For each candidate κ the other coefficients
are fitted by least squares, and the best κ has the smallest sum of squares. With several seeds its
interval is a bootstrap over seeds, and the test of no bend is a t-test over the seeds' curvatures
(the coefficient of x² in a quadratic fit), which needs no κ. With one seed both are a parametric
bootstrap with AR(1) errors.

x is the pre-training step on the paper's scale in thousands; slopes are per 1,000 steps.

``scipy.stats`` takes a second to import, so functions import it when they need it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special

from analysis.tests import CONFIDENCE, SeedDifferences, paired

LEAST_SQUARES, NEWEY_WEST, AUTOREGRESSIVE, THEIL_SEN, OVER_SEEDS = (
    "ordinary least squares",
    "Newey–West",
    "AR(1) errors",
    "Theil–Sen",
    "over seeds",
)
FEWEST_POINTS = 8
"""Fewest points for an estimate of the autocorrelation."""
FEWEST_POINTS_OF_BEND = 20
DRAWS = 999
"""Number of draws of each bootstrap."""
_RHO_BOUNDS = (-0.9, 0.99)
_RANK_LAGS = 3
_BEND_MARGIN = 0.1
"""Share of the points at each end that are excluded as candidates for the bend."""


@dataclass(frozen=True)
class Slope:
    """A slope estimated by one method.

    Attributes:
      method: name of the method.
      value, low, high: slope and its 95 % interval, in nats per 1,000 steps.
      p_value: two-sided p-value of no trend; NaN if the residuals are zero.
    """

    method: str
    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Residuals:
    """Residuals of the least-squares line, and tests of their independence and normality.

    Attributes:
      steps, values: [n] thousands of steps, and [n] residuals in nats.
      rho: autocorrelation at lag 1, by restricted maximum likelihood.
      ljung_box_p: p-value of no autocorrelation up to ``lags``.
      shapiro_p: p-value of normality.
      lags: number of lags in the Ljung–Box test.
    """

    steps: np.ndarray
    values: np.ndarray
    rho: float
    ljung_box_p: float
    shapiro_p: float
    lags: int


@dataclass(frozen=True)
class Inflection:
    """An estimated bend.

    Attributes:
      at, low, high: place of the bend and its 95 % bootstrap interval, in thousands of steps.
      before, after: slopes on both sides, in nats per 1,000 steps.
      p_value: p-value of no bend: with several seeds by their curvatures, with one by a bootstrap
        under a straight line, at least 1/(draws + 1).
      candidates: first and last candidate for ``at``, in thousands of steps.
      points: number of points fitted.
      seeds: number of series that the points are means of.
    """

    at: float
    low: float
    high: float
    before: float
    after: float
    p_value: float
    candidates: tuple[float, float]
    points: int
    seeds: int = 1

    @property
    def place(self) -> str:
        """Place of the bend in words; "or before" or "or after" at the ends of the candidates."""
        first, last = self.candidates
        beyond = {first: " or before", last: " or after"}.get(self.at, "")
        return f"{self.at:.0f}K{beyond}"

    @property
    def basis(self) -> str:
        """Description of the test of no bend, for a sentence."""
        return f"over {self.seeds} seeds" if self.seeds > 1 else "one seed, AR(1) errors"


def estimate_slopes(thousands: np.ndarray, values: np.ndarray) -> tuple[Slope, ...]:
    """Estimates the slope of one series by every method except ``over seeds``.

    Args:
      thousands: [n] steps in thousands, evenly spaced, n ≥ ``FEWEST_POINTS``.
      values: [n] values in nats, not exactly on one line.
    """
    import scipy.linalg
    from statsmodels.regression.linear_model import GLS, OLS

    n, design = len(values), _design(thousands)
    line = OLS(values, design).fit()
    lags = int(4.0 * (n / 100.0) ** (2.0 / 9.0))
    robust = line.get_robustcov_results("HAC", maxlags=lags, use_correction=True, use_t=True)
    rho = autocorrelation(thousands, values)
    generalised = GLS(values, design, sigma=scipy.linalg.toeplitz(rho ** np.arange(n))).fit()
    degrees = max(1.0, min(1.0, (1.0 - rho) / (1.0 + rho)) * (n - 2))
    return (
        _student(LEAST_SQUARES, line.params[1], line.bse[1], n - 2),
        _student(NEWEY_WEST, robust.params[1], robust.bse[1], n - 2),
        _student(AUTOREGRESSIVE, generalised.params[1], generalised.bse[1], degrees),
        _theil_sen(thousands, values),
    )


def over_seeds(slopes: Sequence[float]) -> Slope | None:
    """Tests the slopes of independent seeds by Student's t; None for a single seed.

    If all slopes are equal, p is that of the sign test (``analysis.tests.paired``).

    >>> slope = over_seeds([1.0, 2.0, 3.0])
    >>> round(slope.value, 3), round(slope.low, 3), round(slope.p_value, 3)
    (2.0, -0.484, 0.074)
    """
    if len(slopes) < 2:
        return None
    found = SeedDifferences(tuple(slopes))
    return Slope(OVER_SEEDS, found.mean, *found.interval(), found.p_value)


def residuals(thousands: np.ndarray, values: np.ndarray) -> Residuals:
    """Computes the residuals of the least-squares line, and tests its assumptions.

    Args:
      thousands, values: see :func:`estimate_slopes`.
    """
    import scipy.stats
    from statsmodels.stats.diagnostic import acorr_ljungbox

    design = _design(thousands)
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    lags = max(1, min(10, len(values) // 5))
    return Residuals(
        steps=thousands,
        values=left,
        rho=autocorrelation(thousands, values),
        ljung_box_p=float(acorr_ljungbox(left, lags=[lags])["lb_pvalue"].iloc[0]),
        shapiro_p=float(scipy.stats.shapiro(left).pvalue),
        lags=lags,
    )


def autocorrelation(thousands: np.ndarray, values: np.ndarray) -> float:
    """Estimates ρ of neighbouring errors around a line, by restricted maximum likelihood.

    The plain estimate from residuals is too small, since the fitted line follows the errors.

    Args:
      thousands, values: see :func:`estimate_slopes`.
    """
    import scipy.optimize

    design = _design(thousands)
    n, k = design.shape

    def deviance(rho: float) -> float:
        x, y = _whitened(design, rho), _whitened(values[:, None], rho)[:, 0]
        coefficients, rest, _, _ = np.linalg.lstsq(x, y, rcond=None)
        rss = float(rest[0]) if len(rest) else float(((y - x @ coefficients) ** 2).sum())
        return float(
            (n - k) * math.log(rss / (n - k))
            - math.log(1.0 - rho**2)
            + np.linalg.slogdet(x.T @ x)[1]
        )

    found = scipy.optimize.minimize_scalar(deviance, bounds=_RHO_BOUNDS, method="bounded")
    return float(found.x)


def estimate_inflection(
    thousands: np.ndarray, values: np.ndarray, *, draws: int = DRAWS, seed: int = 0
) -> Inflection:
    """Estimates the bend of a series.

    Args:
      thousands: [n] steps in thousands, evenly spaced, n ≥ ``FEWEST_POINTS_OF_BEND``.
      values: [n] values of one series in nats, or [n, seeds]; the mean over seeds is fitted.
      draws: number of draws of each bootstrap.
      seed: seed of the bootstrap's random numbers.

    >>> x = np.arange(60.0, 1001.0, 20.0)
    >>> y = 3e-4 * np.minimum(x, 200.0) - 1e-4 * np.maximum(x - 200.0, 0.0)
    >>> bend = estimate_inflection(x, y + 0.002 * np.sin(x))
    >>> bend.place, bend.before > 0.0 > bend.after, bend.p_value
    ('200K', True, 0.001)
    >>> estimate_inflection(x, np.minimum(x, 100.0) + np.sin(x)).place
    '160K or before'
    """
    x = np.asarray(thousands, dtype=float)
    by_seed = np.asarray(values, dtype=float).reshape(len(x), -1)
    y = by_seed.mean(axis=1)
    n, seeds = by_seed.shape
    edge = max(2, math.ceil(_BEND_MARGIN * n))
    [kappa], gain = best_bends(x, y[None], edge)
    design = _bent(x, kappa)
    coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
    generator = np.random.default_rng(seed)
    if seeds > 1:
        drawn = generator.integers(seeds, size=(draws, seeds))
        redrawn, _ = best_bends(x, by_seed.T[drawn].mean(axis=1), edge)
        p_value = paired(_curvatures(x, by_seed))
    else:
        line = np.linalg.qr(_design(x))[0]
        bent, straight = design @ coefficients, line @ (line.T @ y)
        redrawn, _ = best_bends(x, _redraw(x, bent, y - bent, draws, generator), edge)
        by_chance = _redraw(x, straight, y - straight, draws, generator)
        more = best_bends(x, by_chance, edge)[1] >= gain
        p_value = float((1 + more.sum()) / (draws + 1))
    low, high = np.quantile(redrawn, [0.5 - CONFIDENCE / 2.0, 0.5 + CONFIDENCE / 2.0])
    return Inflection(
        at=float(kappa),
        low=float(low),
        high=float(high),
        before=float(coefficients[1]),
        after=float(coefficients[1] + coefficients[2]),
        p_value=p_value,
        candidates=(float(x[edge]), float(x[n - edge - 1])),
        points=n,
        seeds=seeds,
    )


def best_bends(x: np.ndarray, series: np.ndarray, edge: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the best bend of each series by least squares, and the gain of that fit.

    Args:
      x: [n] steps.
      series: [m, n] values of m series.
      edge: number of points at each end that are excluded as candidates.

    Returns:
      [m] bends, as values of x; [m] shares of the straight line's sum of squares that the bend
      explains.

    >>> steps = np.arange(6.0)
    >>> best_bends(steps, np.abs(steps - 2.0)[None], edge=2)
    (array([2.]), array([1.]))
    """
    candidates = x[edge : len(x) - edge]
    bases = [np.linalg.qr(_bent(x, kappa))[0] for kappa in candidates]
    explained = np.stack([((series @ basis) ** 2).sum(axis=1) for basis in bases])
    by_line = ((series @ np.linalg.qr(_design(x))[0]) ** 2).sum(axis=1)
    left = (series**2).sum(axis=1) - by_line
    return candidates[explained.argmax(axis=0)], (explained.max(axis=0) - by_line) / left


def _design(x: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(x)), np.asarray(x, dtype=float)])


def _curvatures(x: np.ndarray, by_seed: np.ndarray) -> np.ndarray:
    """Coefficient of x² in each seed's quadratic fit, with x scaled to −1 to 1."""
    at = 2.0 * (x - x.mean()) / (x.max() - x.min())
    return np.polynomial.polynomial.polyfit(at, by_seed, 2)[2]


def _bent(x: np.ndarray, kappa: float) -> np.ndarray:
    return np.column_stack([_design(x), np.maximum(x - kappa, 0.0)])


def _whitened(columns: np.ndarray, rho: float) -> np.ndarray:
    """Transforms columns [n, k] by Prais and Winsten, which makes AR(1) errors independent."""
    out = columns.astype(float)
    out[1:] -= rho * columns[:-1]
    out[0] *= math.sqrt(1.0 - rho**2)
    return out


def _student(method: str, value: Any, error: Any, degrees: float) -> Slope:
    half = float(scipy.special.stdtrit(degrees, 0.5 + CONFIDENCE / 2.0)) * error
    tail = float(scipy.special.stdtr(degrees, -abs(value) / error)) if error else math.nan
    p_value = 2.0 * tail
    return Slope(method, float(value), float(value - half), float(value + half), p_value)


def _theil_sen(thousands: np.ndarray, values: np.ndarray) -> Slope:
    import pymannkendall
    import scipy.stats

    slope = scipy.stats.theilslopes(values, thousands, alpha=CONFIDENCE)
    # Alternating ranks would lower the variance, even below 0; the correction may only inflate it.
    with np.errstate(invalid="ignore"):
        corrected = pymannkendall.hamed_rao_modification_test(values, lag=_RANK_LAGS).p
    p_value = np.fmax(corrected, pymannkendall.original_test(values).p)
    ends = (float(slope.low_slope), float(slope.high_slope))
    return Slope(THEIL_SEN, float(slope.slope), *ends, float(p_value))


def _redraw(
    x: np.ndarray, fitted: np.ndarray, left: np.ndarray, draws: int, generator: np.random.Generator
) -> np.ndarray:
    """Draws series [draws, n] around ``fitted`` with AR(1) errors like the residuals ``left``."""
    rho = autocorrelation(x, left)
    n = len(x)
    scale = math.sqrt(float((left**2).sum()) / (n - 3))
    errors = generator.normal(size=(draws, n))
    for index in range(1, n):
        errors[:, index] = rho * errors[:, index - 1] + math.sqrt(1 - rho**2) * errors[:, index]
    return fitted + scale * errors
