"""The sparse autoencoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from .._training import Batch, Source, TrainingState
from ._activity import measure_activity
from ._checks import warn_of_dead_units
from ._initialisation import PretrainingAutoencoder
from ._module import AutoencoderModule
from ._sparsity import SPARSITIES, Sparsity


class SparseModule(AutoencoderModule):
    """The error of a code that a rule of sparsity penalises, or cuts down to its winners."""

    def __init__(self, sparsity: Sparsity, **arguments: Any):
        super().__init__(**arguments)
        self.sparsity = sparsity

    @property
    def mixes_rows(self) -> bool:
        return self.sparsity.mixes_rows or super().mixes_rows

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        code = self.training_code(batch.x, noise)
        return self.sparsity.penalise(self.decoding_loss(code, batch.x, noise), code)

    def training_code(self, x: Tensor, noise: Any) -> Tensor:
        return self.sparsity.select(super().training_code(x, noise))

    def code_of(self, rows: Tensor) -> Tensor:
        return self.sparsity.select_in_reading(super().code_of(rows))


class SparseAutoencoder(PretrainingAutoencoder):
    """Sparse autoencoder: codes each row by a few active units out of many.

    The code may be wider than the input, since most of it is silent for a given row:
    units turn into detectors of parts that occur in some rows (Olshausen and Field 1996).
    `sparsity` says what keeps it silent.

    Parameters
    ----------
    n_components : int, default=256
        Width of the code. It may exceed the number of features.
    sparsity : str, default="l1"
        What keeps the code sparse:

        - "l1" adds to the loss of a row `alpha` times the mean absolute value of its
          code (over the units, so that `alpha` does not depend on `n_components`);
        - "kl" adds `alpha` times the Kullback-Leibler divergence between units that are
          active with probability `target` and ones that are so with the mean activation
          in the batch, in nats and averaged over the units. It needs
          ``code_activation="sigmoid"``;
        - "k" keeps the `k` largest units of each row and sets the others to 0 (Makhzani
          and Frey 2013);
        - "lifetime" keeps, while training, the rows of the batch that activate a unit
          most, a fraction `lifetime_fraction` of them, and sets the unit to 0 for the
          others (Makhzani and Frey 2015). At inference nothing is selected, so that
          reconstructions are too large: see the notes.

        "batch_topk", "matryoshka", "jumprelu" and "gated" are rules of `DictionaryAutoencoder`.
    alpha : float, default=0.1
        Weight of the penalty, beside the mean error of a feature.
    target : float, default=0.05
        Mean activation of a unit that "kl" aims at.
    k : int, default=25
        Number of units per row that "k" keeps.
    alpha_test : float, default=1.0
        With "k", how many times `k` units are kept at inference, rounded and at most all.
        Somewhat more than in training can make better features.
    lifetime_fraction : float, default=0.05
        Fraction of the rows of a batch that "lifetime" keeps for each unit, rounded, but
        at least one row.
    hidden_layers : tuple of int or object, default=(128,)
        Widths of the hidden layers between features and code, mirrored by the decoder;
        ``()`` for a linear autoencoder. Or an architecture from `skae.layers`, or any
        object with the methods `make_encoder` and `make_decoder`.
    code_activation : str, default="relu"
        Activation of the code: "identity", "relu", "leaky_relu", "elu", "gelu", "silu",
        "softplus", "sigmoid" or "tanh".
    loss : str or object, default="squared_error"
        Error of an entry: "squared_error", "absolute_error", "huber" (with threshold 1)
        or "binary_cross_entropy"; for the last one the reconstruction lies between 0 and
        1, and so should the values of `X`. Or an output from `skae.outputs`, such as
        ``Huber(delta=0.5)``, or any object with the methods `error` and `mean`.
    weight_decay : float, default=0.0
        Weight of the penalty: half the sum of the squared weights, without the biases.
    l1 : float, default=0.0
        Weight of the penalty: the sum of the absolute weights, without the biases.
    missing_values : {"refuse", "mask"}, default="refuse"
        What to do with missing entries of `X`, which are NaN: refuse them, or leave them out of
        the loss and of scores, and give the encoder the mean of the observed training entries of
        the feature in their place.
    mask_as_input : bool, default=False
        With "mask", whether the encoder is also told which entries are missing, by a
        second number for each feature.
    n_refinements : int, default=2
        With "mask", how many times the encoder is then given the reconstruction of missing
        entries in place of their mean, in training and at inference.
    pretrain : bool, default=False
        Whether `fit` first trains the layers one by one, each as an estimator of this
        kind on the codes of the layer before (Vincent et al. 2010). For `Dense` layers
        without dropout, batch normalisation and tied weights.
    learning_rate : float, default=1e-3
        Step size of Adam (Kingma and Ba 2015).
    batch_size : int or "auto", default="auto"
        Upper bound of the rows in a batch; rows are spread evenly over the batches.
        "auto" is ``min(200, n_samples)``.
    max_iter : int, default=1000
        Upper bound of the epochs.
    tol : float, default=1e-4
        Smallest improvement of the loss that counts for `n_iter_no_change`.
    n_iter_no_change : int, default=10
        Number of epochs without an improvement by `tol` after which the fit stops.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows, to stop by their loss, and
        to keep the weights of the best epoch. Without it the training loss decides.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out for `early_stopping`.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last fit.
    learning_rate_schedule : {"constant", "linear", "exponential", "cosine", "plateau"}, \
default="constant"
        How the learning rate of `fit` goes from epoch to epoch: it stays; it falls over
        `max_iter` epochs to 0 ("linear", "cosine") or to a hundredth ("exponential"); or it
        is halved each time that the loss has not improved by `tol` for a quarter of
        `n_iter_no_change` epochs.
    callbacks : list of skorch.callbacks.Callback, default=None
        Callbacks of skorch, or your own, for `fit`: they see the net in training, with its
        module, optimizer and history, at the start and end of the training and of each epoch
        (and batch, if they have a method for that, which makes each step slower). They are
        not copied, so that you can look at them after `fit`, and a pickle contains them. What
        one sets on itself needs a name that ends in an underscore, as in skorch, or it
        cannot be cloned. Of the optimizer, learning rates, betas and eps may be changed.
        Those that score by a data set (`EpochScoring`, `BatchScoring`) do not apply, and those
        of scikit-learn are for `set_callbacks`.
    checkpoint : str or path-like, default=None
        Folder in which `fit` saves the state of the training. If the process ends before the fit
        does, the same call goes on from there, and ends with the same bits as a fit that was not
        interrupted. A folder belongs to one fit: for others it raises a ValueError.
    checkpoint_every : int, default=1
        Number of epochs between two such states.
    device : str or torch.device, default="auto"
        Where to train and apply the network: "auto" (an accelerator if there is one), "cpu",
        "cuda", "mps" or another name that torch knows.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the order of the rows and the noise. The same int
        gives the same bits. None takes fresh entropy and, unlike in scikit-learn, does
        not touch numpy's global generator.
    verbose : bool or int, default=0
        Whether to show a progress bar with the loss and rows per second.

    Attributes
    ----------
    module_ : torch.nn.Module
        The fitted network, on `device_`.
    mean_activation_ : ndarray of shape (n_components,)
        Mean code, as `transform` gives it, of the rows that the last call of `fit` or
        `partial_fit` trained on, with their weights.
    dead_units_ : ndarray of shape (n_dead_units,)
        Indices of the units that are 0 for each of these rows.
    n_iter_ : int
        Number of epochs trained.
    loss_curve_ : list of float
        Mean training loss of each epoch.
    validation_loss_curve_ : list of float or None
        Mean loss of the validation rows after each epoch; None without validation.
    history_ : dict of lists of float
        What was recorded in each epoch, by name: "train_loss", with validation "valid_loss", and
        what callbacks recorded. ``pandas.DataFrame(history_)`` is a table of it.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.
    device_ : torch.device
        Where the network is.

    Warns
    -----
    ConvergenceWarning
        If more than half of the units are dead after `fit`.

    See Also
    --------
    WinnerTakeAllAutoencoder : Lifetime sparsity whose reconstructions are right at inference too;
        of images and signals also spatial sparsity, by convolutional layers.
    DictionaryAutoencoder : Sparse codes over a dictionary of directions, as of the activations of
        other networks: batch top-k, Matryoshka, JumpReLU and gated.
    Autoencoder : Learns without a bound on the activity of the code.
    sklearn.decomposition.DictionaryLearning : Sparse codes by optimisation, row by row.

    Notes
    -----
    The penalty of "l1" gets smaller when the code shrinks and the weights of the decoder
    grow; `weight_decay` or ``Dense(tied_weights=True)`` holds against that.

    "k" needs features without their mean (``StandardScaler(with_std=False)``): on MNIST,
    268 of 1,000 units died without that in 12 epochs, and none with it.

    "kl" and "lifetime" are computed from a whole batch, in which each row counts the same,
    whatever its `sample_weight`.

    With "lifetime" the decoder learns from fewer active units than a row has at inference, so
    that reconstructions are too large and scores say little: use `transform` only. A
    `WinnerTakeAllAutoencoder` with the same layers has the same objective, and reconstructs and
    scores from the units that reach a threshold, which it keeps from training.

    References
    ----------
    B. A. Olshausen and D. J. Field, Emergence of Simple-Cell Receptive Field Properties
    by Learning a Sparse Code for Natural Images, Nature 381 (1996).

    A. Makhzani and B. Frey, k-Sparse Autoencoders, arXiv:1312.5663 (2013).

    A. Makhzani and B. Frey, Winner-Take-All Autoencoders, NeurIPS 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import SparseAutoencoder
    >>> X = load_digits().data / 16
    >>> autoencoder = SparseAutoencoder(sparsity="k", k=10, max_iter=5, tol=1, random_state=0)
    >>> codes = autoencoder.fit_transform(X)
    >>> int((codes != 0).sum(axis=1).max())
    10
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **PretrainingAutoencoder._parameter_constraints,
        "sparsity": [StrOptions(set(SPARSITIES))],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "target": [Interval(Real, 0, 1, closed="neither")],
        "k": [Interval(Integral, 1, None, closed="left")],
        "alpha_test": [Interval(Real, 0, None, closed="neither")],
        "lifetime_fraction": [Interval(Real, 0, 1, closed="right")],
    }

    module_: SparseModule

    def __init__(
        self,
        n_components: int = 256,
        *,
        sparsity: str = "l1",
        alpha: float = 0.1,
        target: float = 0.05,
        k: int = 25,
        alpha_test: float = 1.0,
        lifetime_fraction: float = 0.05,
        hidden_layers: Sequence[int] | Any = (128,),
        code_activation: str = "relu",
        loss: str | Any = "squared_error",
        weight_decay: float = 0.0,
        l1: float = 0.0,
        missing_values: str = "refuse",
        mask_as_input: bool = False,
        n_refinements: int = 2,
        pretrain: bool = False,
        learning_rate: float = 1e-3,
        batch_size: int | str = "auto",
        max_iter: int = 1000,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        learning_rate_schedule: str = "constant",
        callbacks: Sequence[Any] | None = None,
        checkpoint: str | os.PathLike | None = None,
        checkpoint_every: int = 1,
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = 0,
    ):
        super().__init__(
            n_components,
            hidden_layers=hidden_layers,
            code_activation=code_activation,
            loss=loss,
            weight_decay=weight_decay,
            l1=l1,
            missing_values=missing_values,
            mask_as_input=mask_as_input,
            n_refinements=n_refinements,
            learning_rate=learning_rate,
            batch_size=batch_size,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            warm_start=warm_start,
            learning_rate_schedule=learning_rate_schedule,
            callbacks=callbacks,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.sparsity = sparsity
        self.alpha = alpha
        self.target = target
        self.k = k
        self.alpha_test = alpha_test
        self.lifetime_fraction = lifetime_fraction
        self.pretrain = pretrain

    def _make_module(self, n_features: int) -> SparseModule:
        sparsity = SPARSITIES[self.sparsity](self)
        return SparseModule(sparsity, **self._module_arguments(n_features))

    def _keep(self, state: TrainingState, source: Source) -> None:
        super()._keep(state, source)
        self.mean_activation_, self.dead_units_ = measure_activity(self.module_, source)

    def _comment_on(self, state: TrainingState, source: Source) -> None:
        super()._comment_on(state, source)
        remedy = f"{self.module_.sparsity.remedy}, a lower learning_rate"
        warn_of_dead_units(self, "never active on the training rows", remedy)
