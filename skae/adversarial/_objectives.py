"""What discriminator, generator and encoder minimise, by the name of the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class Objective(NamedTuple):
    """Losses as functions of the scores that the discriminator gives, entry by entry.

    Attributes
    ----------
    of_real, of_generated : callable
        The discriminator's loss of the scores of real rows and of generated ones.
    to_seem_real : callable
        The generator's loss of the scores of generated rows; of minus the scores of real rows it is
        the encoder's.
    between : bool
        Whether the gradient penalty draws the slope of the score to 1 between real and
        generated samples, or to 0 at real ones.
    """

    of_real: Callable[[Tensor], Tensor]
    of_generated: Callable[[Tensor], Tensor]
    to_seem_real: Callable[[Tensor], Tensor]
    between: bool


def _minus(score: Tensor) -> Tensor:
    return -score


def _itself(score: Tensor) -> Tensor:
    return score


def _softplus_of_minus(score: Tensor) -> Tensor:
    return F.softplus(-score)


def _hinge_of_real(score: Tensor) -> Tensor:
    return F.relu(1 - score)


def _hinge_of_generated(score: Tensor) -> Tensor:
    return F.relu(1 + score)


#: Objectives by name: Goodfellow et al. 2014; Lim and Ye 2017; Gulrajani et al. 2017.
OBJECTIVES = {
    "non_saturating": Objective(_softplus_of_minus, F.softplus, _softplus_of_minus, False),
    "hinge": Objective(_hinge_of_real, _hinge_of_generated, _minus, False),
    "wasserstein_gp": Objective(_minus, _itself, _minus, True),
}
