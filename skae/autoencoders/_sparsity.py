"""What keeps a code sparse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..layers import keep_number
from ..losses import bernoulli_divergence, mean_activity


class Sparsity(nn.Module):
    """A rule that keeps a code sparse: a penalty on it, or a choice of its largest entries.

    It is made with the parameters of a `SparseAutoencoder`.

    Raises
    ------
    ValueError
        If the code of the estimator does not suit the rule.
    """

    #: What brings back units that are 0 for every row.
    remedy: ClassVar[str]
    #: Whether it depends on all samples of a batch at once.
    mixes_rows: ClassVar[bool] = False

    def penalise(self, loss: Tensor, code: Tensor) -> Tensor:
        """Return the loss of each sample with the penalty on its code."""
        return loss

    def select(self, code: Tensor) -> Tensor:
        """Return what is left of the codes of a batch in training."""
        return code

    def select_in_reading(self, code: Tensor) -> Tensor:
        """Return what is left of the code of each sample at inference, whatever the others."""
        return code


class L1Sparsity(Sparsity):
    """Penalises the mean absolute value of the code of each sample."""

    remedy = "a smaller alpha"
    alpha: Tensor

    def __init__(self, estimator: Any):
        super().__init__()
        keep_number(self, "alpha", estimator.alpha)

    def penalise(self, loss: Tensor, code: Tensor) -> Tensor:
        return loss + self.alpha * mean_activity(code)


class KLSparsity(Sparsity):
    """Penalises the divergence of the mean activations in the batch from their target."""

    remedy = "a larger target"
    mixes_rows = True
    alpha: Tensor
    target: Tensor

    def __init__(self, estimator: Any):
        super().__init__()
        if estimator.code_activation != "sigmoid":
            raise ValueError(
                "sparsity='kl' takes the code as probabilities; set code_activation='sigmoid' "
                f"(now {estimator.code_activation!r}), or use sparsity='l1'."
            )
        keep_number(self, "alpha", estimator.alpha)
        keep_number(self, "target", estimator.target)

    def penalise(self, loss: Tensor, code: Tensor) -> Tensor:
        return loss + self.alpha * bernoulli_divergence(self.target, code.mean(0)).mean()


class KSparsity(Sparsity):
    """Keeps the `k` largest units of each sample, and `k_at_inference` of them at inference."""

    remedy = "a larger k"

    def __init__(self, estimator: Any):
        super().__init__()
        self.k, n_components = estimator.k, estimator.n_components
        if self.k > n_components:
            raise ValueError(
                f"sparsity='k' cannot keep k={self.k} units of a code of "
                f"n_components={n_components}; lower k, or widen the code."
            )
        self.k_at_inference = min(max(1, round(estimator.alpha_test * self.k)), n_components)

    def select(self, code: Tensor) -> Tensor:
        return keep_largest(code, self.k, dim=1)

    def select_in_reading(self, code: Tensor) -> Tensor:
        return keep_largest(code, self.k_at_inference, dim=1)


class LifetimeSparsity(Sparsity):
    """Keeps the samples of a batch that activate a unit most, a fraction of them."""

    remedy = "a larger lifetime_fraction"
    mixes_rows = True

    def __init__(self, estimator: Any):
        super().__init__()
        self.fraction = estimator.lifetime_fraction

    def select(self, code: Tensor) -> Tensor:
        return keep_largest(code, max(1, round(self.fraction * len(code))), dim=0)


#: Rules by the name that `sparsity` has for them.
SPARSITIES: dict[str, Callable[[Any], Sparsity]] = {
    "l1": L1Sparsity,
    "kl": KLSparsity,
    "k": KSparsity,
    "lifetime": LifetimeSparsity,
}


def keep_largest(code: Tensor, count: int, dim: int) -> Tensor:
    """Return `code` with 0 everywhere but at the `count` largest entries along `dim`."""
    winners = code.topk(count, dim=dim, sorted=False).indices
    return code * torch.zeros_like(code).scatter(dim, winners, 1.0)
