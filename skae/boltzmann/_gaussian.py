"""The restricted Boltzmann machine with normal visible units."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from .._inheritance import inherit_parameters
from ._gaussian_module import GaussianRBMModule
from ._rbm import BaseRBM


@inherit_parameters
class GaussianRBM(BaseRBM):
    """Restricted Boltzmann machine with normal visible units, for real-valued features.

    Given the hidden units each feature has a normal distribution, so that the machine is a
    mixture of as many normal distributions as there are states of the hidden units. Scale
    the features first, for example with `StandardScaler`.

    Parameters
    ----------
    n_components : int, default=256
        Number of hidden units.
    learning_rate : float, default=0.01
        Step size of the gradient ascent.
    variance : float or "learned", default="learned"
        Variance of each feature given the hidden units: fixed, or learned for each from
        the variance of the data on.

    Attributes
    ----------
    variance_ : ndarray of shape (n_features,)
        Variance of each feature given the hidden units.

    See Also
    --------
    BernoulliRBM : For binary features.
    sklearn.mixture.GaussianMixture : A mixture with a likelihood in closed form.

    Notes
    -----
    The energy is ``E(v, h) = sum (v - b)^2 / (2 s^2) - c.h - h.W.(v / s^2)`` with the weights W,
    the biases b and c, and the variances s^2, whose logarithm is learned.

    References
    ----------
    K. Cho, A. Ilin and T. Raiko, Improved Learning of Gaussian-Bernoulli Restricted
    Boltzmann Machines, ICANN 2011.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skae import GaussianRBM
    >>> X = StandardScaler().fit_transform(load_iris().data)
    >>> machine = GaussianRBM(8, n_iter=20, random_state=0).fit(X)
    >>> machine.transform(X).shape
    (150, 8)
    >>> machine.sample(5).shape
    (5, 4)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "variance": [StrOptions({"learned"}), Interval(Real, 0, None, closed="neither")],
    }

    module_: GaussianRBMModule
    _module_class = GaussianRBMModule
    _binary_visible = False

    def __init__(
        self,
        n_components: int = 256,
        *,
        learning_rate: float = 0.01,
        variance: float | str = "learned",
        **parameters: Any,
    ):
        super().__init__(n_components, learning_rate=learning_rate, **parameters)
        self.variance = variance

    def _module_arguments(self) -> dict[str, Any]:
        return {**super()._module_arguments(), "variance": self.variance}

    @property
    def variance_(self) -> np.ndarray:
        """Variance of each feature given the hidden units."""
        return self.module_.log_variance.exp().numpy(force=True)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log pseudo-likelihood of each row, in nats.

        It is the sum over the features of the log-density of each given all others.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            Higher is more normal. The score of a row does not depend on the other rows.
        """
        return super().score_samples(X)
