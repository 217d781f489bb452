"""Outputs by name, and in a network."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils._param_validation import Interval
from torch import nn

from ._distributions import Categorical, ContinuousBernoulli, Gaussian, Poisson
from ._errors import AbsoluteError, BinaryCrossEntropy, Huber, Output, SquaredError

#: Outputs by name.
OUTPUTS: dict[str, type[Output]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "binary_cross_entropy": BinaryCrossEntropy,
}

#: Outputs with a distribution, by its name.
DISTRIBUTIONS: dict[str, type[Output]] = {
    "bernoulli": BinaryCrossEntropy,
    "categorical": Categorical,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "poisson": Poisson,
}


def make_output(loss: Any) -> Any:
    """Return the output that `loss` stands for: by its name, or itself."""
    if isinstance(loss, type):
        name = loss.__name__
        raise ValueError(f"{name} is a class; give an instance of it: {name}(...).")
    return {**OUTPUTS, **DISTRIBUTIONS}[loss]() if isinstance(loss, str) else loss


class OutputModule(nn.Module):
    """An output in a network, where its numbers are buffers.

    Calling it gives an output with the buffers as its parameters. That of a class from
    outside of this package may do with its parameters what cannot be done with tensors: it is
    kept as a copy instead.

    Parameters
    ----------
    output : Output or object
        As `make_output` returns it.
    n_features : int
        Width of the rows.
    """

    def __init__(self, output: Any, n_features: int):
        super().__init__()
        self.kind = type(output)
        self.copy = None
        if self.kind not in (*OUTPUTS.values(), *DISTRIBUTIONS.values()):
            self.copy = clone(output, safe=False)
            return
        output._validate_params()
        self.settings = {}  # those that are no numbers to compute with
        for name, value in output.get_params().items():
            constraints = output._parameter_constraints[name]
            is_real = any(isinstance(c, Interval) and c.type is Real for c in constraints)
            if is_real and isinstance(value, Real):
                buffer = torch.tensor(value, dtype=torch.float32)
                self.register_buffer(name, buffer, persistent=False)
            else:
                self.settings[name] = value
        for name, value in output.start(np.ones(n_features)).items():
            self.register_parameter(name, nn.Parameter(value))

    def forward(self) -> Any:
        if self.copy is not None:
            return self.copy
        output = self.kind(**self._buffers, **self.settings)
        vars(output).update(self._parameters)
        return output
