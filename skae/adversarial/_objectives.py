"""What the discriminator and the other players minimise, by the name of the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Objective(NamedTuple):
    """Losses as functions of the scores that the discriminator gives, entry by entry.

    Attributes
    ----------
    of_real, of_made : callable
        The discriminator's loss of the scores of real rows and of those that were made.
    to_seem_real : callable
        What those minimise who want a high score; of minus the scores it is what those minimise
        who want a low one.
    between : bool
        Whether the gradient penalty draws the slope of the score to 1 between real and
        generated samples, or to 0 at real ones.
    """

    of_real: Callable[[Tensor], Tensor]
    of_made: Callable[[Tensor], Tensor]
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


def _hinge_of_made(score: Tensor) -> Tensor:
    return F.relu(1 + score)


#: Objectives by name: Goodfellow et al. 2014; Lim and Ye 2017; Gulrajani et al. 2017.
OBJECTIVES = {
    "non_saturating": Objective(_softplus_of_minus, F.softplus, _softplus_of_minus, False),
    "hinge": Objective(_hinge_of_real, _hinge_of_made, _minus, False),
    "wasserstein_gp": Objective(_minus, _itself, _minus, True),
}


def squared_slopes(score: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor) -> Tensor:
    """Return the squared norm of the gradient of a score by each row and its code.

    Parameters
    ----------
    score : callable
        Gives the scores of a batch of rows and codes, each by itself.
    x, z : Tensor of shapes (n, n_features) and (n, n_components)
        Where to take the gradient; it can be differentiated further.

    Returns
    -------
    Tensor of shape (n,)
    """
    scores, *pull_back = torch.func.vjp(score, x, z)
    by_x, by_z = pull_back[0](torch.ones_like(scores))
    return by_x.square().sum(1) + by_z.square().sum(1)
