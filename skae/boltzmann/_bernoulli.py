"""The restricted Boltzmann machine with binary visible units."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import sparse

from .._inheritance import inherit_parameters
from ._rbm import BaseRBM


@inherit_parameters
class BernoulliRBM(BaseRBM):
    """Restricted Boltzmann machine with binary visible units.

    Takes the place of `sklearn.neural_network.BernoulliRBM`: the same parameters, attributes
    and methods, and more. The weights climb the likelihood of the rows by stochastic maximum
    likelihood. Values of `X` are 0 and 1, or probabilities between them.

    Parameters
    ----------
    n_components : int, default=256
        Number of hidden units.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Weights.

    See Also
    --------
    GaussianRBM : For real-valued features.
    DeepBeliefNetwork : A stack of these machines.

    Notes
    -----
    The energy is ``E(v, h) = -b.v - c.h - h.W.v`` with the weights W and the biases b and c of
    visible and hidden units. The visible biases start at the logit of the mean of the data.
    `fit` takes no `sample_weight`, as scikit-learn's does not. The machine trains in float32 and is
    applied in the dtype of the input.

    Other than scikit-learn's, `score_samples` draws nothing, `partial_fit` returns the
    estimator, and a chunk of any size moves the weights by as much for each row.

    References
    ----------
    T. Tieleman, Training Restricted Boltzmann Machines using Approximations to the
    Likelihood Gradient, ICML 2008.

    J. Melchior, A. Fischer and L. Wiskott, How to Center Deep Boltzmann Machines, JMLR 17
    (2016).

    V. Nair and G. Hinton, Rectified Linear Units Improve Restricted Boltzmann Machines,
    ICML 2010.

    G. Desjardins, A. Courville, Y. Bengio, P. Vincent and O. Delalleau, Tempered Markov Chain
    Monte Carlo for Training of Restricted Boltzmann Machines, AISTATS 2010.

    R. Salakhutdinov and I. Murray, On the Quantitative Analysis of Deep Belief Networks,
    ICML 2008.

    Y. Burda, R. Grosse and R. Salakhutdinov, Accurate and Conservative Estimates of MRF
    Log-likelihood using Reverse Annealing, AISTATS 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import BernoulliRBM
    >>> X = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> machine = BernoulliRBM(n_components=2, random_state=0).fit(X)
    >>> machine.transform(X).shape
    (4, 2)
    >>> all_rows = [[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    >>> float(np.exp(machine.log_likelihood(all_rows)).sum().round(5))
    1.0
    """

    def __init__(self, n_components: int = 256, **parameters: Any):
        super().__init__(n_components, **parameters)

    def _check_values(self, X: np.ndarray | sparse.csr_matrix) -> None:
        if X.min() < 0 or X.max() > 1:
            warnings.warn(
                f"BernoulliRBM takes values as probabilities, but X has values between "
                f"{X.min():g} and {X.max():g}; scale them to between 0 and 1, for example with "
                "MinMaxScaler, or use GaussianRBM.",
                stacklevel=5,
            )

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log pseudo-likelihood of each row, in nats.

        It is the sum over the features of the log-probability of each given all others,
        the value that the draws of scikit-learn's `score_samples` have on average.

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
