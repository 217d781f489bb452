"""Architectures: the layers between features and code.

An architecture is a parameter object with two methods, `make_encoder` and
`make_decoder`, that build ``torch.nn`` modules. Any object with these two methods can
stand for `hidden_layers`. A module whose training consumes random numbers (dropout
masks, say) draws them in a method ``sample_noise(x, generator)`` and takes the result as
the second argument of ``forward``; no module may draw from torch's global generator.

An architecture may have an attribute `shape`, the shape of one sample. Its modules still
take and return flat rows, but the estimator then takes n-dimensional arrays too. One that
can make feature maps, for `WinnerTakeAllAutoencoder`, has the methods `make_map_encoder`,
`make_map_decoder` and `map_shape` of `Conv2d`.
"""

from ._checks import (  # noqa: F401
    Part,
    check_is_module,
    check_layers,
    described,
    is_from_elsewhere,
    mixes_rows,
    shape_or_none,
    without_in_place,
)
from ._convolutional import Conv1d, Conv2d
from ._dense import Dense, make_layers  # noqa: F401
from ._shared import (  # noqa: F401
    ACTIVATIONS,
    BatchNorm,
    Dropout,
    Stack,
    TransposedLinear,
    frozen_statistics,
    is_positive_int,
    keep_number,
    make_linear,
    reading,
    run,
    sample_noise,
)

__all__ = ["Conv1d", "Conv2d", "Dense"]
