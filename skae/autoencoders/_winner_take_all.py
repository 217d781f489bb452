"""The winner-take-all autoencoder."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ..layers import make_layers
from ._base import BaseAutoencoder
from ._winners import Pooling, WinnerTakeAllModule


class WinnerTakeAllAutoencoder(BaseAutoencoder):
    """Winner-take-all autoencoder: rebuilds each row from a few winners of its feature maps.

    With convolutional layers the code is made of feature maps. While training, only the maximum
    of each map is kept (spatial sparsity), and of these only the largest of the batch (lifetime
    sparsity); one linear transposed convolution rebuilds the row from them. So each map learns a
    piece that occurs anywhere in some rows (Makhzani and Frey 2015). `transform` gives the maps
    as they are, without sparsity, or their maxima in windows: features for a linear classifier.

    With fully connected layers a map is a single unit.

    Parameters
    ----------
    n_components : int, default=64
        Number of feature maps, or of units. It may exceed the number of features.
    lifetime_fraction : float, default=0.2
        Fraction of the rows of a batch, by their weight, that keep the maximum of a map, those
        with the largest; rounded up.
    pool_size : int or "global", default=None
        Length of the sides of the windows of which `transform` gives the maximum of each map.
        "global" is one window, the whole map: where something was found does not matter then.
        None gives the maps as they are. Windows need convolutional layers.
    pool_stride : int, default=None
        Step between windows, at most `pool_size`. None is `pool_size`.
    decoder_kernel_size : int, default=None
        Length of the sides of the pieces of which the decoder puts a row together, for
        convolutional layers. None is as much as an entry of a map sees of the row.
    hidden_layers : tuple of int or object, default=()
        ``Conv1d(shape, channels, stride=1)`` or ``Conv2d(shape, channels, stride=1)`` from
        `skae.layers` for feature maps: a convolution for each of the channels, which may be
        ``()``, and one more to the `n_components` maps. Or widths of fully connected layers
        between features and code, mirrored by the decoder, or any object with the methods
        `make_encoder` and `make_decoder`.
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
    code_shape_ : tuple of int
        Shape of the code of a row, of which `transform` gives the entries in a row: the number
        of maps and, with convolutional layers, the length of each axis of a map.
    components_ : ndarray of shape (n_components, n_channels, ...) or \
(n_components, n_features)
        The filter of the decoder for each map, which is what a winner of 1 adds to a row; of
        units the direction that each adds.
    thresholds_ : ndarray of shape (n_components,)
        What the maximum of a map must reach, for `inverse_transform`, `reconstruct` and scores.
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

    See Also
    --------
    SparseAutoencoder : Lifetime sparsity and others, of codes without axes.
    DictionaryAutoencoder : Sparse codes of the activations of other networks.
    skae.layers.Conv2d : Layers for images.
    skae.layers.Conv1d : Layers for signals.

    Notes
    -----
    `inverse_transform`, `reconstruct` and the scores take the winners too, as training does:
    the maximum of each map, where it reaches one of the `thresholds_`, which stand for the
    lifetime sparsity: so a row does not depend on others. A threshold is the least value that a
    batch kept, a running mean over the batches of training. Of pooled codes `inverse_transform`
    takes the winners to be in the middle of their windows; `reconstruct` and the scores know where
    they are.

    Layers are stacked by a Pipeline, which trains one after the other: the next one takes the code
    of the one before as images or signals of shape `code_shape_`.

    A shift of an image or signal by less than a window changes pooled codes little.

    References
    ----------
    A. Makhzani and B. Frey, Winner-Take-All Autoencoders, NeurIPS 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import WinnerTakeAllAutoencoder
    >>> from skae.layers import Conv2d
    >>> X = load_digits().images / 16
    >>> layers = Conv2d((1, 8, 8), channels=(16,), stride=1)
    >>> autoencoder = WinnerTakeAllAutoencoder(
    ...     32, hidden_layers=layers, pool_size=4, pool_stride=2, max_iter=5, tol=1
    ... ).fit(X)
    >>> autoencoder.code_shape_
    (32, 3, 3)
    >>> autoencoder.transform(X).shape
    (1797, 288)
    >>> autoencoder.components_.shape
    (32, 1, 5, 5)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        "lifetime_fraction": [Interval(Real, 0, 1, closed="right")],
        "pool_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"global"}), None],
        "pool_stride": [Interval(Integral, 1, None, closed="left"), None],
        "decoder_kernel_size": [Interval(Integral, 1, None, closed="left"), None],
    }

    module_: WinnerTakeAllModule

    def __init__(
        self,
        n_components: int = 64,
        *,
        lifetime_fraction: float = 0.2,
        pool_size: int | str | None = None,
        pool_stride: int | None = None,
        decoder_kernel_size: int | None = None,
        hidden_layers: Sequence[int] | Any = (),
        code_activation: str = "relu",
        loss: str | Any = "squared_error",
        weight_decay: float = 0.0,
        l1: float = 0.0,
        missing_values: str = "refuse",
        mask_as_input: bool = False,
        n_refinements: int = 2,
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
        self.lifetime_fraction = lifetime_fraction
        self.pool_size = pool_size
        self.pool_stride = pool_stride
        self.decoder_kernel_size = decoder_kernel_size

    def _make_module(self, n_features: int) -> WinnerTakeAllModule:
        arguments = self._module_arguments(n_features)
        layers = make_layers(self.hidden_layers)
        has_maps = hasattr(layers, "make_map_encoder")
        map_shape = layers.map_shape(n_features, self.n_components) if has_maps else ()
        return WinnerTakeAllModule(
            lifetime_fraction=self.lifetime_fraction,
            map_shape=map_shape,
            pooling=self._pooling(map_shape),
            **arguments,
        )

    def _make_parts(
        self, layers: Any, n_features: int, n_decoded: int
    ) -> tuple[nn.Module, nn.Module]:
        if not hasattr(layers, "make_map_encoder"):
            for name in ("pool_size", "decoder_kernel_size"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name}={getattr(self, name)!r} is for the feature maps of convolutional "
                        f"layers, but hidden_layers={self.hidden_layers!r} makes none; use Conv1d "
                        f"or Conv2d of skae.layers, or leave {name} at None."
                    )
            return super()._make_parts(layers, n_features, n_decoded)
        of_encoder, n_inputs = self._with_mask(layers, n_features)
        return (
            of_encoder.make_map_encoder(n_inputs, self.n_components),
            layers.make_map_decoder(n_decoded, self.n_components, self.decoder_kernel_size),
        )

    def _pooling(self, map_shape: tuple[int, ...]) -> Pooling | None:
        size, stride = self.pool_size, self.pool_stride
        if not isinstance(size, Integral):
            if stride is not None:
                raise ValueError(
                    f"pool_stride={stride} is the step between windows of pool_size, but there "
                    f"are none with pool_size={size!r}; leave it at None, or set pool_size."
                )
            return None if size is None else Pooling(0, 0, map_shape)
        if size > min(map_shape):
            raise ValueError(
                f"pool_size={size} is larger than a feature map, whose shape is {map_shape}; set "
                f"it to at most {min(map_shape)}, or to 'global'."
            )
        if stride is not None and stride > size:
            raise ValueError(
                f"pool_stride={stride} is larger than pool_size={size}, so that entries between "
                "would never be seen; lower pool_stride or raise pool_size."
            )
        return Pooling(int(size), int(size if stride is None else stride), map_shape)

    def _keep_module(self, module: Any) -> None:
        super()._keep_module(module)
        self.code_shape_ = module.code_shape
        self.thresholds_ = module.threshold.numpy(force=True).copy()
        self._n_features_out = math.prod(module.code_shape)

    @property
    def components_(self) -> np.ndarray:
        """What a winner of 1 adds to a row, for each map."""
        check_is_fitted(self)
        with torch.inference_mode():
            return self.module_.components().numpy(force=True).copy()
