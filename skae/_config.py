"""Settings of the package that are no parameters of an estimator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_record_steps: ContextVar[bool] = ContextVar("record_steps", default=True)


@contextmanager
def config_context(*, record_steps: bool | None = None) -> Iterator[None]:
    """Change settings of the package within a ``with`` block.

    Parameters
    ----------
    record_steps : bool, default=None
        Whether steps of training are recorded: the operations of a loss and its gradient are
        recorded once and then run without autograd, with the same results to the last bit.
        That is on by default; turning it off helps to debug layers of your own, and to measure
        what it brings. None leaves the setting as it is.

    Yields
    ------
    None

    Raises
    ------
    TypeError
        If a setting is not of its type.

    Notes
    -----
    The setting holds for the thread that changes it, and not in the worker processes of joblib.

    Examples
    --------
    >>> import numpy as np
    >>> import skae
    >>> X = np.random.default_rng(0).random((100, 5))
    >>> recorded = skae.Autoencoder(2, max_iter=5, tol=1, random_state=0).fit(X)
    >>> with skae.config_context(record_steps=False):
    ...     plain = skae.Autoencoder(2, max_iter=5, tol=1, random_state=0).fit(X)
    >>> bool((recorded.transform(X) == plain.transform(X)).all())
    True
    """
    if record_steps not in (None, True, False):
        raise TypeError(f"record_steps must be a bool or None, got {record_steps!r}.")
    tokens = [] if record_steps is None else [(_record_steps, _record_steps.set(record_steps))]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def records_steps() -> bool:
    """Return whether steps of training are recorded."""
    return _record_steps.get()
