"""What the output of a decoder means: the error of an entry, and what follows from it.

An output is a parameter object that stands for `loss` of an autoencoder, by name or given. Its
methods are pure functions of tensors. Any object with the methods `error` and `mean`
will do; `Output` is a base for such a class, and documents all methods.
"""

from ._distributions import Categorical, ContinuousBernoulli, Gaussian, Poisson
from ._errors import AbsoluteError, BinaryCrossEntropy, Huber, Output, SquaredError
from ._module import DISTRIBUTIONS, OUTPUTS, OutputModule, make_output  # noqa: F401

__all__ = [
    "AbsoluteError",
    "BinaryCrossEntropy",
    "Categorical",
    "ContinuousBernoulli",
    "Gaussian",
    "Huber",
    "Output",
    "Poisson",
    "SquaredError",
]
