"""The adversarial autoencoder, and its stable form by the mean discrepancy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from .._random import MAX_SEED, Generator
from .._training import Batch, Source, Step
from ..layers import Dense, keep_number
from ..losses import prior_discrepancy, squared_slopes
from ._base import BaseAutoencoder
from ._generative import GenerativeAutoencoder
from ._module import AutoencoderModule
from ._priors import PRIORS

# Weight of the squared slope of the discriminator (Mescheder et al. 2018), and its rates of decay.
_SLOPE, _BETAS = 0.5, (0.5, 0.999)


class MatchingModule(AutoencoderModule):
    """The error of the decoded code, plus the discrepancy of the codes from the prior."""

    alpha: Tensor

    def __init__(self, *, alpha: float, prior: str, **arguments: Any):
        super().__init__(**arguments)
        self.prior = prior
        keep_number(self, "alpha", alpha)

    def sample_noise(self, batch: Batch, generator: Generator) -> Any:
        draws = PRIORS[self.prior].draw(generator, (len(batch.x), self.n_components))
        return draws, super().sample_noise(batch, generator)

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        return self.loss_of_code(self.training_code(batch.x, noise[1]), batch, noise)

    def loss_of_code(self, code: Tensor, batch: Batch, noise: Any) -> Tensor:
        """Return the loss of each row by its code."""
        draws, layer_noise = noise
        error = self.decoding_loss(code, batch.x, layer_noise)
        return error + self.alpha * self.mismatch(code, draws, batch.weight)

    def mismatch(self, code: Tensor, draws: Tensor, weight: Tensor | None) -> Tensor:
        """Return what keeps the codes from being distributed as the prior."""
        distance = PRIORS[self.prior].squared_distance(self.n_components)
        return prior_discrepancy(code, draws, weight, distance)


class AdversarialModule(MatchingModule):
    """The error of the decoded code, plus how well a discriminator tells codes from the prior."""

    def __init__(self, **arguments: Any):
        super().__init__(**arguments)
        self.discriminator = Dense((128, 128)).make_encoder(self.n_components, 1)

    def mismatch(self, code: Tensor, draws: Tensor, weight: Tensor | None) -> Tensor:
        return F.softplus(-self.discriminator(code))[:, 0]

    def discriminator_losses(self, code: Tensor, draws: Tensor) -> Tensor:
        """Return what the discriminator minimises, for each code and draw of the prior."""
        losses = F.softplus(self.discriminator(code)) + F.softplus(-self.discriminator(draws))
        # The slope at the prior is held down, or the two circle around each other.
        (slopes,) = squared_slopes(self.discriminator, draws)
        return losses[:, 0] + _SLOPE * slopes

    def parameter_groups(self) -> Sequence[Mapping[str, Any]]:
        """One optimizer for the autoencoder, and one for the discriminator."""
        discriminator = list(self.discriminator.parameters())
        others = [p for p in self.parameters() if all(p is not one for one in discriminator)]
        return [{"params": others}, {"params": discriminator, "betas": _BETAS}]

    def training_step(self, batch: Batch, noise: Any, step: Step) -> dict[str, Tensor]:
        """Let the discriminator tell codes from the prior, then the autoencoder learn."""
        code = self.training_code(batch.x, noise[1])  # once, for the running statistics of layers
        weight = torch.ones_like(code[:, 0]) if batch.weight is None else batch.weight
        loss = (weight * self.loss_of_code(code, batch, noise)).mean()
        losses = self.discriminator_losses(code.detach(), noise[0])
        of_discriminator = (weight * losses).mean()
        for optimizer, one in zip(step.optimizers, (loss, of_discriminator), strict=True):
            optimizer.zero_grad()
            learning = [p for p in optimizer.param_groups[0]["params"] if p.requires_grad]
            if learning:  # unless a callback froze them
                one.backward(inputs=learning)
        step.on_gradients()
        for optimizer in step.optimizers:
            optimizer.step()
        return {"loss": loss.detach(), "discriminator_loss": of_discriminator.detach()}


class AdversarialAutoencoder(GenerativeAutoencoder):
    """Autoencoder whose codes are distributed as a prior, so that it can be sampled.

    To the error is added how much the codes of a batch differ from draws of the prior: their
    maximum mean discrepancy (the Wasserstein autoencoder of Tolstikhin et al. 2018), or how
    well a discriminator tells them from the prior (Makhzani et al. 2016).

    Parameters
    ----------
    n_components : int, default=32
        Width of the code. It may exceed the number of features.
    prior : {"gaussian", "uniform", "gaussian_mixture", "swiss_roll"}, default="gaussian"
        Distribution of the codes: standard normal; uniform between -1 and 1; ten
        Gaussians on a circle of radius 3; or a spiral of two turns and radius 3. The last two are
        in the plane of the first two components, and the other components are normal.
    regularizer : {"mmd", "adversarial"}, default="mmd"
        The penalty that holds the codes to the prior: the maximum mean discrepancy with inverse
        multiquadratic kernels, which is stable; or how well a discriminator of two hidden layers
        of 128 units, which learns beside the autoencoder, tells them from it (the loss then need
        not fall).
    alpha : float, default=0.1
        Weight of the penalty, beside the mean error of a feature.
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
    code_mixture_ : GaussianMixture
        Ten normal distributions, with diagonal covariances, that describe the codes of the
        training rows (of the last chunk, after `partial_fit`), or of 2000 of them.

    See Also
    --------
    GenerativeAdversarialNetwork : Its discriminator looks at the rows, too.

    Notes
    -----
    The error is a mean over the features. The weight of Tolstikhin et al., whose error is a
    sum, is `alpha` times the number of features. The discrepancy is estimated batch by batch:
    batches of some hundred rows do.

    References
    ----------
    A. Makhzani, J. Shlens, N. Jaitly, I. Goodfellow and B. Frey, Adversarial Autoencoders, ICLR
    2016 workshop.

    I. Tolstikhin, O. Bousquet, S. Gelly and B. Schölkopf, Wasserstein Auto-Encoders, ICLR 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AdversarialAutoencoder
    >>> X = load_digits().data / 16
    >>> autoencoder = AdversarialAutoencoder(8, max_iter=20, tol=0.01, random_state=0).fit(X)
    >>> autoencoder.sample(3).shape
    (3, 64)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        "prior": [StrOptions(set(PRIORS))],
        "regularizer": [StrOptions({"mmd", "adversarial"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
    }

    module_: MatchingModule

    def __init__(
        self,
        n_components: int = 32,
        *,
        prior: str = "gaussian",
        regularizer: str = "mmd",
        alpha: float = 0.1,
        hidden_layers: Sequence[int] | Any = (128,),
        code_activation: str = "identity",
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
        self.prior = prior
        self.regularizer = regularizer
        self.alpha = alpha

    def _make_module(self, n_features: int) -> MatchingModule:
        least = PRIORS[self.prior].least
        if self.n_components < least:
            raise ValueError(
                f"prior={self.prior!r} lies in a plane and needs n_components of at least {least}, "
                f"got {self.n_components}."
            )
        kind = MatchingModule if self.regularizer == "mmd" else AdversarialModule
        arguments = self._module_arguments(n_features)
        return kind(alpha=self.alpha, prior=self.prior, **arguments)

    def _prior_codes(self, n_samples: int, random_state: np.random.RandomState) -> np.ndarray:
        generator = Generator(random_state.randint(MAX_SEED))  # of the CPU: the same on any device
        return PRIORS[self.prior].draw(generator, (n_samples, self._n_features_out)).numpy()

    def _loss_of_mean(self, source: Source) -> None:
        """Return nothing: the penalty is no error, by which a fit could beat the mean."""
