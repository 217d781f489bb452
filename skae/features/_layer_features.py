"""The codes of all layers of an autoencoder, side by side."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn import config_context
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from .._features import FeatureLearner
from .._random import new_random_state, with_seeds
from .._typed import _fit_context, available_if
from .._validation import CheckedParameters, all_or_nothing, shape_of, validate_codes
from ..autoencoders import DenoisingAutoencoder
from ..layers import ACTIVATIONS
from ._scaling import Columns


class LayerFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, CheckedParameters):
    """Features of rows: the codes of all layers of an autoencoder, on one scale.

    The activations of the hidden layers of an encoder and its code stand side by side, each feature
    standardised, so that they need no scaler before a linear model.

    Parameters
    ----------
    estimator : object, default=None
        Autoencoder to fit, which is cloned. It may take missing values
        (``missing_values="mask"``). None is a `DenoisingAutoencoder` with 512 components, one
        hidden layer of 512 units and ``code_activation="relu"``.
    layers : {"all", "code"}, default="all"
        "all" gives the activations of all hidden layers of the encoder, followed by the code;
        "code" the code alone.
    scaling : {"standard", "norm"} or None, default="standard"
        "standard" brings each feature to mean 0 and standard deviation 1 over the training rows;
        "norm" brings each row to length 1, which `inverse_transform` cannot undo; None leaves the
        codes as they are.
    random_state : int, RandomState instance or None, default=None
        Source of the seed of `estimator`, if that has none. None takes fresh entropy.

    Attributes
    ----------
    estimator_ : object
        The fitted autoencoder.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.

    See Also
    --------
    WindowFeatures : Features of series and images that do not depend on where a pattern is.

    Notes
    -----
    For several levels of noise side by side, put several of these into scikit-learn's
    `FeatureUnion`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import LinearSVC
    >>> from skae import DenoisingAutoencoder
    >>> from skae.features import LayerFeatures
    >>> X, y = load_digits(return_X_y=True)
    >>> autoencoder = DenoisingAutoencoder(64, max_iter=10, tol=0.1)
    >>> features = LayerFeatures(autoencoder, random_state=0).fit(X[:900] / 16)
    >>> features.transform(X[900:] / 16).shape
    (897, 192)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "transform"]), None],
        "layers": [StrOptions({"all", "code"})],
        "scaling": [StrOptions({"standard", "norm"}), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        layers: str = "all",
        scaling: str | None = "standard",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.estimator = estimator
        self.layers = layers
        self.scaling = scaling
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the autoencoder, and find the scale of its codes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            Labels or conditions for a `ConditionalVariationalAutoencoder`, which needs them here
            alone; other autoencoders ignore it.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid, or if ``layers="all"`` and the encoder is
            not a sequence of layers; nothing changes then.
        """
        with all_or_nothing(self):
            self._layers = self.layers
            learner = self._learner()
            if self.layers == "all":
                refuse_other_encoders(learner, X)
            self.estimator_ = learner.fit(X, y)
            if hasattr(self, "feature_names_in_"):  # of an earlier fit
                del self.feature_names_in_
            for name in ("n_features_in_", "feature_names_in_"):
                if hasattr(self.estimator_, name):
                    setattr(self, name, getattr(self.estimator_, name))
            self._columns = Columns(self.scaling)
            self._n_features_out = self._columns.fit_transform(self._codes(X)).shape[1]
        return self

    def _learner(self) -> Any:
        """Return the autoencoder, not fitted, with a seed."""
        learner: Any = (
            DenoisingAutoencoder(512, hidden_layers=(512,), code_activation="relu")
            if self.estimator is None
            else clone(self.estimator)
        )
        if not isinstance(learner, FeatureLearner):
            raise ValueError(
                "estimator of LayerFeatures must be an autoencoder of skae, or another of its "
                f"estimators with a code, got {learner!r}."
            )
        return with_seeds(learner, new_random_state(self.random_state))

    def _codes(self, X: Any) -> np.ndarray:
        """Return the codes of rows as the layers give them."""
        learner = self.estimator_
        if self._layers == "all":
            return learner._read(X, codes_of_layers)
        with config_context(transform_output="default"):
            return learner.transform(X)

    def transform(self, X: Any) -> np.ndarray:
        """Return the codes of rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to code.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            In float32 if `X` is, otherwise in float64.
        """
        check_is_fitted(self)
        return self._columns.transform(self._codes(X))

    # "norm" loses how large a code was. After `set_params` that of the last fit counts.
    @available_if(lambda self: getattr(self, "_columns", self).scaling != "norm")
    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the rows that features stand for, decoded from those of the code.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Features as `transform` returns them. Those of hidden layers are not used.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        codes = self._columns.inverse_transform(validate_codes(self, X, self._n_features_out))
        with config_context(transform_output="default"):
            return self.estimator_.inverse_transform(codes[:, -self.estimator_._n_features_out :])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if isinstance(self.estimator, FeatureLearner):
            of_learner = get_tags(self.estimator)
            tags.input_tags.allow_nan = of_learner.input_tags.allow_nan
            tags.target_tags.required = of_learner.target_tags.required
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def refuse_other_encoders(learner: Any, X: Any) -> None:
    """Raise an error, before the training, if the encoder is no sequence of layers."""
    learner._validate_params()
    n_features = math.prod(shape_of(X)[1:])
    if len(shape_of(X)) < 2 or n_features == 0:
        return  # which the learner refuses
    try:
        module = learner._new_module(n_features, np.random.RandomState(0))
    except NotImplementedError:  # a deep belief network is made of the networks it trains
        module = None
    if not isinstance(getattr(module, "encoder", None), nn.Sequential):
        raise ValueError(
            "layers='all' needs an encoder that is a sequence of layers, which "
            f"{type(learner).__name__} does not have; set layers='code'."
        )


def codes_of_layers(module: Any, x: Tensor) -> Tensor:
    """Return what each hidden layer of an encoder gives after its activation, and then the code."""
    found, values = [], module.encoder_input(x)
    for layer in module.encoder:
        values = layer(values)
        if type(layer) in ACTIVATIONS.values():
            found.append(values.flatten(1))
    return torch.cat([*found, module.encode(x)], dim=1)
