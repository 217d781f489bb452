"""Products of rows and weights, in two halves where each of two threads can take one.

An exception from `limit_threads`: a step of Gibbs sampling is too small for torch to share out
without a change of rounding, and so large that a second thread saves up to a third of it.
A product that is left to torch rounds differently in two threads than in one; two
products that are one thread's each do not, so that the bits depend on no number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .._compute import SINGLE_THREAD_WORK

# Multiply-adds in a product of a batch and the weights from which a second thread pays: at
# 2**20 a step takes as long in halves as whole, at 2**21 a seventh less, at 2**23 a third.
_LEAST_WORK = 3 * 2**19


def halving_pays(shape: Sequence[int], n_rows: int, device: torch.device) -> bool:
    """Whether to halve products of `n_rows` rows and weights; larger ones are left to torch."""
    even = shape[0] % 2 == shape[1] % 2 == 0
    work = n_rows * shape[0] * shape[1]
    return device.type == "cpu" and even and _LEAST_WORK <= work < SINGLE_THREAD_WORK


def n_threads(shape: Sequence[int], n_rows: int, device: torch.device) -> int:
    """Return how many threads such products can use without a change of bits."""
    return 2 if halving_pays(shape, n_rows, device) else 1


def to_hidden(v: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``v @ weight.T + bias``."""
    if not halving_pays(weight.shape, v.shape[0], weight.device):
        return torch.addmm(bias, v, weight.T)
    return _product(v, weight.view(2, -1, weight.shape[1]).transpose(1, 2)).add_(bias)


def to_visible(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``h @ weight + bias``."""
    if not halving_pays(weight.shape, h.shape[0], weight.device):
        return torch.addmm(bias, h, weight)
    return _product(h, weight.view(weight.shape[0], 2, -1).transpose(0, 1)).add_(bias)


def add_product(to: Tensor, h: Tensor, v: Tensor, *, beta: float, alpha: float = 1.0) -> None:
    """Set `to` to ``beta * to + alpha * h.T @ v``."""
    if not halving_pays(to.shape, v.shape[0], to.device):
        to.addmm_(h.T, v, beta=beta, alpha=alpha)
        return
    halves = h.view(h.shape[0], 2, -1).permute(1, 2, 0)
    to.view(2, -1, v.shape[1]).baddbmm_(halves, v.expand(2, -1, -1), beta=beta, alpha=alpha)


def _product(rows: Tensor, halves: Tensor) -> Tensor:
    return torch.bmm(rows.expand(2, -1, -1), halves).transpose(0, 1).flatten(1)
