"""The dictionary autoencoder: sparse codes over an overcomplete dictionary of directions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._training import Source, TrainingState
from ._base import BaseAutoencoder
from ._checks import warn_of_dead_units
from ._dictionary_module import DictionaryModule
from ._dictionary_reading import code_statistics, geometric_median, top_activating
from ._saelens import ReadsSAELens
from ._selection import SELECTIONS


class DictionaryAutoencoder(ReadsSAELens, BaseAutoencoder):
    """Sparse autoencoder of activations: rebuilds rows as sparse sums of directions.

    The activations of a layer of a network are thought to hold more features than the layer has
    units: each is a direction, and few are present in a row. A linear decoder of many directions
    of length 1, a dictionary, and an encoder that activates few of them for each row look for
    these (Bricken et al. 2023). `sparsity` says how the active units are selected.

    Parameters
    ----------
    n_components : int, default=256
        Width of the code. It may exceed the number of features.
    sparsity : str, default="batch_topk"
        What selects the active units:

        - "batch_topk" keeps, in training, the largest pre-activations of a batch, `k` times
          its number of rows, so that a row may have more active units than another
          (Bussmann et al. 2024). At inference it keeps those above a threshold, the running
          mean of the smallest one that was kept;
        - "matryoshka" does the same for nested dictionaries: the first units alone, up to each of
          the `widths`, are to rebuild the rows too, which keeps general features from being
          split up among special ones (Bussmann et al. 2025);
        - "jumprelu" keeps what is above a threshold that each unit learns, with a penalty on the
          number of active units (Rajamanoharan et al. 2024b);
        - "gated" decides by one pre-activation whether a unit is active, with a penalty on its
          size, and by another how much (Rajamanoharan et al. 2024a).
    alpha : float, default=1.0
        Weight of the penalty beside the squared error of a row, of "jumprelu" (per active unit)
        and "gated" (per unit of size of a gate).
    k : float, default=25
        Mean number of active units per row in training, of "batch_topk" and "matryoshka": at
        least one per batch, and at most all of them.
    widths : sequence of int, default=None
        Numbers of units, increasing, that rebuild the rows by themselves, of "matryoshka";
        `n_components` is added. None is a sixteenth, an eighth, a quarter, half and all.
    bandwidth : float, default=0.1
        Width, in units of the code, of the region around its threshold in which a pre-activation
        moves it, of "jumprelu". The thresholds start at this value.
    aux_weight : float, default=1.0
        Weight of the auxiliary loss by which dead units learn: the squared error of what they
        make of the residual of the others (Gao et al. 2024). 0 leaves them dead.
    dead_after : int, default=10000
        Number of rows (the sum of their weights) without being active after which a unit counts
        as dead.
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
    components_ : ndarray of shape (n_components, n_features)
        The dictionary: the direction of each unit, of length 1.
    thresholds_ : ndarray of shape (n_components,) or None
        The value above which each unit is active; None for "gated".
    firing_counts_ : ndarray of shape (n_components,)
        Number of rows in training that activated each unit (the sum of their weights), since
        training began: `partial_fit` and a warm start go on counting.
    n_samples_seen_ : float
        Number of rows in training (the sum of their weights) that were counted; an epoch counts
        all of its rows.
    dead_units_ : ndarray of shape (n_dead_units,)
        Indices of the units that were not active for the last `dead_after` rows, or not at all.
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
    SparseAutoencoder : Sparse codes with hidden layers: by an L1 penalty, the k largest units of
        each row, or winners over the batch.
    WinnerTakeAllAutoencoder : Sparse codes of images and signals, by convolutional layers.
    sklearn.decomposition.DictionaryLearning : Sparse codes by optimisation, row by row.
    skae.metrics.mean_max_cosine_similarity : How near a dictionary is to a known one.
    skae.metrics.matched_f1_score : How well units detect known features.

    Notes
    -----
    The loss is the objective of the paper divided by the number of features.

    The decoder is a weight matrix divided by the lengths of its rows. So its directions have
    length 1 after each step, and the gradient has no part along them. Encoder and decoder start
    with the same weights, of length 0.1, which the first steps turn far. The bias of the decoder
    starts at the geometric median of the rows (of some of them, where there are many), and is
    subtracted before the encoder.

    Activations come in millions: give `fit` a memory map of float32, or a source of
    `skae.streaming` (whose chunks may be float16), or give `partial_fit` one chunk after the other;
    with batches of 1,000 rows or more, and a small `max_iter`. Scale them so that their
    mean squared entry is about 1; `bandwidth` and `alpha` depend on the scale.

    A row of weight 2 counts as two equal rows: in `k`, in the counts and in the thresholds.

    `dead_after` should leave a rare feature time to occur: several times the inverse of its
    frequency.

    References
    ----------
    T. Bricken et al., Towards Monosemanticity: Decomposing Language Models With Dictionary
    Learning, Transformer Circuits Thread (2023).

    L. Gao et al., Scaling and Evaluating Sparse Autoencoders, arXiv:2406.04093 (2024).

    B. Bussmann, P. Leask and N. Nanda, BatchTopK Sparse Autoencoders, arXiv:2412.06410 (2024).

    B. Bussmann, N. Nabeshima, A. Karvonen and N. Nanda, Learning Multi-Level Features with
    Matryoshka Sparse Autoencoders, ICML 2025, arXiv:2503.17547.

    S. Rajamanoharan et al., Improving Dictionary Learning with Gated Sparse Autoencoders,
    arXiv:2404.16014 (2024a).

    S. Rajamanoharan et al., Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse
    Autoencoders, arXiv:2407.14435 (2024b).

    Examples
    --------
    Rows that are sums of few of 20 directions in 10 dimensions, with more units than directions:

    >>> import numpy as np
    >>> from skae import DictionaryAutoencoder
    >>> from skae.metrics import mean_max_cosine_similarity
    >>> rng = np.random.default_rng(0)
    >>> directions = rng.normal(size=(20, 10))
    >>> activations = rng.random((5000, 20)) * (rng.random((5000, 20)) < 0.05)
    >>> X = activations @ directions
    >>> dictionary = DictionaryAutoencoder(
    ...     30, k=1, learning_rate=0.01, max_iter=30, tol=0, random_state=0
    ... ).fit(X)
    >>> mean_max_cosine_similarity(directions, dictionary.components_) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        "sparsity": [StrOptions(set(SELECTIONS))],
        "k": [Interval(Real, 0, None, closed="neither")],
        "widths": ["array-like", None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "bandwidth": [Interval(Real, 0, None, closed="neither")],
        "aux_weight": [Interval(Real, 0, None, closed="left")],
        "dead_after": [Interval(Integral, 1, None, closed="left")],
    }

    #: Encoder and decoder are one layer each, and the error is squared.
    hidden_layers = ()
    loss = "squared_error"
    missing_values = "refuse"

    module_: DictionaryModule

    def __init__(
        self,
        n_components: int = 256,
        *,
        sparsity: str = "batch_topk",
        alpha: float = 1.0,
        k: float = 25,
        widths: Sequence[int] | None = None,
        bandwidth: float = 0.1,
        aux_weight: float = 1.0,
        dead_after: int = 10000,
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
        self.n_components = n_components
        self.sparsity = sparsity
        self.alpha = alpha
        self.k = k
        self.widths = widths
        self.bandwidth = bandwidth
        self.aux_weight = aux_weight
        self.dead_after = dead_after
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.learning_rate_schedule = learning_rate_schedule
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _make_module(self, n_features: int) -> DictionaryModule:
        return DictionaryModule(
            SELECTIONS[self.sparsity](self),
            n_features=n_features,
            n_components=self.n_components,
            aux_weight=self.aux_weight,
            dead_after=self.dead_after,
        )

    def _initialise(
        self,
        module: Any,
        source: Source,
        random_state: np.random.RandomState,
        *,
        streaming: bool,
    ) -> None:
        super()._initialise(module, source, random_state, streaming=streaming)
        start = torch.from_numpy(geometric_median(source))
        module.decoder.bias.data.copy_(start)

    def _keep_module(self, module: Any) -> None:
        super()._keep_module(module)
        with torch.no_grad():
            thresholds = module.selection.thresholds(module.n_components)
            self.thresholds_ = None if thresholds is None else thresholds.numpy(force=True).copy()
            self.firing_counts_ = module.n_active.numpy(force=True).copy()
            self.n_samples_seen_ = float(module.n_seen)
            is_dead = (module.n_idle >= module.dead_after) | (module.n_active == 0)
            self.dead_units_ = np.flatnonzero(is_dead.numpy(force=True))

    @property
    def components_(self) -> np.ndarray:
        """The dictionary: the direction of each unit, of length 1."""
        check_is_fitted(self)
        with torch.no_grad():
            return self.module_.decoder.directions().numpy(force=True)

    def _comment_on(self, state: TrainingState, source: Source) -> None:
        super()._comment_on(state, source)
        remedy = f"{self.module_.selection.remedy}, a larger aux_weight"
        warn_of_dead_units(self, "dead", remedy)

    def _smaller_penalties(self) -> str:
        # Those that select a number of units have none.
        return super()._smaller_penalties() if hasattr(self.module_.selection, "alpha") else ""

    def code_statistics(self, X: Any) -> Bunch:
        """Return how sparse the codes of rows are, and how well they rebuild the rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or source
            Rows, of which some are in memory at a time if they are a memory map of float32 or
            float64, or a `ParquetSource` or `ChunkSource` of `skae.streaming`.

        Returns
        -------
        Bunch
            With

            - explained_variance : float, the share of the variance of the rows that their
              reconstructions explain: 1 - (squared error) / (squared distance from the mean);
            - l0 : float, the mean number of active units of a row;
            - dead_share : float, the share of the units that no row activates;
            - density : ndarray of shape (n_components,), the share of the rows that activate
              each unit.
        """
        return code_statistics(self, X)

    def top_activating(self, X: Any, unit: int, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that activate a unit most.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or source
            Rows, of which some are in memory at a time if they are a memory map of float32 or
            float64, or a `ParquetSource` or `ChunkSource` of `skae.streaming`.
        unit : int
            Index of the unit.
        k : int, default=10
            How many rows to return, at most.

        Returns
        -------
        indices : ndarray of int of shape (n_found,)
            Their numbers in `X`, the most active first; fewer than `k` if fewer are active.
        values : ndarray of shape (n_found,)
            The activation of the unit by each.

        Raises
        ------
        ValueError
            If there is no such unit, or `k` is no positive integer.
        """
        return top_activating(self, X, unit, k)
