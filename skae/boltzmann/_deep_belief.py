"""A stack of restricted Boltzmann machines."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from .._compute import gradients_enabled
from .._features import FeatureLearner
from .._parameters import changed_parameters
from .._random import MAX_SEED, new_random_state
from .._sklearn_callbacks import NoContext
from .._training import Trainable, read, through
from .._typed import _fit_context
from .._validation import all_or_nothing, validate_codes
from ..autoencoders import Autoencoder, unroll
from ..base import BaseTorchEstimator
from ..layers import Dense, is_positive_int
from ._bernoulli import BernoulliRBM, check_probabilities
from ._distribution import is_integer
from ._gaussian import GaussianRBM
from ._rbm import BaseRBM
from ._stack import StackModule

# The learning rate of a Gaussian machine, as part of that of a binary one.
_GAUSSIAN_PART = 0.1


class DeepBeliefNetwork(FeatureLearner):
    """Deep belief network: restricted Boltzmann machines, each on the codes of the one below.

    The layers are trained one after the other (Hinton, Osindero and Teh 2006).
    `to_autoencoder` gives a deep autoencoder that starts from their weights (Hinton and
    Salakhutdinov 2006).

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(256, 64)
        Number of hidden units of each machine, from the features up.
    visible : {"bernoulli", "gaussian"}, default="bernoulli"
        Kind of the lowest machine: for values between 0 and 1, or for standardised ones,
        with a tenth of the learning rate.
    learning_rate : float, default=0.1
        Step size of the gradient ascent.
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
    algorithm : {"pcd", "cd", "pt"}, default="pcd"
        Where the chains that represent the model start at each step: where they ended
        at the last one (persistent contrastive divergence, also known as stochastic maximum
        likelihood; Tieleman 2008), at the data (contrastive divergence), or as in "pcd" with
        chains at several temperatures for each, which exchange their states (parallel
        tempering, Desjardins et al. 2010).
    n_gibbs_steps : int, default=1
        Gibbs steps of the chains for each update.
    centered : bool, default=True
        Whether to follow the enhanced gradient, that of the machine whose units have their
        mean subtracted (Melchior, Fischer and Wiskott 2016). The likelihood is then better,
        and the same if 0 and 1 are exchanged, but binary hidden units become less sparse,
        and can be worse features for a linear classifier.
    momentum : float, default=0.0
        Fraction of the last step that is added to the next.
    weight_decay : float, default=0.0
        Weight of the penalty: half the sum of the squared weights, without the biases.
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
    rbms_ : list of BernoulliRBM or GaussianRBM
        The fitted machines, from the features up.
    module_ : torch.nn.Module
        The fitted network, on `device_`.
    device_ : torch.device
        Where the network is.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.

    See Also
    --------
    BernoulliRBM : One such machine.
    Autoencoder : With ``pretrain=True`` its layers are trained one by one, too.

    References
    ----------
    G. E. Hinton, S. Osindero and Y.-W. Teh, A Fast Learning Algorithm for Deep Belief Nets,
    Neural Computation 18 (2006).

    G. E. Hinton and R. R. Salakhutdinov, Reducing the Dimensionality of Data with Neural
    Networks, Science 313 (2006).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import DeepBeliefNetwork
    >>> X = load_digits().data / 16
    >>> network = DeepBeliefNetwork((64, 16), n_iter=5, random_state=0).fit(X)
    >>> network.transform(X).shape
    (1797, 16)
    >>> tuned = network.to_autoencoder(max_iter=20, tol=0.01, random_state=0).fit(X)
    >>> bool(tuned.score(X) > network.to_autoencoder().score(X))
    True
    """

    _can_wait = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": [tuple, list],
        "visible": [StrOptions({"bernoulli", "gaussian"})],
        **{
            name: BaseRBM._parameter_constraints[name]
            for name in (
                "learning_rate",
                "batch_size",
                "n_iter",
                "verbose",
                "random_state",
                "algorithm",
                "n_gibbs_steps",
                "centered",
                "momentum",
                "weight_decay",
                "checkpoint",
                "checkpoint_every",
                "device",
            )
        },
    }

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (256, 64),
        *,
        visible: str = "bernoulli",
        learning_rate: float = 0.1,
        batch_size: int = 10,
        n_iter: int = 10,
        verbose: bool | int = 0,
        random_state: int | np.random.RandomState | None = None,
        algorithm: str = "pcd",
        n_gibbs_steps: int = 1,
        centered: bool = True,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        checkpoint: str | os.PathLike | None = None,
        checkpoint_every: int = 1,
        device: str | torch.device = "auto",
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.visible = visible
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.verbose = verbose
        self.random_state = random_state
        self.algorithm = algorithm
        self.n_gibbs_steps = n_gibbs_steps
        self.centered = centered
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the machines to `X`, from the features up.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. A source of `skae.streaming` is read a window at a time.
        y : None
            Ignored, here for consistency.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid; nothing changes then.
        KeyboardInterrupt
            After Ctrl-C. What was learned in complete epochs is then kept if all machines have
            learned for one; else nothing changes.
        """
        with all_or_nothing(self):
            rows, *_ = self._validated(X, None, None, reset=True)
            self._forget(keep_curves=False)
            machines = self._new_machines()
            context = self._init_callback_context(max_subtasks=len(machines))
            context.call_on_fit_task_begin(estimator=self, X=X)
            interrupted = self._train(machines, rows, "fit", context, X)
        context.call_on_fit_task_end(estimator=self, X=X, reconstruction_attributes={})
        if interrupted:
            raise KeyboardInterrupt
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Let each machine go through the rows of `X` once, from the features up.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            A chunk of any number of rows.
        y : None
            Ignored, here for consistency.

        Returns
        -------
        self : object
            The estimator, fitted to one more chunk.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid, or if a weight stops being finite;
            the estimator is then as it was before the call.
        KeyboardInterrupt
            After Ctrl-C; the estimator is then as it was before the call.
        """
        with all_or_nothing(self), gradients_enabled():
            first = not hasattr(self, "rbms_")
            changed = set() if first else set(changed_parameters(self, self._parameters))
            if changed & {"hidden_layer_sizes", "visible"}:
                raise ValueError(
                    "partial_fit cannot go on from the last fit, because hidden_layer_sizes or "
                    "visible was changed since; call fit to start anew."
                )
            X, *_ = self._validated(X, None, None, reset=first)
            # Copies, since the lower ones have learned when a higher one fails.
            machines = self._new_machines() if first else copy.deepcopy(self.rbms_)
            self._train(machines, X, "partial_fit", NoContext())
        return self

    def _check_values(self, X: Any) -> None:
        if self.visible == "bernoulli":
            check_probabilities(X, type(self).__name__, 'set visible="gaussian"')

    def _new_machines(self) -> list[BaseRBM]:
        sizes = self.hidden_layer_sizes
        if not sizes or not all(map(is_positive_int, sizes)):
            raise ValueError(
                "hidden_layer_sizes must be one or more positive integers, got "
                f"{self.hidden_layer_sizes!r}."
            )
        random_state = new_random_state(self.random_state)
        machines: list[BaseRBM] = []
        for i, size in enumerate(sizes):
            gaussian = i == 0 and self.visible == "gaussian"
            machine = (GaussianRBM if gaussian else BernoulliRBM)(size)
            machine.random_state = random_state.randint(MAX_SEED)
            machines.append(machine)
        return machines

    def _hand_down_parameters(self, machine: BaseRBM, number: int) -> None:
        machine._network = self.get_params(deep=False)
        for name, value in machine._network.items():
            if name not in ("hidden_layer_sizes", "visible", "random_state"):
                setattr(machine, name, value)
        if self.checkpoint is not None:
            machine.checkpoint = os.path.join(self.checkpoint, f"layer_{number}")
        if isinstance(machine, GaussianRBM):
            machine.learning_rate = _GAUSSIAN_PART * self.learning_rate

    def _train(
        self, machines: list[BaseRBM], rows: Any, method: str, context: Any, X: Any = None
    ) -> bool:
        """Train machine by machine; return whether Ctrl-C ended that when all have learned.

        `rows` are those of `X`, which callbacks in `context` are shown, once they are validated.
        """
        interrupted = False
        for number, machine in enumerate(machines, start=1):
            self._hand_down_parameters(machine, number)
            layer = context.subcontext(task_name="layer")
            with layer.propagate_callback_context(machine):
                layer.call_on_fit_task_begin(estimator=self, X=X)
                try:
                    getattr(machine, method)(rows)
                except KeyboardInterrupt:
                    interrupted = method == "fit" and hasattr(machines[-1], "module_")
                    if not interrupted:
                        raise
                finally:
                    machine._network = None
            self._keep_machines(machines[:number])
            if layer.call_on_fit_task_end(estimator=self, X=X, reconstruction_attributes={}):
                break
            if number < len(machines):
                rows = through(machine.transform, rows)
        return interrupted

    def _keep_machines(self, machines: list[BaseRBM]) -> None:
        self.rbms_ = machines
        self._keep_module(StackModule([machine.module_ for machine in machines]))

    def _keep_module(self, module: Trainable) -> None:
        BaseTorchEstimator._keep_module(self, module)
        self._n_features_out = self.rbms_[-1].n_components

    # -- inference -------------------------------------------------------------------------

    def transform(self, X: Any, layer: int = -1) -> np.ndarray:
        """Return the mean hidden units of a layer for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to code.
        layer : int, default=-1
            Which layer, counted as in a list from the lowest one; the default is the top.

        Returns
        -------
        ndarray of shape (n_samples, hidden_layer_sizes[layer])
        """
        check_is_fitted(self)
        n_layers = self._n_layers(layer)
        return self._read(X, lambda module, x: module.encode(x, n_layers))

    def inverse_transform(self, X: Any, layer: int = -1) -> np.ndarray:
        """Return the mean of the features for hidden units of a layer.

        Parameters
        ----------
        X : array-like of shape (n_samples, hidden_layer_sizes[layer])
            Codes.
        layer : int, default=-1
            Which layer they are of.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        n_layers = self._n_layers(layer)
        Z = validate_codes(self, X, self.rbms_[n_layers - 1].n_components)
        return read(self.module_, lambda module, z: module.decode(z, n_layers), Z)

    def _n_layers(self, layer: int) -> int:
        """Return how many machines there are up to a layer."""
        n_layers = len(self.rbms_)
        if not is_integer(layer) or not -n_layers <= layer < n_layers:
            raise ValueError(
                f"layer must be an integer from {-n_layers} to {n_layers - 1}, got {layer!r}."
            )
        return layer % n_layers + 1

    def reconstruct(self, X: Any) -> np.ndarray:
        """Return ``inverse_transform(transform(X))``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to rebuild.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        return self._read(X, lambda module, x: module.decode(module.encode(x)))

    def sample(self, n_samples: int = 1, *, n_gibbs_steps: int = 1000) -> np.ndarray:
        """Draw from the top machine, and return the mean of the features below it.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        n_gibbs_steps : int, default=1000
            Steps of each Markov chain of the top machine.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The same for each call if `random_state` is an int.
        """
        check_is_fitted(self)
        codes = self.rbms_[-1].sample(n_samples, n_gibbs_steps=n_gibbs_steps)
        return self.inverse_transform(codes, len(self.rbms_) - 2) if len(self.rbms_) > 1 else codes

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the mean squared reconstruction error per feature of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            Higher is more normal. The likelihood of a deep belief network is not known.
        """
        return super().score_samples(X)

    def to_autoencoder(self, **parameters: Any) -> Autoencoder:
        """Unroll the network into an autoencoder that has its weights (fine-tuning).

        Parameters
        ----------
        **parameters : dict
            Learning parameters of the autoencoder, such as `learning_rate` or `max_iter`.
            Its layers, activations and loss are those of the network.

        Returns
        -------
        Autoencoder
            Fitted: its `transform` and `reconstruct` are those of the network. With
            ``warm_start=True``, so that its `fit` goes on from these weights.
        """
        check_is_fitted(self)
        *widths, n_components = (machine.n_components for machine in self.rbms_)
        unrolled = Autoencoder(
            n_components,
            hidden_layers=Dense(tuple(widths), activation="sigmoid"),
            code_activation="sigmoid",
            loss="squared_error" if self.visible == "gaussian" else "binary_cross_entropy",
            **{"warm_start": True, "device": self.device, **parameters},
        )
        layers = [machine.module_.as_layers() for machine in self.rbms_]
        unroll(unrolled, layers, like=self)
        return unrolled
