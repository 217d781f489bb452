"""A gradient step of a restricted Boltzmann machine, as functions of tensors.

Written out, since autograd would pass over the weights more often. Rows of the data and ends of
the chains, which represent the model, are computed together; the share s_i of a
row is positive for data and negative for the model, and all shares add up to 0. The functions
write over what they are given, since new memory costs more than what is done in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ._halves import add_product


class Change(NamedTuple):
    """The direction of a step.

    Attributes
    ----------
    h : Tensor of shape (n, n_components)
        One factor of the change of the weights, which is ``h.T @ v``: as a product of its own
        it would cost another pass over the weights.
    v : Tensor of shape (n, n_features)
        The other factor.
    hidden_bias : Tensor of shape (n_components,)
        Change of the hidden biases.
    visible_bias : Tensor of shape (n_features,)
        Change of the visible biases.
    """

    h: Tensor
    v: Tensor
    hidden_bias: Tensor
    visible_bias: Tensor


@lru_cache
def signed_shares(n_data: int, n_model: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return ``1 / n_data`` for each row of the data, and ``-1 / n_model`` for each chain."""
    share = torch.full((n_data + n_model,), -1 / n_model, dtype=dtype, device=device)
    share[:n_data] = 1 / n_data
    return share


def statistics(v: Tensor, h: Tensor, share: Tensor) -> Change:
    """Return ``dW = sum_i s_i h_i v_i'``, ``dc = sum_i s_i h_i``, ``db = sum_i s_i v_i``.

    Means over the data less means over the model: the gradient of the log-likelihood.

    Parameters
    ----------
    v : Tensor of shape (n, n_features)
        Visible units.
    h : Tensor of shape (n, n_components)
        Mean hidden units given these; written over.
    share : Tensor of shape (n,)
        The shares s_i.
    """
    h *= share.unsqueeze(1)
    return Change(h, v, h.sum(0), torch.mv(v.T, share))


def add_sparsity(change: Change, share: Tensor, push: Tensor) -> Change:
    """Return ``dW + sum_i s_i p v_i'`` and ``dc + p``, with the sum over the data.

    Parameters
    ----------
    change : Change
        What `statistics` returned; its `h` is written over.
    share : Tensor of shape (n_data,)
        Shares of the data, which come first and add up to 1.
    push : Tensor of shape (n_components,)
        How far each hidden unit is to be pushed, p.
    """
    change.h[: share.shape[0]].addr_(share, push)
    return change._replace(hidden_bias=change.hidden_bias + push)


def centre(
    change: Change, share: Tensor, visible_mean: Tensor, hidden_mean: Tensor, scaled_mean: Tensor
) -> Change:
    """Return ``dW' = dW - dc m' - l db'``, ``dc' = dc - dW' m``, ``db' = db - dW'.T l``.

    The enhanced gradient (Melchior, Fischer and Wiskott 2016): that of a machine
    with ``v - m`` and ``h - l`` for v and h, in terms of the plain machine.

    Parameters
    ----------
    change : Change
        That of the plain machine; its factors are written over.
    share : Tensor of shape (n,)
        The shares s_i, with which dW' is ``sum_i (h_i - s_i l) (v_i - m)'``.
    visible_mean : Tensor of shape (n_features,)
        Mean of the visible units, m.
    hidden_mean : Tensor of shape (n_components,)
        Mean of the hidden units, l.
    scaled_mean : Tensor of shape (n_features,)
        The visible mean as the hidden units see it: m again, or over the variances.
    """
    h = change.h.addr_(share, hidden_mean, alpha=-1)
    v = change.v.sub_(visible_mean)
    return Change(
        h,
        v,
        torch.addmv(change.hidden_bias, h.T, torch.mv(v, scaled_mean), alpha=-1),
        torch.addmv(change.visible_bias, v.T, torch.mv(h, hidden_mean), alpha=-1),
    )


def update(
    parameters: Sequence[Tensor],
    velocities: Sequence[Tensor],
    change: Change,
    *,
    rate: float,
    weight_decay: float,
    momentum: float,
) -> None:
    """Set ``u = momentum u + dW`` and ``W = (1 - rate decay) W + rate u``; biases do not decay.

    Parameters
    ----------
    parameters, velocities : sequence of 3 Tensors
        Weights, hidden and visible biases, and the u of each; without momentum u is dW, and
        not written to.
    change : Change
        The dW, dc and db.
    rate, weight_decay, momentum : float
        Learning rate, and the two that the formula names.
    """
    weight, *biases = parameters
    directions: list[Tensor] = [change.hidden_bias, change.visible_bias]
    kept = 1 - rate * weight_decay
    if momentum:
        velocity, *others = velocities
        add_product(velocity, change.h, change.v, beta=momentum)
        weight.mul_(kept).add_(velocity, alpha=rate)
        for old, direction in zip(others, directions, strict=True):
            old.mul_(momentum).add_(direction)
        directions = others
    else:
        add_product(weight, change.h, change.v, beta=kept, alpha=rate)
    for bias, direction in zip(biases, directions, strict=True):
        bias.add_(direction, alpha=rate)
