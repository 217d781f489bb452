"""The distributions that codes are to have."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .._random import Generator

# Of the mixture: ten Gaussians on a circle (Makhzani et al. 2016).
_N_GAUSSIANS, _RADIUS, _DEVIATION = 10, 3.0, 0.3

# Of the roll: its turns, its largest radius, and its thickness.
_TURNS, _REACH, _THICKNESS = 2.0, 3.0, 0.1


class Prior(NamedTuple):
    """A distribution of codes.

    Attributes
    ----------
    draw : callable
        From a generator and a shape to draws.
    squared_distance : callable
        From the width of the code to the mean squared distance of two draws, about.
    least : int
        Smallest width of the code.
    """

    draw: Callable[[Generator, tuple[int, int]], Tensor]
    squared_distance: Callable[[int], float]
    least: int


def _gaussian(generator: Generator, shape: tuple[int, int]) -> Tensor:
    return generator.normal(shape)


def _uniform(generator: Generator, shape: tuple[int, int]) -> Tensor:
    return 2 * generator.uniform(shape) - 1


def _mixture(generator: Generator, shape: tuple[int, int]) -> Tensor:
    codes = generator.normal(shape)
    angle = (_N_GAUSSIANS * generator.uniform((shape[0], 1))).floor() * (2 * math.pi / _N_GAUSSIANS)
    plane = _RADIUS * torch.cat([angle.cos(), angle.sin()], 1) + _DEVIATION * codes[:, :2]
    return torch.cat([plane, codes[:, 2:]], 1)


def _swiss_roll(generator: Generator, shape: tuple[int, int]) -> Tensor:
    codes = generator.normal(shape)
    along = generator.uniform((shape[0], 1)).sqrt()  # as dense outside as inside
    angle = 2 * math.pi * _TURNS * along
    plane = _REACH * along * torch.cat([angle.cos(), angle.sin()], 1)
    return torch.cat([plane + _THICKNESS * codes[:, :2], codes[:, 2:]], 1)


#: Priors by name. The last two are in the plane of the first two components; the others of
#: these are standard normal.
PRIORS = {
    "gaussian": Prior(_gaussian, lambda width: 2.0 * width, 1),
    "uniform": Prior(_uniform, lambda width: 2 / 3 * width, 1),
    "gaussian_mixture": Prior(
        _mixture, lambda width: 2 * (_RADIUS**2 + 2 * _DEVIATION**2 + width - 2), 2
    ),
    "swiss_roll": Prior(
        _swiss_roll, lambda width: 2 * (_REACH**2 / 2 + 2 * _THICKNESS**2 + width - 2), 2
    ),
}
