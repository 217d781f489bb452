"""Torch's global state, borrowed and always given back, and its devices."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn

#: Upper bound of the seeds drawn from a `RandomState`.
MAX_SEED = np.iinfo(np.int32).max

# Below this many multiply-adds in one pass over a batch, more threads cost time or bring
# little (`benchmarks/bench_threads.py`). One thread makes the bits of the result independent of
# how many threads the caller, or a joblib worker, has.
SINGLE_THREAD_WORK = 2**24

_generator_lock = threading.Lock()
_threads_lock = threading.Lock()
_this_thread = threading.local()
_borrowers = 0
_lent_threads = 0


def new_random_state(
    random_state: int | np.random.RandomState | None,
) -> np.random.RandomState:
    """Return scikit-learn's `check_random_state`, with fresh entropy for None.

    scikit-learn takes numpy's global generator for None, and so changes it.
    """
    if random_state is None:
        return np.random.RandomState()
    return check_random_state(random_state)


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Let modules initialise themselves from `seed`, leaving torch's generator as it was.

    ``nn.Module`` constructors draw from the global generator and take no other. The
    lock keeps concurrent fits (joblib's threading backend) from mixing their draws.
    """
    with _generator_lock:
        before = torch.default_generator.get_state()
        try:
            torch.default_generator.manual_seed(seed)
            yield
        finally:
            torch.default_generator.set_state(before)


@contextmanager
def gradients_enabled() -> Iterator[None]:
    """Train as usual inside a caller's ``no_grad`` or ``inference_mode``."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def threads_for(work: int, at_most: int = 1) -> Iterator[None]:
    """Use `at_most` threads while `work` multiply-adds at a time are too few to share.

    Torch keeps this number partly per thread and partly per process, where a new thread
    finds what another one set: only the first of several concurrent borrowers knows
    what to give back.
    """
    global _borrowers, _lent_threads
    if work >= SINGLE_THREAD_WORK or getattr(_this_thread, "borrows", False):
        yield
        return
    with _threads_lock:
        if _borrowers == 0:
            _lent_threads = torch.get_num_threads()
        _borrowers += 1
    _this_thread.borrows = True
    try:
        _use_threads(min(at_most, _lent_threads))
        yield
    finally:
        _this_thread.borrows = False
        with _threads_lock:
            _borrowers -= 1
            torch.set_num_threads(_lent_threads)


def _use_threads(n_threads: int) -> None:
    # A thread that has never asked takes over, when it first needs it, what another one set last.
    torch.get_num_threads()
    torch.set_num_threads(n_threads)


@contextmanager
def map_in_threads(n_threads: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Lend a `map` whose calls run in `n_threads` threads, in each of which torch uses one.

    To be used where torch uses one thread as well: then the results do not depend on how
    many there are, and one that another process holds up does not keep the others waiting
    at the end of each operation. Threads last, since torch's memory for products does.
    """
    if n_threads <= 1:
        yield map
        return
    with ThreadPoolExecutor(n_threads, initializer=_use_threads, initargs=(1,)) as pool:
        yield pool.map


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device to use; "auto" takes an accelerator where there is one.

    Raises
    ------
    ValueError
        If torch cannot use `device` on this machine.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    try:
        resolved = torch.device(device)
        torch.empty(1, device=resolved)
    # Torch raises RuntimeError, AssertionError or NotImplementedError, depending on
    # the kind of device and on how it was built.
    except Exception as error:
        raise ValueError(
            f"device={str(device)!r} is not available on this machine "
            f"({str(error).splitlines()[0]}); "
            "use device='auto' to take what there is, or device='cpu'."
        ) from error
    return resolved


@contextmanager
def given_back_on_failure(
    module: nn.Module,
    optimizer_states: list[dict[str, Any]] | None,
    random_state: np.random.RandomState,
) -> Iterator[None]:
    """Undo what a failing training did to what it changes in place."""
    tensors = [*module.parameters(), *module.buffers(), *_tensors_in(optimizer_states)]
    before = [tensor.detach().clone() for tensor in tensors]
    drawn = random_state.get_state()
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
        random_state.set_state(drawn)
        raise


def _tensors_in(state: Any) -> list[torch.Tensor]:
    """Return the tensors in nested dicts and lists."""
    if isinstance(state, torch.Tensor):
        return [state]
    if isinstance(state, dict):
        return _tensors_in(list(state.values()))
    return [t for one in state for t in _tensors_in(one)] if isinstance(state, list) else []


def to_cpu(state: Any) -> Any:
    """Move the tensors in nested dicts and lists to the CPU."""
    if isinstance(state, torch.Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return {key: to_cpu(value) for key, value in state.items()}
    if isinstance(state, list):
        return [to_cpu(value) for value in state]
    return state
