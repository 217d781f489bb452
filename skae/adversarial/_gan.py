"""The generative adversarial network with an encoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import gen_batches
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._compute import DENSE_NUMBERS, chunk_rows
from .._features import FeatureLearner
from .._random import new_random_state
from .._training import (
    SCHEDULES,
    Plan,
    Source,
    TrainingState,
    check_callbacks,
    joined,
    read,
)
from .._typed import _fit_context
from .._warn import warn
from ..layers import (
    ACTIVATIONS,
    check_is_module,
    is_from_elsewhere,
    is_positive_int,
    make_layers,
)
from ._discriminator import Discriminator
from ._diversity import coverage
from ._module import GANModule
from ._objectives import OBJECTIVES

# Below this part of the rows, `fit` warns of mode collapse.
_FEW_COVERED = 0.5

# Rows that `diversity_` looks at.
_ROWS_TO_COVER = 1000

# Width of the last hidden layer of the discriminator.
_WIDTH = 128

# Candidates of which the discriminator chooses a sample.
_N_CANDIDATES = 64

# What the curves of the engine are called.
_CURVES = {"train_loss": "discriminator_loss", "train_generator_loss": "generator_loss"}


class GenerativeAdversarialNetwork(FeatureLearner):
    """Generative adversarial network with an encoder: learns to generate rows and to code them.

    A generator maps normally distributed codes to rows, an encoder maps rows to codes, and a
    discriminator learns to tell pairs of a row and its code from pairs of a code and the row
    generated from it, and real rows from generated ones (Donahue et al. 2017; Dumoulin et al.
    2017; Donahue and Simonyan 2019). The first two learn to leave it no difference: then the
    generated rows are distributed as those of the data, and the encoder inverts the generator.

    Parameters
    ----------
    n_components : int, default=32
        Width of the code. It may exceed the number of features, but then rows fill only a
        part of the space of codes, and codes drawn at random are less like those of rows.
    hidden_layers : tuple of int or object, default=(128, 128, 128)
        Widths of the hidden layers of the encoder, between features and code, mirrored by
        the generator. Or an architecture from `skae.layers`, or any object with the
        methods `make_encoder` and `make_decoder`.
    discriminator_layers : tuple of int or object, default=None
        The same for the discriminator, whose last hidden layer comes after these and has 128
        units. None takes `hidden_layers`.
    output_activation : str, default="identity"
        Activation of the output of the generator: "identity", "sigmoid" for values
        between 0 and 1, "tanh" for values between -1 and 1, or another of `Dense`.
    loss : {"non_saturating", "hinge", "wasserstein_gp"}, default="non_saturating"
        What the networks minimise: the cross-entropy of the discriminator, whose probabilities
        generator and encoder push up (Goodfellow et al. 2014); a hinge (Lim and Ye 2017); or the
        difference of the scores (Gulrajani et al. 2017), which needs a `gradient_penalty` of some
        10, and five steps of the discriminator for one of generator and encoder.
    gradient_penalty : float, default=1e-4
        Weight of the penalty on the gradients of the discriminator: with "wasserstein_gp" on
        their distance from length 1 between real and generated rows, else on their
        squared length at real ones (Mescheder et al. 2018). The latter keeps the scores of
        "non_saturating" and "hinge" from growing without bound; as it depends on the units of `X`,
        try powers of 10.
    code_gradient_penalty : float, default=0.1
        The same for the gradients by the codes of real rows, whose unit is known: that of
        normal draws. Without it the scores of pairs become so steep that codes of rows may
        run away from normal ones. Not used by "wasserstein_gp", whose `gradient_penalty` is one
        of rows and codes together.
    spectral_norm : bool, default=False
        Whether to divide the weights of the discriminator by their largest singular value
        (Miyato et al. 2018), so that its scores change no faster than the rows.
    reconstruction_weight : float, default=100.0
        Weight of the mean squared error per feature of each row decoded from its code (Li et
        al. 2017, "ALICE"). It ties encoder and generator together, and each kind of row
        to a code from which it is generated; 0 is the network of Donahue et al. (2017).
    mmd_weight : float, default=100.0
        Weight of the maximum mean discrepancy between the codes of a batch and normal ones
        (Tolstikhin et al. 2018), so that codes drawn at random are like those of rows.
    ema_decay : float, default=0.999
        Decay of the exponential moving average of the weights of generator and encoder, which is
        applied after training. It is less in the first steps. 0 takes the last weights.
    n_discriminator_steps : int, default=1
        Steps of the discriminator for each step of generator and encoder, with the same rows
        and new codes.
    learning_rate : float, default=2e-3
        Step size of Adam (Kingma and Ba 2015), of all networks. Its betas are 0.5 and 0.9.
    batch_size : int or "auto", default="auto"
        Upper bound of the rows in a batch; rows are spread evenly over the batches.
        "auto" is ``min(200, n_samples)``.
    n_iter : int, default=200
        Number of epochs.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last fit.
    learning_rate_schedule : {"constant", "linear", "exponential", "cosine"}, default="linear"
        How the learning rate of `fit` goes from epoch to epoch: it stays, or it falls over `n_iter`
        epochs to 0 ("linear", "cosine") or to a hundredth ("exponential").
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
    diversity_ : float
        Fraction of the training rows (of at most 1,000 of them) whose surroundings, up to
        their fifth neighbour, hold one of as many samples: the "coverage" of Naeem et al.
        (2020). About 0.97 for samples distributed as the rows; where samples leave out half of
        the rows, mode collapse, at most half of that. Only after `fit`.
    history_ : dict of lists of float
        The mean loss of each epoch: "discriminator_loss" and "generator_loss", which
        is that of generator and encoder, and what callbacks recorded. Neither loss need fall:
        with "non_saturating" the former rises to ``4 log 2`` where the discriminator cannot tell
        generated rows from real ones.
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
    Autoencoder : Learns codes by reconstruction alone, in a fraction of the time.

    Notes
    -----
    Scale the features to about unit variance first, as with StandardScaler. A step trains the
    discriminator and then generator and encoder, by one batch. No loss says when to stop, so that
    the number of epochs is fixed; look at `diversity_` and at samples.

    The discriminator sees each number of a code as ``3 tanh(z / 3)``, since few normal draws are
    beyond 3: the score of a pair is bounded in the code, and one far out gains nothing by going on.

    A continuous generator connects separate clusters of rows. `sample` lets the discriminator
    choose among several candidates, which leaves out most of what lies between clusters.

    The networks train in float32 and are applied in the dtype of the input. Biases start uniform
    between plus and minus the root of one over the number of inputs.

    References
    ----------
    I. Goodfellow et al., Generative Adversarial Nets, NeurIPS 2014.

    J. Donahue, P. Krähenbühl and T. Darrell, Adversarial Feature Learning, ICLR 2017.

    V. Dumoulin et al., Adversarially Learned Inference, ICLR 2017.

    J. Donahue and K. Simonyan, Large Scale Adversarial Representation Learning, NeurIPS 2019.

    C. Li et al., ALICE: Towards Understanding Adversarial Learning for Joint Distribution
    Matching, NeurIPS 2017.

    I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin and A. Courville, Improved Training of
    Wasserstein GANs, NeurIPS 2017.

    J. H. Lim and J. C. Ye, Geometric GAN, arXiv:1705.02894 (2017).

    L. Mescheder, A. Geiger and S. Nowozin, Which Training Methods for GANs do actually Converge?,
    ICML 2018.

    T. Miyato, T. Kataoka, M. Koyama and Y. Yoshida, Spectral Normalization for Generative
    Adversarial Networks, ICLR 2018.

    I. Tolstikhin, O. Bousquet, S. Gelly and B. Schölkopf, Wasserstein Auto-Encoders, ICLR 2018.

    S. Azadi, C. Olsson, T. Darrell, I. Goodfellow and A. Odena, Discriminator Rejection
    Sampling, ICLR 2019.

    M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi and J. Yoo, Reliable Fidelity and Diversity Metrics for
    Generative Models, ICML 2020.

    A. Radford, L. Metz and S. Chintala, Unsupervised Representation Learning with Deep
    Convolutional Generative Adversarial Networks, ICLR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import GenerativeAdversarialNetwork
    >>> rng = np.random.default_rng(0)
    >>> X = rng.choice([-1, 1], size=(500, 1)) + 0.1 * rng.normal(size=(500, 2))
    >>> network = GenerativeAdversarialNetwork(2, n_iter=20, random_state=0).fit(X)
    >>> network.transform(X).shape
    (500, 2)
    >>> network.sample(3, random_state=0).shape
    (3, 2)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FeatureLearner._parameter_constraints,
        "hidden_layers": [tuple, list, HasMethods(["make_encoder", "make_decoder"])],
        "discriminator_layers": [tuple, list, HasMethods(["make_encoder"]), None],
        "output_activation": [StrOptions(set(ACTIVATIONS))],
        "loss": [StrOptions(set(OBJECTIVES))],
        "gradient_penalty": [Interval(Real, 0, None, closed="left")],
        "code_gradient_penalty": [Interval(Real, 0, None, closed="left")],
        "spectral_norm": ["boolean"],
        "reconstruction_weight": [Interval(Real, 0, None, closed="left")],
        "mmd_weight": [Interval(Real, 0, None, closed="left")],
        "ema_decay": [Interval(Real, 0, 1, closed="left")],
        "n_discriminator_steps": [Interval(Integral, 1, None, closed="left")],
        "n_iter": [Interval(Integral, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "learning_rate_schedule": [StrOptions(set(SCHEDULES) - {"plateau"})],
        "callbacks": [list, tuple, None],
    }

    module_: GANModule

    def __init__(
        self,
        n_components: int = 32,
        *,
        hidden_layers: Sequence[int] | Any = (128, 128, 128),
        discriminator_layers: Sequence[int] | Any = None,
        output_activation: str = "identity",
        loss: str = "non_saturating",
        gradient_penalty: float = 1e-4,
        code_gradient_penalty: float = 0.1,
        spectral_norm: bool = False,
        reconstruction_weight: float = 100.0,
        mmd_weight: float = 100.0,
        ema_decay: float = 0.999,
        n_discriminator_steps: int = 1,
        learning_rate: float = 2e-3,
        batch_size: int | str = "auto",
        n_iter: int = 200,
        warm_start: bool = False,
        learning_rate_schedule: str = "linear",
        callbacks: Sequence[Any] | None = None,
        checkpoint: str | os.PathLike | None = None,
        checkpoint_every: int = 1,
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = 0,
    ):
        self.n_components = n_components
        self.hidden_layers = hidden_layers
        self.discriminator_layers = discriminator_layers
        self.output_activation = output_activation
        self.loss = loss
        self.gradient_penalty = gradient_penalty
        self.code_gradient_penalty = code_gradient_penalty
        self.spectral_norm = spectral_norm
        self.reconstruction_weight = reconstruction_weight
        self.mmd_weight = mmd_weight
        self.ema_decay = ema_decay
        self.n_discriminator_steps = n_discriminator_steps
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.warm_start = warm_start
        self.learning_rate_schedule = learning_rate_schedule
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # -- fitting ---------------------------------------------------------------------------

    def _make_module(self, n_features: int) -> GANModule:
        layers = make_layers(self.hidden_layers)
        if getattr(layers, "tied_weights", False):
            raise ValueError(
                "hidden_layers has tied_weights=True, but generator and encoder learn from "
                "different rows and share no weights; set tied_weights=False."
            )
        maker, of_discriminator = self._discriminator_layers()
        encoder = layers.make_encoder(n_features, self.n_components)
        body = of_discriminator.make_encoder(n_features, _WIDTH)
        generator = layers.make_decoder(n_features, self.n_components, encoder)
        check_is_module(encoder, "make_encoder of hidden_layers")
        check_is_module(generator, "make_decoder of hidden_layers")
        check_is_module(body, f"make_encoder of {maker}")
        return GANModule(
            generator,
            encoder,
            Discriminator(body, _WIDTH, self.n_components, spectral_norm=self.spectral_norm),
            n_components=self.n_components,
            output_activation=self.output_activation,
            loss=self.loss,
            gradient_penalty=self.gradient_penalty,
            code_gradient_penalty=self.code_gradient_penalty,
            reconstruction_weight=self.reconstruction_weight,
            mmd_weight=self.mmd_weight,
            n_discriminator_steps=int(self.n_discriminator_steps),
            ema_decay=self.ema_decay,
        )

    def _discriminator_layers(self) -> tuple[str, Any]:
        """Return the architecture of the discriminator, and the parameter that states it."""
        if self.discriminator_layers is None:
            return "hidden_layers", make_layers(self.hidden_layers)
        return "discriminator_layers", make_layers(self.discriminator_layers)

    def _new_module(self, n_features: int, random_state: np.random.RandomState) -> Any:
        module: Any = super()._new_module(n_features, random_state)
        maker, of_discriminator = self._discriminator_layers()
        if is_from_elsewhere(make_layers(self.hidden_layers)) or is_from_elsewhere(
            of_discriminator
        ):
            module.check_networks(n_features, maker)
        return module

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the networks to `X`, in `n_iter` epochs.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. Of a sparse matrix only a batch at a time is made dense; a source of
            `skae.streaming` is read a window at a time. Here as in all other methods `X` may hold
            samples in the shape that `hidden_layers` has, if any.
        y : None
            Ignored, here for consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, relative to the others: how often rows like it are to be
            generated. A row of weight 0 is left out.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid (nothing changes then), or if the
            loss stops being finite (the last good weights are then kept, if any).
        KeyboardInterrupt
            After Ctrl-C. What was learned in complete epochs is then kept; in the first epoch
            nothing changes.

        Warns
        -----
        ConvergenceWarning
            If the samples cover less than half of the rows; see `diversity_`.
        """
        return self._fit(X, sample_weight, warm=self.warm_start and hasattr(self, "module_"))

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Go through the rows of `X` once, in batches, going on from where the fit is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            A chunk of any number of rows.
        y : None
            Ignored, here for consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a row of weight 0 is left out.

        Returns
        -------
        self : object
            The estimator, fitted to one more chunk.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid, or if the loss stops being finite;
            the estimator is then as it was before the call.
        KeyboardInterrupt
            After Ctrl-C; the estimator is then as it was before the call.
        """
        return self._partial_fit(X, sample_weight)

    def _plan(self, source: Source) -> Plan:
        return Plan(
            max_iter=self.n_iter,
            batch_size=self._batch_size(source),
            learning_rate=self.learning_rate,
            schedule=self.learning_rate_schedule,
            verbose=bool(self.verbose),
        )

    def _callbacks(self, source: Source, validation: Source | None) -> list[Any]:
        return check_callbacks(self.callbacks, validates=False)

    def _keep(self, state: TrainingState, source: Source) -> None:
        super()._keep(state, source)
        curves = {name: state.curve(before) for before, name in _CURVES.items()}
        recorded = {k: curve for k, curve in state.curves().items() if k not in _CURVES}
        self.history_ = joined(getattr(self, "history_", {}), curves | recorded)
        self.n_iter_ = len(self.history_["generator_loss"])
        if hasattr(self, "_state"):  # a chunk says nothing of all rows
            self.__dict__.pop("diversity_", None)
        else:
            rng = new_random_state(self.random_state)
            self.diversity_ = self._diversity(source, rng)

    def _diversity(self, source: Source, rng: np.random.RandomState) -> float:
        n_rows = min(source.n_rows, _ROWS_TO_COVER, max(1, DENSE_NUMBERS // source.n_features))
        chosen = rng.choice(source.n_rows, n_rows, replace=False)
        samples = self._sample(n_rows, rng, self._n_candidates("auto"))
        rows = source.take(torch.as_tensor(chosen, device=source.device)).x
        return coverage(rows.numpy(force=True), samples)

    def _comment_on(self, state: TrainingState, source: Source) -> None:
        super()._comment_on(state, source)
        if self.n_iter and self.diversity_ < _FEW_COVERED:
            warn(
                f"The samples of {type(self).__name__} cover {self.diversity_:.0%} of the training "
                "rows (diversity_): it generates too few kinds of rows (mode collapse), or has not "
                "learned them yet. Raise n_iter or reconstruction_weight, or lower learning_rate "
                f"(now {self.learning_rate:g}).",
                ConvergenceWarning,
            )

    # -- inference ---------------------------------------------------------------------------

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        *,
        n_candidates: int | str = "auto",
    ) -> np.ndarray:
        """Draw rows: what the generator gives for normally distributed codes.

        Each is chosen from `n_candidates` with probabilities proportional to the exponential of
        the discriminator's score, which with ``loss="non_saturating"`` estimates the ratio of the
        densities of real and generated rows: sampling by importance, in the manner of Azadi et
        al. (2019).

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Source of the draws; None takes that of the estimator.
        n_candidates : int or "auto", default="auto"
            Number of rows to choose each one from; 1 takes every row that is generated. "auto" is
            64 with ``loss="non_saturating"``. The scores of the other losses estimate no ratio of
            densities: with them "auto" is 1, and more is an error.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Float32; or with the samples in the shape seen in `fit`.

        Raises
        ------
        ValueError
            If a number is not a positive integer, or if there are several candidates without a
            loss by which to choose among them.
        """
        check_is_fitted(self)
        if not is_positive_int(n_samples):
            raise ValueError(f"n_samples must be a positive integer, got {n_samples!r}.")
        state = self.random_state if random_state is None else random_state
        n_candidates = self._n_candidates(n_candidates)
        return self._in_shape(self._sample(int(n_samples), new_random_state(state), n_candidates))

    def _n_candidates(self, given: int | str) -> int:
        """Return how many candidates a sample is chosen from."""
        estimates_ratio = self.module_.objective == "non_saturating"
        if isinstance(given, str) and given == "auto":
            return _N_CANDIDATES if estimates_ratio else 1
        if not is_positive_int(given):
            raise ValueError(f"n_candidates must be 'auto' or a positive integer, got {given!r}.")
        if given != 1 and not estimates_ratio:
            raise ValueError(
                f"n_candidates={given} needs loss='non_saturating': the scores of "
                f"loss={self.module_.objective!r} estimate no ratio of densities by which to "
                "choose. Set n_candidates=1."
            )
        return int(given)

    def _sample(self, n_samples: int, rng: np.random.RandomState, n_candidates: int) -> np.ndarray:
        parts, n_at_a_time = [], max(1, chunk_rows(n_candidates * self._n_features_out))
        for some in gen_batches(n_samples, n_at_a_time):
            n = some.stop - some.start
            codes = rng.normal(size=(n, n_candidates, self._n_features_out)).astype(np.float32)
            if n_candidates > 1:
                # The largest of logits with Gumbel noise is drawn by their exponentials.
                every = codes.reshape(-1, self._n_features_out)
                scores = read(self.module_, lambda module, z: module.code_score(z), every)
                scores = scores.reshape(n, n_candidates) + rng.gumbel(size=(n, n_candidates))
                codes = np.take_along_axis(codes, scores.argmax(1)[:, None, None], axis=1)
            parts.append(read(self.module_, lambda module, z: module.decode(z), codes[:, 0]))
        return np.concatenate(parts)

    def discriminator_features(self, X: Any) -> np.ndarray:
        """Return the last hidden layer of the discriminator for each row.

        Features for a linear classifier, as in Radford et al. (2016).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, 128)
            In the dtype of `X` if that is float32 or float64, else float64.
        """
        return self._read(X, lambda module, x: module.discriminator_features(x))

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the mean squared error per feature of each row decoded from its code.

        A row that the generator cannot give has a large error (Schlegl et al. 2017; Zenati et
        al. 2018).

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
