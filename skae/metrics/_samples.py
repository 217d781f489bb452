"""Measures of how well samples of a generative model resemble rows.

Distances are computed some rows at a time, in the memory that scikit-learn's setting
`working_memory` allows.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import pairwise_distances_argmin_min, pairwise_distances_chunked
from sklearn.utils import check_array

from ..losses import inverse_multiquadratic


class ModeCoverage(NamedTuple):
    """What `mode_coverage` returns.

    Attributes
    ----------
    n_modes : int
        How many modes have at least one sample within the radius.
    high_quality : float
        Fraction of the samples within the radius of a mode.
    counts : ndarray of int of shape (n_modes,)
        Number of samples within the radius of each mode and nearest to it.
    """

    n_modes: int
    high_quality: float
    counts: np.ndarray


def frechet_distance(X: Any, Y: Any) -> float:
    """Return the squared Fréchet distance of two sets of rows, each taken as a Gaussian.

    With means m and covariances C it is ``|m_X - m_Y|^2 + tr(C_X + C_Y - 2 (C_X C_Y)^(1/2))``. Of
    the features of an Inception network this is the "FID" of Heusel et al. (2017);
    here the features are whatever is given, a `transform` of rows and samples, say.

    Parameters
    ----------
    X, Y : array-like of shape (n_samples, n_features)
        Two sets of at least two rows with the same features, in the same units.

    Returns
    -------
    float
        In squared units of the features; 0 for equal means and covariances. The estimate is
        too large by an amount that falls with the number of rows: compare figures of as many.

    Raises
    ------
    ValueError
        If a set is no finite table of at least two rows, or the numbers of features differ.

    References
    ----------
    M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler and S. Hochreiter, GANs Trained by a Two
    Time-Scale Update Rule Converge to a Local Nash Equilibrium, NeurIPS 2017.

    Examples
    --------
    >>> from skae.metrics import frechet_distance
    >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]])
    9.0
    """
    X, Y = _tables(X, Y, ("X", "Y"), least=2)
    (mean_x, factor_x), (mean_y, factor_y) = _moments(X), _moments(Y)
    # The trace of the root of a product A A' B B' is the sum of the singular values of A' B.
    shared = np.linalg.svd(factor_x.T @ factor_y, compute_uv=False).sum()
    spread = np.square(factor_x).sum() + np.square(factor_y).sum() - 2 * shared
    return float(np.square(mean_x - mean_y).sum() + max(spread, 0.0))


def _moments(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean, and a factor A of the covariance A A'."""
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(X, rowvar=False)))
    return X.mean(axis=0), vectors * np.sqrt(np.clip(values, 0, None))


def parzen_log_likelihood(X: Any, samples: Any, bandwidth: float) -> np.ndarray:
    """Return the log-density of rows under a Gaussian kernel density of samples.

    It is ``log(1/n sum_j N(x; s_j, bandwidth^2 I))``, the usual stand-in for the likelihood of a
    model that can only be sampled (Goodfellow et al. 2014). It ranks models poorly (Theis et al.
    2016); choose `bandwidth` on validation rows.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        Rows to score.
    samples : array-like of shape (n_samples, n_features)
        Samples of a model.
    bandwidth : float
        Standard deviation of the kernel in each direction, in the units of the features.

    Returns
    -------
    ndarray of shape (n_rows,)
        In nats. The mean is the figure that papers report.

    Raises
    ------
    ValueError
        If an argument is no finite table, or `bandwidth` is not a finite positive number.

    See Also
    --------
    sklearn.neighbors.KernelDensity : The same by trees, quick for a few features.

    References
    ----------
    I. Goodfellow et al., Generative Adversarial Nets, NeurIPS 2014.

    L. Theis, A. van den Oord and M. Bethge, A Note on the Evaluation of Generative Models,
    ICLR 2016.

    Examples
    --------
    >>> from skae.metrics import parzen_log_likelihood
    >>> parzen_log_likelihood([[0.0]], [[0.0], [0.0]], bandwidth=1.0).round(4)
    array([-0.9189])
    """
    X, samples = _tables(X, samples, ("X", "samples"))
    bandwidth = _positive("bandwidth", bandwidth)
    n_samples, n_features = samples.shape

    def reduced(squared: np.ndarray, start: int) -> np.ndarray:
        # In place, where scipy's logsumexp takes four times the memory of the distances.
        exponent = np.divide(squared, -2 * bandwidth**2, out=squared)
        largest = exponent.max(axis=1, keepdims=True)
        exponent -= largest
        return largest[:, 0] + np.log(np.exp(exponent, out=exponent).sum(axis=1))

    log_sum = np.concatenate(list(_squared_distances(X, samples, reduced)))
    return log_sum - np.log(n_samples) - n_features / 2 * np.log(2 * np.pi * bandwidth**2)


def mode_coverage(samples: Any, modes: Any, radius: float) -> ModeCoverage:
    """Return how many known modes samples reach, and how many samples are near one.

    For a mixture of Gaussians the usual `radius` is three standard deviations
    (Srivastava et al. 2017; Lin et al. 2018). Of exact samples of a mixture in the plane,
    1.1 % lie further away.

    Parameters
    ----------
    samples : array-like of shape (n_samples, n_features)
        Samples of a model.
    modes : array-like of shape (n_modes, n_features)
        Centres of the modes.
    radius : float
        Largest Euclidean distance at which a sample belongs to a mode.

    Returns
    -------
    ModeCoverage
        A named tuple of `n_modes`, `high_quality` and `counts`.

    Raises
    ------
    ValueError
        If an argument is no finite table, or `radius` is not a finite positive number.

    References
    ----------
    A. Srivastava, L. Valkov, C. Russell, M. Gutmann and C. Sutton, VEEGAN: Reducing Mode Collapse
    in GANs using Implicit Variational Learning, NeurIPS 2017.

    Z. Lin, A. Khetan, G. Fanti and S. Oh, PacGAN: The Power of Two Samples in Generative
    Adversarial Networks, NeurIPS 2018.

    Examples
    --------
    >>> from skae.metrics import mode_coverage
    >>> coverage = mode_coverage([[0.1], [0.2], [5.0]], modes=[[0.0], [1.0]], radius=0.5)
    >>> coverage.n_modes, round(coverage.high_quality, 2), coverage.counts.tolist()
    (1, 0.67, [2, 0])
    """
    samples, modes = _tables(samples, modes, ("samples", "modes"))
    radius = _positive("radius", radius)
    centre = modes.mean(axis=0)  # far from 0 the distances would be lost to rounding
    nearest, distance = pairwise_distances_argmin_min(samples - centre, modes - centre)
    near = distance <= radius
    counts = np.bincount(nearest[near], minlength=len(modes))
    return ModeCoverage(int((counts > 0).sum()), float(near.mean()), counts)


#: Kernels by name, as functions of the squared distance and the squared scale.
_KERNELS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "rbf": lambda squared, scale: np.exp(-squared / (2 * scale)),
    "inverse_multiquadratic": inverse_multiquadratic,
}


def maximum_mean_discrepancy(
    X: Any, Y: Any, *, kernel: str = "rbf", scale: float | None = None
) -> float:
    """Return the squared maximum mean discrepancy of two sets of rows, estimated without bias.

    It is the mean kernel of two rows of `X`, plus that of two rows of `Y`, less twice that of
    a row of each (Gretton et al. 2012).

    Parameters
    ----------
    X, Y : array-like of shape (n_samples, n_features)
        Two sets of at least two rows with the same features.
    kernel : {"rbf", "inverse_multiquadratic"}, default="rbf"
        ``exp(-d^2 / (2 scale^2))`` or ``scale^2 / (scale^2 + d^2)`` of the distance d of two
        rows. The latter tells distant sets apart as well (Tolstikhin et al. 2018).
    scale : float, default=None
        Length of the kernel. None takes the root of the mean squared distance of two rows
        from both sets together.

    Returns
    -------
    float
        With an expectation of 0 for two sets from one distribution, so that it may be negative.

    Raises
    ------
    ValueError
        If a set is no finite table of at least two rows, the numbers of features differ, or
        `kernel` or `scale` is not valid.

    References
    ----------
    A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf and A. Smola, A Kernel Two-Sample Test,
    JMLR 13 (2012).

    I. Tolstikhin, O. Bousquet, S. Gelly and B. Schölkopf, Wasserstein Auto-Encoders, ICLR 2018.

    Examples
    --------
    >>> from skae.metrics import maximum_mean_discrepancy
    >>> near = maximum_mean_discrepancy([[0.0], [1.0]], [[0.0], [2.0]])
    >>> far = maximum_mean_discrepancy([[0.0], [1.0]], [[8.0], [9.0]])
    >>> near < far
    True
    """
    X, Y = _tables(X, Y, ("X", "Y"), least=2)
    if kernel not in _KERNELS:
        raise ValueError(f"kernel must be one of {sorted(_KERNELS)}, got {kernel!r}.")
    if scale is None:
        both = np.concatenate([X, Y])
        squared_scale = 2 * both.var(axis=0, ddof=1).sum() or 1.0  # one point: any scale will do
    else:
        squared_scale = _positive("scale", scale) ** 2
    among_x, among_y = (_kernel_sum(A, A, kernel, squared_scale) - len(A) for A in (X, Y))
    between = _kernel_sum(X, Y, kernel, squared_scale)
    pairs_x, pairs_y = (len(A) * (len(A) - 1) for A in (X, Y))
    return float(among_x / pairs_x + among_y / pairs_y - 2 * between / (len(X) * len(Y)))


def _kernel_sum(X: np.ndarray, Y: np.ndarray, kernel: str, squared_scale: float) -> float:
    def reduced(squared: np.ndarray, start: int) -> list[float]:
        return [_KERNELS[kernel](squared, squared_scale).sum()] * len(squared)

    sums = _squared_distances(X, Y, reduced)
    return sum(chunk[0] for chunk in sums)


def _squared_distances(X: np.ndarray, Y: np.ndarray, reduce_func: Any) -> Any:
    """Return what is left of the squared distances, some rows of `X` after the other."""
    centre = Y.mean(axis=0)  # or the squares would cancel where all rows are far from 0
    Y, X = Y - centre, X - centre
    return pairwise_distances_chunked(X, Y, reduce_func=reduce_func, squared=True)


def _tables(
    first: Any, second: Any, names: tuple[str, str], least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Check two tables of the same features, and return them in float64."""
    tables = [
        check_array(table, dtype=np.float64, input_name=name, ensure_min_samples=least)
        for table, name in zip((first, second), names, strict=True)
    ]
    if tables[0].shape[1] != tables[1].shape[1]:
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same features, but have "
            f"{tables[0].shape[1]} and {tables[1].shape[1]}."
        )
    return tables[0], tables[1]


def _positive(name: str, value: Any) -> float:
    if not isinstance(value, Real) or not 0 < float(value) < np.inf:
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}.")
    return float(value)
