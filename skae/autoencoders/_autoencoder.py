"""The plain autoencoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from ._initialisation import PCAStartAutoencoder, PretrainingAutoencoder
from ._ordering import OrderingAutoencoder


class Autoencoder(OrderingAutoencoder, PCAStartAutoencoder, PretrainingAutoencoder):
    """Autoencoder: codes each row in `n_components` numbers from which it can be rebuilt.

    An encoder maps the features to a code, a decoder maps the code back, and both learn
    together to make the reconstruction error small (Hinton and Salakhutdinov 2006, with
    all layers trained at once).

    Parameters
    ----------
    n_components : int, default=32
        Width of the code. It may exceed the number of features.
    hidden_layers : tuple of int or object, default=(128,)
        Widths of the hidden layers between features and code, mirrored by the decoder;
        ``()`` for a linear autoencoder. Or an architecture from `skae.layers`, or any
        object with the methods `make_encoder` and `make_decoder`.
    code_activation : str, default="identity"
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
    ordered : bool, default=False
        Whether to order the components by what they add (nested dropout, Rippel et al.
        2014): each row keeps, while training, only as many of the first components as is
        drawn for it, small numbers more often (log-uniformly), so that the first k
        components alone rebuild it well. `truncate` then gives the estimator of any
        smaller width.
    init : {"glorot", "pca"}, default="glorot"
        Start of the weights: drawn (Glorot and Bengio 2010), or such that the code is
        that of PCA. The latter needs a linear network, or one hidden layer of at least
        ``2 * n_components`` ReLU units, and `code_activation` "identity". It applies to
        `fit`, not to `partial_fit`.
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
    r2_ : float
        Fraction of the variance of the training rows that the reconstruction keeps; 0 if they
        are all equal. Only after `fit` with ``init="pca"``.
    r2_pca_ : float
        The same of PCA with as many components, from which the first fit started.
    explained_reconstruction_ratio_ : ndarray of shape (n_components,)
        Fraction of the variance of the training rows (of the last chunk, after
        `partial_fit`) that the first 1, 2, ... components keep; 0 if these rows are all
        equal. Only with `ordered`.

    See Also
    --------
    DenoisingAutoencoder : Learns the clean input from a corrupted one.
    sklearn.decomposition.PCA : The best linear code.

    Notes
    -----
    The network trains in float32 and is applied in the dtype of the input. To a fit
    whose rows are one batch, a row of weight two and the same row given twice are the
    same, unless layers from elsewhere have statistics of a batch; in several batches a
    repeated row also makes for more steps.

    The bits of a fit do not depend on `n_jobs` as long as one step is small (fewer than
    some 17 million multiply-adds, batch rows times weights), since such a step runs in one thread.
    Larger ones use torch's threads, and matrix products over another number of threads
    can round differently.

    References
    ----------
    G. E. Hinton and R. R. Salakhutdinov, Reducing the Dimensionality of Data with Neural
    Networks, Science 313 (2006).

    O. Rippel, M. Gelbart and R. Adams, Learning Ordered Representations with Nested
    Dropout, ICML 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import Autoencoder
    >>> X = load_digits().data / 16
    >>> autoencoder = Autoencoder(16, max_iter=20, tol=0.01, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (1797, 16)
    >>> autoencoder.reconstruct(X).shape
    (1797, 64)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **OrderingAutoencoder._parameter_constraints,
        **PCAStartAutoencoder._parameter_constraints,
        **PretrainingAutoencoder._parameter_constraints,
    }

    def __init__(
        self,
        n_components: int = 32,
        *,
        hidden_layers: Sequence[int] | Any = (128,),
        code_activation: str = "identity",
        loss: str | Any = "squared_error",
        weight_decay: float = 0.0,
        l1: float = 0.0,
        missing_values: str = "refuse",
        mask_as_input: bool = False,
        n_refinements: int = 2,
        ordered: bool = False,
        init: str = "glorot",
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
        self.ordered = ordered
        self.init = init
        self.pretrain = pretrain
