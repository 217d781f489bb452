"""The self-organising map as an estimator."""

from __future__ import annotations

import os
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array

from .._compute import DENSE_NUMBERS
from .._missing import fill_with_means, has_missing
from .._training import Plan, Source, TrainingState
from .._typed import _fit_context
from .._warn import warn
from ..base import BaseTorchEstimator
from ._checks import checked_radii, checked_shape
from ._grid import NEIGHBORHOODS, Grid
from ._metrics import METRICS
from ._module import MapModule
from ._reading import MapReader
from ._start import (
    automatic_shape,
    default_radii,
    first_prototypes,
    principal_plane,
)
from ._units import Units

# What is known of the units of a fitted map, until it is fitted again.
_OF_UNITS = ("unit_clusters_", "unit_labels_", "unit_label_counts_", "label_names_")

# More units than this for each row are warned of.
_UNITS_PER_ROW = 10


class SelfOrganizingMap(Units, MapReader):
    """Self-organising map: prototypes of the rows, laid out so that similar ones are close.

    Each unit of a two-dimensional map has a prototype in the space of the rows. The winner of a
    row, its best matching unit, is the one with the nearest prototype; it and, less so, its
    neighbours on the map learn from the row. The neighbourhood radius shrinks during
    training. The result is a clustering whose clusters are ordered on a plane.

    Parameters
    ----------
    shape : tuple of int or "auto", default=(10, 10)
        Rows and columns of the map. "auto" takes about 5 sqrt(n_samples) units (the sum
        of the weights, if any, for n_samples) and as many more rows than columns as
        the data are longer along their first principal component than along the second
        (Vesanto et al. 2000).
    topology : {"rectangular", "hexagonal"}, default="rectangular"
        Whether units lie on a square lattice, or on a hexagonal one where each has six
        neighbours, all 1 apart.
    toroidal : bool, default=False
        Whether the map goes on at the opposite border, and so has none.
    neighborhood : {"gaussian", "bubble", "mexican_hat", "triangle"}, default="gaussian"
        How much a unit at distance d on the map learns from a winner, with radius r:
        exp(-d² / 2r²); 1 up to the radius, 0 beyond; 1.1 exp(-d² / 2r²) - 0.1 exp(-d² / 8r²),
        which pushes away units beyond some 2.5 radii; or 1 - d / r, 0 beyond the radius.
    radius : float, tuple of float or None, default=None
        The radius at the start and at the end, or one for all of the training. With 0 only
        the winner learns: the batch rule is then Lloyd's k-means. None starts with
        0.4 times the longer side of the map, or 0.5 times if the first prototypes are not in
        order already (`init` is not "pca"), at least 1; it ends with 0.25. An end of 1 makes a
        stiffer map, whose topographic error is lower where the rows have much noise in many
        features, or the map many units.
    decay : {"exponential", "linear"}, default="exponential"
        How the radius, and the learning rate of the online rule, go from start to end. By
        the batch rule the radius is there after three quarters of the epochs, or without
        `refine` in the last one.
    algorithm : {"batch", "online"}, default="batch"
        Whether `fit` moves the prototypes once an epoch, to the mean of the rows weighted by
        the neighbourhood, or after each row. The batch rule is faster by far, and its result
        does not depend on the order of the rows.
    refine : bool, default=True
        Whether the batch rule goes beyond Kohonen's, as the Notes say: for maps with smaller
        errors of quantisation and topography. False is the rule of the textbook.
    learning_rate : float, default=0.5
        With the online rule, the part of the way towards a row that its winner goes, at the
        start. It falls from row to row, to a hundredth of that when all rows are through. At
        most 1.
    n_iter : int, default=50
        Number of epochs over the rows.
    init : {"pca", "sample", "random"} or array-like of shape (n_units, n_features), \
default="pca"
        The first prototypes: a grid in the plane of the two leading principal components,
        rows drawn by their weight, uniform numbers between the extremes of each feature,
        or those given.
    metric : {"euclidean", "cosine", "manhattan"}, default="euclidean"
        The distance that decides the winner. With "cosine", 1 minus the cosine of the angle,
        rows and prototypes are compared at unit length, and prototypes have it.
    output : {"distances", "membership", "coordinates"}, default="distances"
        What `transform` returns, and `inverse_transform` takes: the distance from each
        prototype; the probability of each unit, were rows spread around the prototypes
        as far as the training rows are on average; or the position of the winner on the
        map. It can be set after `fit`.
    batch_size : int or "auto", default="auto"
        Number of rows that are dense at a time. It makes no difference to what is learned,
        but for rounding. "auto" takes some 4 million numbers.
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
    verbose : bool or int, default=False
        Whether to show a progress bar with the loss and rows per second.

    Attributes
    ----------
    module_ : torch.nn.Module
        The fitted network, on `device_`.
    device_ : torch.device
        Where the network is.
    codebook_ : ndarray of float64 of shape (n_units, n_features)
        The prototypes in the units of `X`, row by row of the map.
    grid_positions_ : ndarray of shape (n_units, 2)
        Where each unit lies on the map: x along its columns, y along its rows.
    shape_ : tuple of int
        Rows and columns of the map.
    labels_ : ndarray of shape (n_samples,)
        The winner of each row of the last call of `fit` or `partial_fit`.
    quantization_errors_ : list of float
        The mean distance of the rows from their winners in each epoch, before the batch rule
        moved them at its end.
    n_iter_ : int
        Number of epochs.
    unit_clusters_ : ndarray of shape (n_units,)
        The cluster of each unit, after `cluster_units`.
    unit_labels_ : ndarray of shape (n_units,)
        The label of each unit, after `label_units`.
    unit_label_counts_ : ndarray of shape (n_units, n_labels)
        How many of the rows that each unit wins have each label, after `label_units`.
    label_names_ : ndarray of shape (n_labels,)
        The labels in the order of `unit_label_counts_`, after `label_units`.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.

    See Also
    --------
    sklearn.cluster.KMeans : Prototypes without an order.
    skae.som.topographic_error : How often the two nearest units of a row are not adjacent.

    Notes
    -----
    The batch rule puts each prototype, once an epoch, at the mean of all rows, weighted by the
    neighbourhood between its unit and the winner of each (Kohonen 2001). It is refined in four
    ways, all off with a radius of 0 or `refine` False:

    - The radius is held at its end in the last quarter of the epochs, so that the map settles.
    - But for the last 15 % of the epochs, a prototype goes 1.8 times the way to its mean
      (over-relaxation, Xiao 2010), which gets it past poor optima.
    - Once the radius is below 1, a unit that wins no row goes halfway to the adjacent unit whose
      rows have the largest error, until it wins some of them (so does growing neural gas
      place units, Fritzke 1995). The last epoch revives none.
    - If the last radius is below 1, the last of several epochs moves no prototype; instead
      they change places, two at a time, as long as that leaves fewer rows whose two nearest
      prototypes are not adjacent (`skae.som.topographic_error`): a change has to bring that
      about for 1 in 100,000 rows at least, and lengthens the links of the two by a tenth at
      most. Each prototype is tried twice at most. Maps of more than 2,048 units are left as
      they are, since this takes matrices of units by units.

    With or without these, a unit that no row reaches keeps its prototype, and so does one with
    the neighbourhood "mexican_hat" whose weights, of both signs, add up to less than a tenth of
    their absolute values. The memberships of `transform` are as wide as the mean squared
    distance of the rows from their winners in the last epoch or, by the online rule, of the
    last 1,000 rows or so.

    Rows are taken relative to a point near their mean before they are converted to float32, so
    that a large offset, such as that of seconds since 1970, does no harm (sparse rows and the
    metric "cosine" aside). Prototypes, distances and errors are in the units of the rows.
    Values whose squares float32 cannot hold are refused.

    Missing entries, NaN, are left out of distances, which grow as if the others stood for
    them (as in scikit-learn's `nan_euclidean_distances`), and of the means. `impute` fills
    them in.

    `partial_fit` learns by the online rule, in the order of the rows, whatever `algorithm`
    is; how the rows are cut into chunks makes no difference, but for the first chunk,
    which gives the first prototypes. The radius and the learning rate reach their ends
    after 500 rows for each unit. After `fit` they are there from the start.

    With the metric "manhattan" prototypes are means all the same, rather than medians.

    References
    ----------
    T. Kohonen, Self-Organizing Maps, 3rd edition, Springer 2001.

    J. Vesanto, J. Himberg, E. Alhoniemi and J. Parhankangas, SOM Toolbox for Matlab 5,
    Helsinki University of Technology 2000.

    X. Xiao, Over-relaxation Lloyd method for computing centroidal Voronoi tessellations,
    University of South Carolina 2010.

    B. Fritzke, A growing neural gas network learns topologies, NIPS 1995.

    T. Heskes, Self-organizing maps, vector quantization, and mixture modeling, IEEE
    Transactions on Neural Networks 12 (2001): memberships.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import SelfOrganizingMap
    >>> from skae.som import quantization_error
    >>> X, y = load_iris(return_X_y=True)
    >>> som = SelfOrganizingMap((8, 5), random_state=0).fit(X)
    >>> som.codebook_.shape
    (40, 4)
    >>> quantization_error(som, X) < 0.4
    True
    >>> som.label_units(X, y).predict_label(X[:3])
    array([0, 0, 0])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseTorchEstimator._parameter_constraints,
        "shape": [tuple, list, StrOptions({"auto"})],
        "topology": [StrOptions({"rectangular", "hexagonal"})],
        "toroidal": ["boolean"],
        "neighborhood": [StrOptions(set(NEIGHBORHOODS))],
        "radius": [None, tuple, list, Interval(Real, 0, None, closed="left")],
        "decay": [StrOptions({"exponential", "linear"})],
        "algorithm": [StrOptions({"batch", "online"})],
        "refine": ["boolean"],
        "learning_rate": [Interval(Real, 0, 1, closed="right")],
        "n_iter": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"pca", "sample", "random"}), "array-like"],
        "metric": [StrOptions(set(METRICS))],
        "output": [StrOptions({"distances", "membership", "coordinates"})],
    }

    module_: MapModule

    def __init__(
        self,
        shape: tuple[int, int] | str = (10, 10),
        *,
        topology: str = "rectangular",
        toroidal: bool = False,
        neighborhood: str = "gaussian",
        radius: float | tuple[float, float] | None = None,
        decay: str = "exponential",
        algorithm: str = "batch",
        refine: bool = True,
        learning_rate: float = 0.5,
        n_iter: int = 50,
        init: Any = "pca",
        metric: str = "euclidean",
        output: str = "distances",
        batch_size: int | str = "auto",
        checkpoint: str | os.PathLike | None = None,
        checkpoint_every: int = 1,
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = False,
    ):
        self.shape = shape
        self.topology = topology
        self.toroidal = toroidal
        self.neighborhood = neighborhood
        self.radius = radius
        self.decay = decay
        self.algorithm = algorithm
        self.refine = refine
        self.learning_rate = learning_rate
        self.n_iter = n_iter
        self.init = init
        self.metric = metric
        self.output = output
        self.batch_size = batch_size
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # -- fitting ---------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Lay the map out over the rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. NaN stands for a missing entry. A source of `skae.streaming` is read
            a window at a time.
        y : None
            Ignored, here for consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, relative to the others: a row of weight 2 counts as two.

        Returns
        -------
        self : object
            The fitted map.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid, or values are too large or too small to
            be squared in float32 (nothing changes then).
        KeyboardInterrupt
            After Ctrl-C. What was learned in complete epochs is then kept; in the first
            one, nothing changes.

        Warns
        -----
        UserWarning
            If there are more than ten units for each distinct row.
        """
        return self._fit(X, sample_weight)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from the rows of `X` one by one, going on from where the map is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            A chunk of any number of rows.
        y : None
            Ignored, here for consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row: a row of weight 2 counts as the row twice in succession.

        Returns
        -------
        self : object
            The map, fitted to one more chunk.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid; the map is then as it was.
        KeyboardInterrupt
            After Ctrl-C; the map is then as it was.
        """
        return self._partial_fit(X, sample_weight)

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Lay the map out over the rows, and return their winners.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : None
            Ignored, here for consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        ndarray of shape (n_samples,)
            The number of a unit for each row.
        """
        return self.fit(X, sample_weight=sample_weight).labels_

    _weights_are_counts = True

    def _make_module(self, n_features: int) -> MapModule:
        checked_shape(self.shape)
        checked_radii(self.radius, self.decay)
        return MapModule(
            neighborhood=self.neighborhood,
            decay=self.decay,
            metric=self.metric,
            online=self.algorithm == "online",
            refine=bool(self.refine),
        )

    def _initialise(
        self,
        module: MapModule,
        source: Source,
        random_state: np.random.RandomState,
        *,
        streaming: bool,
    ) -> None:
        if not streaming:
            source = source.as_set(self._batch_size(source))
        some = source.spread()  # many rows, if not all: it is only a start
        X, weight, init = some.X, some.sample_weight, self.init
        if not isinstance(init, str):
            init = self._centre.rows(
                check_array(init, dtype=[np.float64, np.float32], input_name="init")
            )
        weight = np.ones(some.n_rows) if weight is None else weight
        shape, plane = checked_shape(self.shape), None
        if isinstance(init, str) or shape is None:
            X = fill_with_means(X, weight)
        hexagonal = self.topology == "hexagonal"
        if shape is None:
            plane = principal_plane(X, weight)
            shape = automatic_shape(source.total_weight, plane[2], hexagonal)
        grid = Grid(shape, hexagonal, bool(self.toroidal))
        codebook = first_prototypes(init, grid, X, weight, random_state, plane)
        radii = checked_radii(self.radius, self.decay)
        module.start(grid, radii or default_radii(init, shape), codebook)
        if not streaming and grid.n_units > _UNITS_PER_ROW * source.n_rows:
            warn(
                f"The map has {grid.n_units} units for {source.n_rows} distinct rows; most of them "
                "will stand for no row. Make shape smaller, or set it to 'auto'.",
            )

    def _untrained_like(self, module: MapModule) -> MapModule:
        untrained = self._make_module(self.n_features_in_)
        shape = checked_shape(self.shape) or module.grid.shape
        radii = checked_radii(self.radius, self.decay) or module.radius
        grid = Grid(shape, self.topology == "hexagonal", bool(self.toroidal))
        untrained.start(grid, radii, module.codebook)
        untrained.gaps = module.gaps
        return untrained

    def _observe(self, module: MapModule, source: Source) -> None:
        module.gaps = any(has_missing(rows) for rows, _ in source.chunks())

    def _plan(self, source: Source) -> Plan:
        return Plan(
            max_iter=self.n_iter,
            batch_size=self._batch_size(source),
            learning_rate=self.learning_rate,
            shuffled=self.algorithm == "online",
            shares_parts=True,
            verbose=bool(self.verbose),
        )

    def _plan_chunk(self, source: Source) -> Plan:
        return replace(super()._plan_chunk(source), shuffled=False)

    def _batch_size(self, source: Source) -> int:
        if self.batch_size == "auto":
            return min(max(1, DENSE_NUMBERS // source.n_features), source.n_rows)
        return super()._batch_size(source)

    def _advice_on_divergence(self, state: TrainingState) -> str:
        n_complete = len(state.history)
        kept = "the last good prototypes are kept" if n_complete else "nothing is kept of this call"
        return (
            f"The distances of SelfOrganizingMap stopped being finite in epoch {n_complete + 1}; "
            f"{kept}. Scale X first, for example with StandardScaler, or take "
            "neighborhood='gaussian' and refine=False."
        )

    def _keep(self, state: TrainingState, source: Source) -> None:
        super()._keep(state, source)
        before = getattr(self, "quantization_errors_", [])
        self.quantization_errors_ = [*before, *state.curve("train_loss")]
        self.n_iter_ = len(self.quantization_errors_)
        for name in _OF_UNITS:  # of the prototypes as they were
            if hasattr(self, name):
                delattr(self, name)

    def _keep_labels(self, X: Any) -> None:
        self.labels_ = self.predict(X)
