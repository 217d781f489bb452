"""The denoising autoencoder and its kinds of noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .._inheritance import inherit_parameters
from .._random import MAX_SEED, Generator, new_random_state
from .._training import Batch, as_source
from .._validation import shape_of, validate_rows
from ._autoencoder import Autoencoder
from ._module import AutoencoderModule


class Noise(NamedTuple):
    """A kind of corruption: what it draws for a batch, and what it makes of it."""

    draw: Callable[[Tensor, Generator], Any]
    corrupt: Callable[[Tensor, Any, Tensor], Tensor]


def _uniform(x: Tensor, generator: Generator) -> Tensor:
    return generator.uniform(tuple(x.shape), x.dtype)


def _normal(x: Tensor, generator: Generator) -> Tensor:
    return generator.normal(tuple(x.shape), x.dtype)


def _uniform_and_other_row(x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    n_others = max(len(x) - 1, 1)
    step = torch.randint(1, n_others + 1, x.shape, generator=generator, device=x.device)
    own = torch.arange(len(x), device=x.device).view(-1, *[1] * (x.ndim - 1))
    return _uniform(x, generator), (own + step) % len(x)


def _add_gaussian(x: Tensor, normal: Tensor, level: Tensor) -> Tensor:
    return x + level * normal


def _mask(x: Tensor, uniform: Tensor, level: Tensor) -> Tensor:
    return x * (uniform >= level)


def _salt_and_pepper(x: Tensor, uniform: Tensor, level: Tensor) -> Tensor:
    low, high = x.amin(0), x.amax(0)
    return torch.where(uniform < level / 2, low, torch.where(uniform < level, high, x))


def _swap(x: Tensor, draws: tuple[Tensor, Tensor], level: Tensor) -> Tensor:
    uniform, other_row = draws
    return torch.where(uniform < level, x.gather(0, other_row), x)


#: Kinds of noise by name.
NOISES = {
    "gaussian": Noise(_normal, _add_gaussian),
    "masking": Noise(_uniform, _mask),
    "salt_and_pepper": Noise(_uniform, _salt_and_pepper),
    "swap": Noise(_uniform_and_other_row, _swap),
}


class DenoisingModule(AutoencoderModule):
    """The error of rebuilding a batch from its corrupted copy.

    The level of the noise is `noise_level`, or where there are `levels`, one of them for
    each row; with `spread` it is drawn for each row up to `noise_level`. Reading corrupts
    a row with each of `score_draws` at the level beside it, if there are any.
    """

    noise_level: Tensor
    levels: Tensor | None
    score_draws: Tensor | None
    score_levels: Tensor

    def __init__(
        self,
        *,
        noise: str,
        noise_level: float,
        levels: Sequence[float] | None = None,
        spread: bool = False,
        score_shape: tuple[int, int] = (0, 0),
        **arguments: Any,
    ):
        super().__init__(**arguments)
        self.noise = NOISES[noise]
        self.spread = spread

        level = torch.tensor(noise_level, dtype=torch.float32)
        listed = None if levels is None else torch.tensor(levels, dtype=torch.float32)
        self.register_buffer("noise_level", level, persistent=False)
        self.register_buffer("levels", listed, persistent=False)
        n_draws, n_features = score_shape
        if listed is not None:
            score_levels = listed.repeat_interleave(n_draws)
        elif spread:  # the midpoints of n_draws equal parts
            score_levels = level * (torch.arange(n_draws, dtype=torch.float32) + 0.5) / n_draws
        else:
            score_levels = level.repeat(n_draws)
        like = torch.empty(len(score_levels), n_features, dtype=torch.float32)
        # The seed is always the same, so that the scores of several fits compare.
        score_draws = self.noise.draw(like, Generator(0)).clone() if n_draws else None
        self.register_buffer("score_levels", score_levels, persistent=False)
        self.register_buffer("score_draws", score_draws, persistent=False)

    def sample_noise(self, batch: Batch, generator: Generator) -> Any:
        return self.sample_corruption(batch.x, generator), super().sample_noise(batch, generator)

    def sample_corruption(self, x: Tensor, generator: Generator) -> Any:
        """Draw what `corrupt` consumes: for each entry, and for the level of each row."""
        draws = self.noise.draw(x, generator)
        shape = (len(x), *[1] * (x.ndim - 1))
        if self.levels is not None:
            n_levels = len(self.levels)
            return draws, torch.randint(n_levels, shape, generator=generator, device=x.device)
        if self.spread:
            return draws, _uniform(x.new_empty(shape), generator)
        return draws, None

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        corruption, layer_noise = noise
        corrupted = self.corrupt(batch.x, corruption)
        return self.reconstruction_loss(corrupted, batch.x, layer_noise)

    def corrupt(self, x: Tensor, corruption: Any) -> Tensor:
        """Return the batch as the encoder sees it in training."""
        draws, place = corruption
        level = self.noise_level
        if self.levels is not None:
            level = self.levels[place]
        elif self.spread:
            level = level * (1 - place)  # never 0
        return self.noise.corrupt(x, draws, level)

    def reconstruction_error(self, x: Tensor) -> Tensor:
        if self.score_draws is None:
            return super().reconstruction_error(x)
        error = torch.zeros_like(x)
        for draws, level in zip(self.score_draws, self.score_levels, strict=True):
            corrupted = self.noise.corrupt(x, draws, level)
            error += self.error(self.decode_linear(self.encode(corrupted)), x)
        return error / len(self.score_levels)


@inherit_parameters
class DenoisingAutoencoder(Autoencoder):
    """Denoising autoencoder: learns to rebuild a clean row from a corrupted one.

    Each batch is corrupted anew, and the error is taken against the clean batch, so that
    the code has to know how the features depend on each other (Vincent et al. 2008). A
    wide code is useful here: with noise, copying the input is not the answer. The
    fitted network reads clean rows: nothing is corrupted in `transform` or, unless
    `score_draws` says so, in `score_samples`.

    Parameters
    ----------
    n_components : int, default=32
        Width of the code. It may exceed the number of features.
    noise : str, default="gaussian"
        Kind of corruption:

        - "gaussian" adds normal noise with standard deviation `noise_level`;
        - "masking" sets a fraction `noise_level` of the entries to 0;
        - "salt_and_pepper" sets a fraction `noise_level` of the entries to the smallest
          or the largest value of their column in the batch;
        - "swap" takes a fraction `noise_level` of the entries from another row of the
          batch, in the same column. It suits columns of different kinds and scales.
    noise_level : float, default=0.3
        Standard deviation of the gaussian noise in the units of `X`; for the other kinds
        the fraction of corrupted entries, at most 1.
    noise_schedule : None, "uniform" or array-like of shape (n_levels,), default=None
        Levels of the noise in training, in the units of `noise_level`:

        - None corrupts every row at `noise_level`;
        - "uniform" draws a level for each row of each batch, uniformly from 0 to
          `noise_level`;
        - of several levels, each row of each batch draws one; a level that stands
          twice is drawn twice as often, and `noise_level` is not used.
    score_draws : int, default=0
        With 0, `score_samples` and `reconstruction_error` measure how well a row is
        rebuilt from itself. Otherwise they measure how well it is rebuilt from its
        corrupted copies: the mean over `score_draws` copies at `noise_level`, at each of
        the levels of `noise_schedule`, or at levels in equal steps up to `noise_level` if
        that is "uniform". The noise of the copies is the same for every row and in every
        call. Only for "gaussian" and "masking" noise, which need no other rows.

    Attributes
    ----------
    module_ : torch.nn.Module
        The fitted network, on `device_`.

    See Also
    --------
    Autoencoder : Learns from the rows as they are.

    Notes
    -----
    The validation loss is that of rebuilding corrupted rows, with the same corruption in
    each epoch.

    References
    ----------
    P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol, Extracting and Composing
    Robust Features with Denoising Autoencoders, ICML 2008.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import DenoisingAutoencoder
    >>> X = load_digits().data / 16
    >>> autoencoder = DenoisingAutoencoder(
    ...     128, noise="masking", noise_level=0.4, max_iter=20, tol=0.01, random_state=0
    ... ).fit(X)
    >>> autoencoder.transform(X).shape
    (1797, 128)

    How badly a row is rebuilt from corrupted copies tells what does not belong:

    >>> detector = DenoisingAutoencoder(
    ...     16, noise_schedule=[0.1, 0.3], score_draws=4, max_iter=20, random_state=0, tol=0.01
    ... ).fit(X)
    >>> bool(detector.score(X) > detector.score(1 - X))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "noise": [StrOptions(set(NOISES))],
        "noise_level": [Interval(Real, 0, None, closed="left")],
        "noise_schedule": [StrOptions({"uniform"}), "array-like", None],
        "score_draws": [Interval(Integral, 0, None, closed="left")],
    }

    module_: DenoisingModule

    def __init__(
        self,
        n_components: int = 32,
        *,
        noise: str = "gaussian",
        noise_level: float = 0.3,
        noise_schedule: str | Sequence[float] | None = None,
        score_draws: int = 0,
        **parameters: Any,
    ):
        super().__init__(n_components, **parameters)
        self.noise = noise
        self.noise_level = noise_level
        self.noise_schedule = noise_schedule
        self.score_draws = score_draws

    def _make_module(self, n_features: int) -> DenoisingModule:
        levels = self._scheduled_levels()
        highest = self.noise_level if levels is None else max(levels)
        if self.noise != "gaussian" and highest > 1:
            name = "noise_level" if levels is None else "each level of noise_schedule"
            raise ValueError(
                f"{name} is the fraction of corrupted entries for noise={self.noise!r}, so it must "
                f"be at most 1, got {highest:g}."
            )
        if self.score_draws and self.noise not in ("gaussian", "masking"):
            raise ValueError(
                f"score_draws={self.score_draws} needs noise='gaussian' or 'masking', since "
                f"noise={self.noise!r} takes values from other rows, on which a score must not "
                "depend; set score_draws=0."
            )
        return DenoisingModule(
            noise=self.noise,
            noise_level=self.noise_level,
            levels=levels,
            spread=isinstance(self.noise_schedule, str),
            score_shape=(self.score_draws, n_features),
            **self._module_arguments(n_features),
        )

    def _scheduled_levels(self) -> list[float] | None:
        """Return the levels to choose from; None if they follow from `noise_level`."""
        if self.noise_schedule is None or isinstance(self.noise_schedule, str):
            return None
        try:
            levels = np.asarray(self.noise_schedule, dtype=np.float64)
        except (TypeError, ValueError):
            levels = np.empty(0)
        fine = levels.ndim == 1 and len(levels) > 0 and np.isfinite(levels).all()
        if not fine or levels.min() < 0:
            raise ValueError(
                "noise_schedule must be None, 'uniform' or a sequence of one or more levels, all "
                f"finite and none negative, got {self.noise_schedule!r}."
            )
        return levels.tolist()

    def corrupt(
        self, X: Any, random_state: int | np.random.RandomState | None = None
    ) -> np.ndarray:
        """Return the rows as the encoder sees them in training.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to corrupt, taken as one batch.
        random_state : int, RandomState instance or None, default=None
            Source of the noise.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the shape of `X`.
        """
        check_is_fitted(self)
        rows = validate_rows(self, X, reset=False, training=True)
        x = as_source(rows, None, self.device_).all().x
        seed = new_random_state(random_state).randint(MAX_SEED)
        generator = Generator(seed, self.device_)
        corrupted = self.module_.corrupt(x, self.module_.sample_corruption(x, generator))
        return corrupted.cpu().numpy().reshape(shape_of(X))
