"""Kinds of noise, and their levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .._random import Generator


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


def _hide(x: Tensor, uniform: Tensor, level: Tensor) -> Tensor:
    return x.masked_fill(uniform < level, torch.nan)


def _salt_and_pepper(x: Tensor, uniform: Tensor, level: Tensor) -> Tensor:
    missing = x.isnan()
    low = x.masked_fill(missing, torch.inf).amin(0)
    high = x.masked_fill(missing, -torch.inf).amax(0)
    corrupted = torch.where(uniform < level / 2, low, torch.where(uniform < level, high, x))
    return torch.where(missing, x, corrupted)


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

#: Masking where entries may be missing: those that it takes are.
HIDING = Noise(_uniform, _hide)


class Corruption(nn.Module):
    """Corrupts a batch: a pure function of the batch and of what was drawn for it.

    The level of the noise is `noise_level`, or where there are `levels`, one of them for each
    row; with `spread` it is drawn for each row up to `noise_level`.

    With `hides`, entries may be missing, and masked ones are.

    Raises
    ------
    ValueError
        If a level is negative, not finite, or no fraction where it should be one.
    """

    noise_level: Tensor
    levels: Tensor | None

    def __init__(
        self,
        noise: str,
        noise_level: float,
        noise_schedule: str | Sequence[float] | None,
        *,
        hides: bool = False,
    ):
        super().__init__()
        self.name = noise
        self.noise = HIDING if hides and noise == "masking" else NOISES[noise]
        self.spread = isinstance(noise_schedule, str)
        level = torch.tensor(noise_level, dtype=torch.float32)
        levels = _levels_to_choose_from(noise, noise_level, noise_schedule)
        listed = None if levels is None else torch.tensor(levels, dtype=torch.float32)
        self.register_buffer("noise_level", level, persistent=False)
        self.register_buffer("levels", listed, persistent=False)

    def draw(self, x: Tensor, generator: Generator) -> Any:
        """Draw what `forward` consumes: for each entry, and for the level of each row."""
        draws = self.noise.draw(x, generator)
        if self.levels is None and not self.spread:
            return draws, None
        shape = (len(x), *[1] * (x.ndim - 1))
        if self.levels is None:
            return draws, _uniform(x.new_empty(shape), generator)
        n_levels = len(self.levels)
        return draws, torch.randint(n_levels, shape, generator=generator, device=x.device)

    def forward(self, x: Tensor, drawn: Any) -> Tensor:
        draws, place = drawn
        level = self.noise_level
        if self.levels is not None:
            level = self.levels[place]
        elif self.spread:
            level = level * (1 - place)  # never 0
        return self.noise.corrupt(x, draws, level)


class CorruptedCopies(nn.Module):
    """Copies of a row that stand for all noise: `n_draws` of them at each level.

    The noise of the copies is the same for every row and in every call.

    Raises
    ------
    ValueError
        If the noise depends on other rows.
    """

    draws: Tensor
    levels: Tensor

    def __init__(self, corruption: Corruption, n_draws: int, n_features: int):
        super().__init__()
        if corruption.name not in ("gaussian", "masking"):
            raise ValueError(
                f"score_draws={n_draws} needs noise='gaussian' or 'masking', since noise="
                f"{corruption.name!r} takes values from other rows, on which a score must not "
                "depend; set score_draws=0."
            )
        self.noise = corruption.noise
        if corruption.levels is not None:
            levels = corruption.levels.repeat_interleave(n_draws)
        elif corruption.spread:  # the midpoints of n_draws equal parts
            part = torch.arange(n_draws, dtype=torch.float32) + 0.5
            levels = corruption.noise_level * part / n_draws
        else:
            levels = corruption.noise_level.repeat(n_draws)
        like = torch.empty(len(levels), n_features, dtype=torch.float32)
        # The seed is always the same, so that the scores of several fits compare.
        draws = self.noise.draw(like, Generator(0)).clone()
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("draws", draws, persistent=False)

    def forward(self, x: Tensor) -> Iterator[Tensor]:
        for draws, level in zip(self.draws, self.levels, strict=True):
            yield self.noise.corrupt(x, draws, level)


def _levels_to_choose_from(
    noise: str, noise_level: float, noise_schedule: str | Sequence[float] | None
) -> list[float] | None:
    """Return the levels, checked; None if they follow from `noise_level`."""
    levels = None if isinstance(noise_schedule, str | None) else _as_list(noise_schedule)
    highest = noise_level if levels is None else max(levels)
    if noise != "gaussian" and highest > 1:
        name = "noise_level" if levels is None else "each level of noise_schedule"
        raise ValueError(
            f"{name} is the fraction of corrupted entries for noise={noise!r}, so it must be at "
            f"most 1, got {highest:g}."
        )
    return levels


def _as_list(noise_schedule: Sequence[float]) -> list[float]:
    try:
        levels = np.asarray(noise_schedule, dtype=np.float64)
    except (TypeError, ValueError):
        levels = np.empty(0)
    fine = levels.ndim == 1 and len(levels) > 0 and np.isfinite(levels).all()
    if not fine or levels.min() < 0:
        raise ValueError(
            "noise_schedule must be None, 'uniform' or a sequence of one or more levels, all "
            f"finite and none negative, got {noise_schedule!r}."
        )
    return levels.tolist()
