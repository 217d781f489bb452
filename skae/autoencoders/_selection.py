"""What selects the active units of a dictionary, in training and at inference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ..layers import keep_number

# The running mean of the threshold is over the last tenth of the batches, about, and over the last
# hundred when there were a thousand.
_LAST_PART, _LEAST_SHARE = 10.0, 0.01

# By what the number of active units may miss its goal where rows have weights, which round.
_ROUNDING = 1e-6


class Selected(NamedTuple):
    """What a rule makes of the pre-activations of a batch.

    Attributes
    ----------
    code : Tensor of shape (n, n_components)
        The code of each sample.
    active : Tensor of shape (n, n_components)
        1 where a unit is active, and 0 elsewhere, without a gradient.
    penalty : Tensor of shape (n,) or float
        What is added to the squared error of each sample.
    gate : Tensor of shape (n, n_components) or None
        Another code, by which a copy of the dictionary that does not learn is to rebuild the
        samples too.
    """

    code: Tensor
    active: Tensor
    penalty: Tensor | float = 0.0
    gate: Tensor | None = None


class Selection(nn.Module):
    """A rule that makes a sparse code of the pre-activations of a dictionary.

    It is made with the parameters of a `DictionaryAutoencoder`.

    Raises
    ------
    ValueError
        If the parameters do not suit the rule.
    """

    #: What makes more units active.
    remedy: ClassVar[str] = "a smaller alpha"
    #: What SAELens calls the architecture that codes rows so.
    architecture: ClassVar[str] = "jumprelu"

    def __init__(self, estimator: Any):
        super().__init__()
        #: Widths of nested dictionaries, each of which is to rebuild the rows; the last is whole.
        self.widths: tuple[int, ...] = (estimator.n_components,)

    def select(self, x: Tensor, bias: Tensor, weight: Tensor | None) -> Selected:
        """Return the code of a batch in training.

        Parameters
        ----------
        x : Tensor of shape (n, n_components)
            The pre-activations, with the bias of the encoder.
        bias : Tensor of shape (n_components,)
            That bias.
        weight : Tensor of shape (n,) or None
            The weights of the samples.
        """
        raise NotImplementedError

    def read(self, x: Tensor, bias: Tensor) -> Tensor:
        """Return the code of each sample at inference, whatever the others."""
        raise NotImplementedError

    def thresholds(self, n_components: int) -> Tensor | None:
        """Return the value above which each unit is active; None if there is none."""
        return None


class BatchTopK(Selection):
    """Keeps the `k` times n largest positive pre-activations of a batch of n samples.

    At inference it keeps those above a threshold: the running mean of the smallest one that
    was kept.
    """

    remedy = "a larger k"
    threshold: Tensor
    n_batches: Tensor

    def __init__(self, estimator: Any):
        super().__init__(estimator)
        self.k = float(min(estimator.k, estimator.n_components))
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("n_batches", torch.zeros(()))

    def select(self, x: Tensor, bias: Tensor, weight: Tensor | None) -> Selected:
        with torch.no_grad():
            if not self.training:
                return Selected(self.read(x, bias), _above(x, self.threshold))
            least = smallest_kept(x, self.k, weight)
            self.n_batches.add_(1)
            share = (_LAST_PART / (self.n_batches + _LAST_PART - 1)).clamp(min=_LEAST_SHARE)
            self.threshold.add_(share * (least - self.threshold))
            # Just below it, since that value itself is kept.
            active = _above(x, torch.nextafter(least, torch.zeros_like(least)))
        return Selected(x * active, active)

    def read(self, x: Tensor, bias: Tensor) -> Tensor:
        return torch.relu(x) * _above(x, self.threshold)

    def thresholds(self, n_components: int) -> Tensor:
        return self.threshold.expand(n_components)


class Matryoshka(BatchTopK):
    """The same, for dictionaries of several widths that are one inside the other."""

    def __init__(self, estimator: Any):
        super().__init__(estimator)
        self.widths = _checked_widths(estimator.widths, estimator.n_components)


class JumpReLU(Selection):
    """Keeps what is above a threshold that each unit learns, and counts what it keeps.

    The gradient of a jump is that of a ramp of width `bandwidth` (a rectangular kernel).
    """

    alpha: Tensor
    bandwidth: Tensor

    def __init__(self, estimator: Any):
        super().__init__(estimator)
        keep_number(self, "alpha", estimator.alpha)
        keep_number(self, "bandwidth", estimator.bandwidth)
        start = float(estimator.bandwidth)
        self.threshold = nn.Parameter(torch.full((estimator.n_components,), start))

    def select(self, x: Tensor, bias: Tensor, weight: Tensor | None) -> Selected:
        level = self.threshold.detach().clamp(min=0)
        # The gradient goes past the bound at 0, or a threshold there would stay there.
        threshold = level + (self.threshold - self.threshold.detach())
        active = _above(x.detach(), level)
        ramp = ((x.detach() - threshold) / self.bandwidth).clamp(-0.5, 0.5)
        jump = ramp - ramp.detach()  # 0, with a gradient
        n_active = active.sum(1) + jump.sum(1)
        return Selected(x * active + level * jump, active, self.alpha * n_active)

    def read(self, x: Tensor, bias: Tensor) -> Tensor:
        return torch.relu(x) * _above(x, self.threshold.clamp(min=0))

    def thresholds(self, n_components: int) -> Tensor:
        return self.threshold.detach().clamp(min=0)


class Gated(Selection):
    """Keeps the units whose gate is open; how active they are is learned apart from that.

    The gate of a unit is its pre-activation, which a penalty shrinks. Its magnitude is the same
    product of the sample and its weights, with a scale and a bias of its own.
    """

    architecture = "gated"
    alpha: Tensor

    def __init__(self, estimator: Any):
        super().__init__(estimator)
        keep_number(self, "alpha", estimator.alpha)
        self.log_scale = nn.Parameter(torch.zeros(estimator.n_components))
        self.magnitude_bias = nn.Parameter(torch.zeros(estimator.n_components))

    def select(self, x: Tensor, bias: Tensor, weight: Tensor | None) -> Selected:
        code, gate = self.read(x, bias), torch.relu(x)
        return Selected(code, torch.sign(code.detach()), self.alpha * gate.sum(1), gate)

    def read(self, x: Tensor, bias: Tensor) -> Tensor:
        scale = self.log_scale.exp()
        magnitude = torch.addcmul(self.magnitude_bias - scale * bias, x, scale)
        return torch.relu(magnitude) * _above(x.detach(), torch.zeros_like(bias))


#: Rules by the name that `sparsity` has for them.
SELECTIONS: dict[str, Callable[[Any], Selection]] = {
    "batch_topk": BatchTopK,
    "matryoshka": Matryoshka,
    "jumprelu": JumpReLU,
    "gated": Gated,
}


def _above(x: Tensor, threshold: Tensor) -> Tensor:
    """Return 1 where `x` exceeds a threshold, and 0 elsewhere."""
    # Numbers all along: torch's comparisons, which give bools, take several times as long.
    return torch.sign(torch.relu(x - threshold))


def smallest_kept(x: Tensor, k: float, weight: Tensor | None) -> Tensor:
    """Return the smallest of the `k` times n largest entries of n rows, and 0 if it is below.

    Where rows have weights, an entry counts as often as its row.

    Parameters
    ----------
    x : Tensor of shape (n, n_components)
        Entries.
    k : float
        How many to keep per row, on average.
    weight : Tensor of shape (n,) or None
        The weights of the rows.

    Returns
    -------
    Tensor of shape ()
    """
    flat = x.flatten()
    if weight is None:
        n_kept = min(max(1, round(k * x.shape[0])), flat.shape[0])
        least = _kth_largest(flat, n_kept)
    else:
        values, order = flat.sort(descending=True)
        kept = weight[order // x.shape[1]].cumsum(0)
        goal = k * weight.sum() * (1 - _ROUNDING)
        place = (kept < goal).sum().clamp(max=flat.shape[0] - 1)
        least = values.gather(0, place[None])[0]
    return least.clamp(min=0)


def _kth_largest(flat: Tensor, k: int) -> Tensor:
    """Return the `k`-th largest number of a vector.

    Its entries are put in groups, and the `k` groups with the largest maxima hold the `k` largest
    of all: two selections from fewer numbers take a third of the time of one.
    """
    n_each = math.isqrt(flat.shape[0] // k)
    if n_each > 1:
        n_groups = flat.shape[0] // n_each
        groups = flat[: n_each * n_groups].view(n_each, n_groups)
        best = groups.amax(0).topk(k, sorted=False).indices
        left = flat[n_each * n_groups :]
        flat = torch.cat([groups.index_select(1, best).flatten(), left])
    return flat.topk(k, sorted=False).values.amin()


def _checked_widths(widths: Sequence[int] | None, n_components: int) -> tuple[int, ...]:
    """Return the widths of nested dictionaries, ending with the whole."""
    if widths is None:
        return tuple(sorted({max(1, n_components // part) for part in (16, 8, 4, 2, 1)}))
    found = list(widths)
    are_whole = all(isinstance(one, Integral) and not isinstance(one, bool) for one in found)
    if not are_whole or not all(a < b for a, b in pairwise([0, *found, n_components + 1])):
        raise ValueError(
            "widths must hold increasing positive integers up to "
            f"n_components={n_components}, got {widths!r}."
        )
    return tuple(int(one) for one in dict.fromkeys([*found, n_components]))
