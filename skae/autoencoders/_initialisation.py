"""Starts from the data: the PCA solution, and greedy layer-wise pretraining."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.linalg import eigh
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import StrOptions
from torch import Tensor, nn

from .._compute import resolve_device
from .._missing import has_missing
from .._random import MAX_SEED, seeded_initialisation
from .._training import Source, TrainingState, through, to_dense
from ..layers import ACTIVATIONS, TransposedLinear
from ._base import BaseAutoencoder, kept_variance
from ._gaps import Gaps
from ._module import AutoencoderModule

# Parameters of the estimator that an autoencoder of one of its layers has otherwise.
_SINGLE_LAYER: dict[str, Any] = {
    "callbacks": None,
    "checkpoint": None,
    "hidden_layers": (),
    "init": "glorot",
    "ordered": False,
    "pretrain": False,
    "warm_start": False,
}


class PCAStartAutoencoder(BaseAutoencoder):
    """An autoencoder that can start from the PCA solution."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        "init": [StrOptions({"glorot", "pca"})],
    }

    init: str

    def _initialise(
        self,
        module: AutoencoderModule,
        source: Source,
        random_state: np.random.RandomState,
        *,
        streaming: bool,
    ) -> None:
        super()._initialise(module, source, random_state, streaming=streaming)
        if self.init == "pca" and not streaming:
            start_from_pca(module, source, random_state.randint(MAX_SEED))
            self.r2_pca_ = self._r2(module, source)

    def _r2(self, module: AutoencoderModule, source: Source) -> float:
        return float(kept_variance(module, source, [self.n_components])[0])

    def _forget(self, *, keep_curves: bool) -> None:
        r2_pca = getattr(self, "r2_pca_", None)
        super()._forget(keep_curves=keep_curves)
        if keep_curves and r2_pca is not None:
            self.r2_pca_ = r2_pca  # of the start that the fit goes on from

    def _keep(self, state: TrainingState, source: Source) -> None:
        super()._keep(state, source)
        if hasattr(self, "r2_pca_"):
            self.r2_ = self._r2(self.module_, source)


class PretrainingAutoencoder(BaseAutoencoder):
    """An autoencoder whose layers can be trained one by one first."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        "pretrain": ["boolean"],
    }

    pretrain: bool
    init: str  # of those that also have another start

    def _initialise(
        self,
        module: AutoencoderModule,
        source: Source,
        random_state: np.random.RandomState,
        *,
        streaming: bool,
    ) -> None:
        super()._initialise(module, source, random_state, streaming=streaming)
        if not self.pretrain or streaming:
            return
        if getattr(self, "init", "glorot") != "glorot":
            raise ValueError(
                f"pretrain=True and init={self.init!r} are two starts of the same weights; leave "
                "one of them out."
            )
        pretrain(self, module, source, random_state)


def start_from_pca(module: AutoencoderModule, source: Source, seed: int) -> None:
    """Give an untrained network the weights with which its code is that of PCA.

    A ReLU layer passes each component on as its positive and its negative part.

    Raises
    ------
    ValueError
        If the architecture cannot be PCA, or PCA has not so many components.
    """
    encoder = _layers_of_kind(module.encoder, nn.Linear)
    decoder = _layers_of_kind(module.decoder, nn.Linear, TransposedLinear)
    n_components = module.n_components
    layers = (*module.encoder.modules(), *module.decoder.modules())
    others = {type(layer) for layer in layers} - {
        nn.Linear,
        TransposedLinear,
        nn.Sequential,
    }
    copies = 2 if nn.ReLU in others else 1
    if (
        len(encoder) not in (1, 2)
        or len(decoder) != len(encoder)
        or not others <= {nn.ReLU, nn.Identity}
        or not isinstance(module.code_activation, nn.Identity)
        or (len(encoder) == 2 and encoder[0].out_features < copies * n_components)
        or module.n_outputs_per_feature > 1
        or not _is_identity(module.output().mean)
    ):
        raise ValueError(
            "init='pca' needs a network that can be PCA: code_activation='identity' and at most "
            "one hidden layer, with activation 'relu' and at least 2 * n_components units, or "
            "with activation 'identity' and at least n_components units. The loss must take one "
            "number per feature and as it is, which 'binary_cross_entropy' does not."
        )
    most = min(source.n_rows, source.n_features)
    if n_components > most:
        raise ValueError(
            f"init='pca' needs n_components of at most min(n_samples, n_features)={most}, "
            f"got {n_components}."
        )
    components, mean = (
        torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        for array in _principal_axes(source, n_components, seed, module.gaps)
    )
    if len(encoder) == 1:
        _set(encoder[0], components, -components @ mean)
        _set(decoder[0], components.T, mean)
        return
    signs = torch.tensor([1.0, -1.0][:copies])
    parts = torch.kron(signs[:, None], torch.eye(n_components))  # (copies * k, k)
    _set(encoder[0], parts @ components, -parts @ components @ mean)
    _set(encoder[1], parts.T, torch.zeros(n_components))
    _set(decoder[0], parts, torch.zeros(len(parts)))
    _set(decoder[1], (parts @ components).T, mean)


def _is_identity(function: Callable[[Tensor], Tensor]) -> bool:
    values = torch.linspace(-2, 2, 5)[:, None]
    return torch.equal(function(values), values)


def _principal_axes(
    source: Source, n_components: int, seed: int, gaps: Gaps | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the axes of PCA and the mean of the rows, with their weights if they have some.

    Missing entries are taken for the mean of the observed ones, as `gaps` has it.
    """
    n_features = source.n_features
    table = source.table
    if source.sample_weight is None and table is not None and not has_missing(table):
        with np.errstate(invalid="ignore"):  # the shares of the variance of constant rows
            pca = PCA(n_components, random_state=seed).fit(table)
        return pca.components_, pca.mean_
    # scikit-learn's PCA takes no weights, no missing entries and no rows that are not in memory.
    # The means, which stand for missing entries, or those of the first rows: not far from them.
    near: Any = None if gaps is None else gaps.fill.numpy(force=True).astype(np.float64)
    total, scatter = np.zeros(n_features), np.zeros((n_features, n_features))
    for rows, weight in source.chunks():
        dense = to_dense(rows)
        if near is None:
            near = StandardScaler(with_std=False).fit(dense).mean_
        moved = np.nan_to_num(dense - near)
        weighted = moved if weight is None else moved * weight[:, None]
        total += weighted.sum(axis=0)
        scatter += weighted.T @ moved
    away = total / source.total_weight
    scatter -= np.outer(total, away)
    _, axes = eigh(scatter, subset_by_index=[n_features - n_components, n_features - 1])
    return axes.T[::-1], near + away


def unroll(
    autoencoder: Any, layers: list[tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]], like: Any
) -> None:
    """Give an autoencoder that was not fitted the weights of layers that were.

    It is then fitted: it can be applied, and with ``warm_start=True`` its `fit` goes on from these
    weights.

    Parameters
    ----------
    autoencoder : Autoencoder
        With as many `Dense` layers.
    layers : list of pairs of (weight, bias)
        From the features up, what encodes and what decodes in each layer; a weight has the
        shape (n_out, n_in).
    like : estimator
        Fitted to the features that the autoencoder is to take.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sklearn.decomposition import PCA
    >>> from skae import Autoencoder
    >>> from skae.autoencoders import unroll
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> pca = PCA(2).fit(X)
    >>> components, mean = torch.tensor(pca.components_), torch.tensor(pca.mean_)
    >>> autoencoder = Autoencoder(2, hidden_layers=(), warm_start=True)
    >>> encoding, decoding = (components, -components @ mean), (components.T, mean)
    >>> unroll(autoencoder, [(encoding, decoding)], like=pca)
    >>> bool(np.allclose(autoencoder.transform(X), pca.transform(X), atol=1e-5))
    True
    """
    with seeded_initialisation(0):  # what is drawn is written over
        module = autoencoder._make_module(like.n_features_in_)
    encoder = _layers_of_kind(module.encoder, nn.Linear)
    decoder = reversed(_layers_of_kind(module.decoder, nn.Linear))
    for down, up, (encoding, decoding) in zip(encoder, decoder, layers, strict=True):
        _set(down, *encoding)
        _set(up, *decoding)
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(like, name):
            setattr(autoencoder, name, getattr(like, name))
    autoencoder._layers_shape = autoencoder._samples_shape = None
    module.eval().to(resolve_device(autoencoder.device))
    autoencoder._keep_module(module)
    autoencoder.loss_curve_, autoencoder.validation_loss_curve_ = [], None
    autoencoder.history_, autoencoder.n_iter_ = {}, 0


def pretrain(
    estimator: Any,
    module: AutoencoderModule,
    source: Source,
    random_state: np.random.RandomState,
) -> None:
    """Train the layers of `module` one by one, each on the codes of the one before.

    Each layer is an autoencoder of the kind and with the parameters of `estimator`
    (Vincent et al. 2010, for the denoising one).

    Raises
    ------
    ValueError
        If the layers are not plain linear ones between activations.
    """
    encoder = _layers_of_kind(module.encoder, nn.Linear)
    decoder = _layers_of_kind(module.decoder, nn.Linear)
    kinds = (nn.Sequential, nn.Linear)
    activations = [layer for layer in module.encoder.modules() if type(layer) not in kinds]
    if (
        len(encoder) != len(decoder)
        or len(activations) != len(encoder) - 1
        or not {type(layer) for layer in activations} <= set(ACTIVATIONS.values())
    ):
        raise ValueError(
            "pretrain=True needs hidden_layers of Dense layers without dropout, batch_norm, "
            "tied_weights or non_negative."
        )
    single = {name: value for name, value in _SINGLE_LAYER.items() if hasattr(estimator, name)}
    inputs: Any = source.for_fit()
    for n_done, (down, up) in enumerate(zip(encoder, reversed(decoder), strict=True)):
        layer = clone(estimator).set_params(
            n_components=down.out_features,
            random_state=random_state.randint(MAX_SEED),
            **single,
        )
        if n_done < len(activations):
            layer.set_params(code_activation=_name_of(activations[n_done]))
        if n_done > 0:
            layer.set_params(loss="squared_error")  # codes lie anywhere
            layer.set_params(missing_values="refuse")  # and miss none
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                layer.fit(inputs, sample_weight=source.sample_weight)
            except ValueError as error:
                raise ValueError(
                    f"pretrain=True trains layer {n_done + 1} of hidden_layers and code by itself, "
                    f"with n_components={layer.n_components} and "
                    f"code_activation={layer.code_activation!r}, which fails: {error}"
                ) from error
        trained = layer.module_.cpu()
        _set(down, trained.encoder[0].weight, trained.encoder[0].bias)
        _set(up, trained.decoder[0].weight, trained.decoder[0].bias)
        if n_done < len(activations):
            inputs = through(layer.transform, inputs)


def _layers_of_kind(part: nn.Module, *kinds: type[nn.Module]) -> list[Any]:
    return [layer for layer in part.modules() if type(layer) in kinds]


def _name_of(activation: nn.Module) -> str:
    return next(name for name, kind in ACTIVATIONS.items() if type(activation) is kind)


@torch.no_grad()
def _set(linear: nn.Linear | TransposedLinear, weight: Tensor, bias: Tensor) -> None:
    """Write the first rows and columns; spare hidden units start with no effect."""
    n_out, n_in = weight.shape
    if isinstance(linear, nn.Linear):  # a transposed one has the weights of another
        linear.weight[:n_out, n_in:] = 0
        linear.weight[:n_out, :n_in] = weight
    linear.bias[:n_out] = bias
