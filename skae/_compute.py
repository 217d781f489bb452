"""Threads, memory and devices: one policy for all that is computed.

A piece of work that is small runs in one thread: more would bring little, wait for each
other on a busy machine, and round matrix products differently, so that results would depend
on how many threads the caller, or a joblib worker, has. Rows are taken some at a time, as
many as `chunk_rows` says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from sklearn.utils import gen_batches

# Below this many multiply-adds in one pass over a batch, more threads cost time or bring
# little (`benchmarks/bench_threads.py`).
SINGLE_THREAD_WORK = 2**24

# Numbers in the largest tensor that is held at a time: what stays in a processor's cache, and
# what keeps an accelerator busy.
_NUMBERS_CPU = 2**19
_NUMBERS_ACCELERATOR = 2**24

#: Numbers of a table that are made dense at a time, where a pass over it needs no more.
DENSE_NUMBERS = 2**22

_threads_lock = threading.Lock()
_this_thread = threading.local()
_n_limits = 0
_threads_before = 0


def chunk_rows(numbers_per_row: int, device: torch.device | None = None, part: float = 1.0) -> int:
    """Return how many rows to take at a time.

    Parameters
    ----------
    numbers_per_row : int
        Entries of a row in the largest tensor that is made of it.
    device : torch.device, optional
        Where that tensor is; None is the CPU.
    part : float
        How large that tensor may be, as a part of what is usual.

    Returns
    -------
    int
        At least 1.
    """
    on_cpu = device is None or device.type == "cpu"
    numbers = part * (_NUMBERS_CPU if on_cpu else _NUMBERS_ACCELERATOR)
    return max(1, int(numbers) // max(1, numbers_per_row))


@contextmanager
def limit_threads(work: int, at_most: int = 1) -> Iterator[None]:
    """Use `at_most` threads while `work` multiply-adds at a time are too few to share.

    Torch keeps this number partly per thread and partly per process, where a new thread
    finds what another one set: only the first of several concurrent limits knows the
    number to restore.
    """
    global _n_limits, _threads_before
    if work >= SINGLE_THREAD_WORK or getattr(_this_thread, "is_limited", False):
        yield
        return
    with _threads_lock:
        if _n_limits == 0:
            _threads_before = torch.get_num_threads()
        _n_limits += 1
    _this_thread.is_limited = True
    try:
        _use_threads(min(at_most, _threads_before))
        yield
    finally:
        _this_thread.is_limited = False
        with _threads_lock:
            _n_limits -= 1
            torch.set_num_threads(_threads_before)


def _use_threads(n_threads: int) -> None:
    # A thread that has never asked takes over, when it first needs it, what another one set last.
    torch.get_num_threads()
    torch.set_num_threads(n_threads)


def _become_worker() -> None:
    _use_threads(1)
    _this_thread.is_limited = True  # so that no limit inside gives it back more


@contextmanager
def worker_threads(n_threads: int) -> Iterator[None]:
    """Let `map_parts` use `n_threads` threads, in each of which torch uses one.

    To be used where torch uses one thread as well: then the results do not depend on how
    many there are, and one that another process holds up does not keep the others waiting
    at the end of each operation. Threads last, since torch's memory for products does.
    """
    if n_threads <= 1:
        yield
        return
    with ThreadPoolExecutor(n_threads, initializer=_become_worker) as pool:
        _this_thread.pool = pool
        try:
            yield
        finally:
            _this_thread.pool = None


def map_parts(function: Callable[[Any], Any], parts: Iterable[Any]) -> list[Any]:
    """Call a function for each part of some work, in the threads of `worker_threads`, if any."""
    pool = getattr(_this_thread, "pool", None)
    return list(map(function, parts) if pool is None else pool.map(function, parts))


def map_chunks(
    function: Callable[[slice], Any], n_rows: int, n_at_a_time: int, work: int
) -> list[Any]:
    """Call a function for each chunk of some rows; threads take one each.

    Where there is one chunk, torch shares out its `work` multiply-adds if they are many.
    """
    chunks = list(gen_batches(n_rows, n_at_a_time))
    if len(chunks) == 1:
        with limit_threads(work):
            return [function(chunks[0])]
    n_threads = torch.get_num_threads()
    with limit_threads(0), worker_threads(n_threads):
        return map_parts(function, chunks)


@contextmanager
def gradients_enabled() -> Iterator[None]:
    """Train as usual inside a caller's ``no_grad`` or ``inference_mode``."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


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
        torch.zeros(1, device=resolved).item()  # "meta" holds no numbers
    # Torch raises RuntimeError, AssertionError or NotImplementedError, depending on
    # the kind of device and on how it was built.
    except Exception as error:
        raise ValueError(
            f"device={str(device)!r} is not available on this machine "
            f"({str(error).splitlines()[0]}); "
            "use device='auto' to take what there is, or device='cpu'."
        ) from error
    return resolved
