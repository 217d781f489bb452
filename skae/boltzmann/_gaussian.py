"""The restricted Boltzmann machine with normal visible units."""

from __future__ import annotations

import os
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from ._gaussian_module import GaussianRBMModule
from ._rbm import BaseRBM


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
    batch_size : int, default=10
        Rows in a batch, and number of persistent chains; both at most as many as rows,
        or 100 chains if there are fewer.
    n_iter : int, default=10
        Number of epochs, that is passes over all rows.
    verbose : bool or int, default=0
        Whether to show a progress bar, and to print the pseudo-likelihood after each epoch
        as scikit-learn's `BernoulliRBM` does.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the order of the rows and the noise. The same int
        gives the same bits. None takes fresh entropy and, unlike in scikit-learn, does
        not touch numpy's global generator.
    hidden : {"binary", "relu"}, default="binary"
        Kind of the hidden units: binary, or noisy rectified linear (Nair and Hinton
        2010), whose mean is ``softplus`` of their input.
    algorithm : {"pcd", "cd", "pt"}, default="pcd"
        Where the chains that represent the model start at each step: where they ended
        at the last one (persistent contrastive divergence, also known as stochastic maximum
        likelihood; Tieleman 2008), at the data (contrastive divergence), or as in "pcd" with
        chains at several temperatures for each, which exchange their states (parallel
        tempering, Desjardins et al. 2010).
    n_gibbs_steps : int, default=1
        Gibbs steps of the chains for each update.
    n_temperatures : int, default=10
        Number of temperatures of "pt"; the time of a step grows with it.
    centered : bool, default=True
        Whether to follow the enhanced gradient, that of the machine whose units have their
        mean subtracted (Melchior, Fischer and Wiskott 2016). The likelihood is then better,
        and the same if 0 and 1 are exchanged, but binary hidden units become less sparse,
        and can be worse features for a linear classifier.
    momentum : float, default=0.0
        Fraction of the last step that is added to the next.
    weight_decay : float, default=0.0
        Weight of the penalty: half the sum of the squared weights, without the biases.
    sparsity_target : float, default=0.1
        Mean activation that `sparsity_cost` draws the hidden units to.
    sparsity_cost : float, default=0.0
        Weight of the cross-entropy between `sparsity_target` and the running mean
        activation of each hidden unit.
    learning_rate_schedule : {"constant", "linear", "exponential", "cosine", "plateau"}, \
default="constant"
        How the learning rate of `fit` goes from epoch to epoch: it stays; it falls over
        `n_iter` epochs to 0 ("linear", "cosine") or to a hundredth ("exponential"); or it
        is halved each time that the reconstruction error in `history_` has not improved for
        a quarter of `n_iter` epochs.
    checkpoint : str or path-like, default=None
        Folder in which `fit` saves the state of the training. If the process ends before the fit
        does, the same call goes on from there, and ends with the same bits as a fit that was not
        interrupted. A folder belongs to one fit: for others it raises a ValueError.
    checkpoint_every : int, default=1
        Number of epochs between two such states.
    device : str or torch.device, default="auto"
        Where to train and apply the network: "auto" (an accelerator if there is one), "cpu",
        "cuda", "mps" or another name that torch knows.

    Attributes
    ----------
    variance_ : ndarray of shape (n_features,)
        Variance of each feature given the hidden units.
    components_ : ndarray of shape (n_components, n_features)
        Weights.
    intercept_hidden_ : ndarray of shape (n_components,)
        Biases of the hidden units.
    intercept_visible_ : ndarray of shape (n_features,)
        Biases of the visible units.
    h_samples_ : ndarray of shape (n_chains, n_components)
        Hidden units of the persistent chains: `batch_size` of them, but at most as many as
        rows, or 100 if there are fewer.
    history_ : dict of lists of float
        After each epoch of `fit`, for up to 500 training rows: "reconstruction_error" (mean
        squared error per feature), "pseudo_likelihood" (estimated from one feature of
        each row, in nats), and, given `X_val`, "free_energy_gap" (mean free energy of the
        validation rows minus that of training rows, in nats): while it grows, the machine
        overfits. And "energy_difference", the mean energy of the data minus that of the
        chains in the steps of the epoch, whose gradient they follow; it need not fall.
        ``pandas.DataFrame(history_)`` is a table of it.
    module_ : torch.nn.Module
        The fitted network, on `device_`.
    n_iter_ : int
        Number of epochs trained.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.
    device_ : torch.device
        Where the network is.

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
        **BaseRBM._parameter_constraints,
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
        batch_size: int = 10,
        n_iter: int = 10,
        verbose: bool | int = 0,
        random_state: int | np.random.RandomState | None = None,
        hidden: str = "binary",
        algorithm: str = "pcd",
        n_gibbs_steps: int = 1,
        n_temperatures: int = 10,
        centered: bool = True,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        sparsity_target: float = 0.1,
        sparsity_cost: float = 0.0,
        learning_rate_schedule: str = "constant",
        checkpoint: str | os.PathLike | None = None,
        checkpoint_every: int = 1,
        device: str | torch.device = "auto",
    ):
        super().__init__(
            n_components,
            learning_rate=learning_rate,
            batch_size=batch_size,
            n_iter=n_iter,
            verbose=verbose,
            random_state=random_state,
            hidden=hidden,
            algorithm=algorithm,
            n_gibbs_steps=n_gibbs_steps,
            n_temperatures=n_temperatures,
            centered=centered,
            momentum=momentum,
            weight_decay=weight_decay,
            sparsity_target=sparsity_target,
            sparsity_cost=sparsity_cost,
            learning_rate_schedule=learning_rate_schedule,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            device=device,
        )
        self.variance = variance

    _fixed_in_weights = ("variance",)

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
