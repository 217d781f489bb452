"""What the benchmarks share: interleaved timing, one table, and the bare torch loop."""

import argparse
import gc
import importlib
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import date
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import sklearn
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from torch import nn

import skae

# A benchmark trains a given number of epochs, converged or not.
warnings.filterwarnings("ignore", category=ConvergenceWarning)

Times = dict[str, list[float]]

# -- timing --------------------------------------------------------------------------


def interleave(candidates: dict[str, Callable[[], Any]], rounds: int) -> Times:
    """Time each candidate once per round, A B C A B C, after a round that is not counted.

    Parameters
    ----------
    candidates : dict of callable
        By name. One that returns a float gives its own seconds: not all that it does counts.
    rounds : int
        Number of counted rounds.

    Returns
    -------
    dict of list of float
        Seconds in each round, by name.
    """
    times: Times = {name: [] for name in candidates}
    for _ in range(1 + rounds):
        for name, run in candidates.items():
            gc.collect()  # what one candidate leaves behind is not the next one's time
            start = time.perf_counter()
            result = run()
            elapsed = time.perf_counter() - start
            times[name].append(result if isinstance(result, float) else elapsed)
            del result
    return {name: seconds[1:] for name, seconds in times.items()}


def ratio(times: Times, name: str, baseline: str) -> float:
    """Return the median over the rounds of the time of `name` over that of `baseline`."""
    return median(a / b for a, b in zip(times[name], times[baseline], strict=True))


@contextmanager
def threads(n_threads: int) -> Iterator[None]:
    """Let torch use `n_threads` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# -- peers ---------------------------------------------------------------------------


def installed(peers: dict[str, tuple[str, Callable]]) -> dict[str, Callable]:
    """Return the peers that can be imported, and name the others."""
    found = {}
    for name, (package, train) in peers.items():
        try:
            importlib.import_module(package)
        except Exception as error:
            print(f"{name} is missing: {type(error).__name__}: {str(error).splitlines()[0]}")
        else:
            found[name] = train
    return found


# -- memory --------------------------------------------------------------------------


def in_fresh_process(function: Callable, *args: Any) -> Any:
    """Return ``function(*args)``, called in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(function, *args).result()


def peak_growth(function: Callable[[], Any]) -> int:
    """Return the bytes by which the peak memory of this process grows in ``function()``."""
    if Path("/proc/self/clear_refs").exists():
        # On Linux a new process inherits ru_maxrss from its parent; this peak is its own.
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
    before = _peak_memory()
    result = function()
    growth = _peak_memory() - before
    del result
    return growth


def _peak_memory() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# -- printing ------------------------------------------------------------------------


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print `rows` under `columns`, aligned, with the machine, the versions and the date."""
    print(f"\n{title}")
    print(
        f"{_processor()}, {torch.get_num_threads()} threads; Python {platform.python_version()}, "
        f"skae {skae.__version__}, torch {torch.__version__}, "
        f"scikit-learn {sklearn.__version__}; {date.today()}\n"
    )
    table = [list(columns), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, ["-" * width for width in widths])
    for first, *others in table:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
    print()


def time_rows(
    times: Times, show: Callable[[float], str], baselines: Sequence[str]
) -> list[list[str]]:
    """Return one row per candidate: its name, median time, spread and ratio to each baseline.

    The spread is the slowest round over the fastest: a large one says that something else
    ran on the machine.
    """
    return [
        [
            name,
            show(median(seconds)),
            f"{max(seconds) / min(seconds):.2f}",
            *(f"{ratio(times, name, baseline):.2f}" for baseline in baselines),
        ]
        for name, seconds in times.items()
    ]


def print_limit(what: str, value: float, limit: float, unit: str = "") -> None:
    """Print whether a measured value keeps its limit."""
    verdict = "met" if value <= limit else "MISSED"
    print(f"{what}: {value:.3g}{unit}, at most {limit:.3g}{unit}: {verdict}")


def print_ratio_limit(times: Times, name: str, baseline: str, limit: float) -> None:
    """Print whether the ratio of two candidates keeps its limit."""
    print_limit(f"{name} / {baseline}", ratio(times, name, baseline), limit)


def megabytes(n_bytes: float) -> str:
    """Return `n_bytes` as text."""
    return f"{n_bytes / 1e6:,.1f} MB"


def arguments(description: str | None, **defaults: int) -> argparse.Namespace:
    """Return the integer options of the command line, one for each default."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default:,}")
    return parser.parse_args()


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return f"cpu ({line.split(':', 1)[1].strip()})"
    return f"cpu ({platform.processor() or platform.machine()})"


# -- the baseline --------------------------------------------------------------------


def make_network(widths: Sequence[int]) -> nn.Sequential:
    """Build linear layers of these widths, with ReLU between them."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def n_steps(n_rows: int, batch_size: int) -> int:
    """Return the number of batches in an epoch."""
    return -(-n_rows // batch_size)


def bare_loop(
    X: np.ndarray,
    widths: Sequence[int],
    batch_size: int,
    n_epochs: int,
    noise_level: float = 0.0,
) -> nn.Module:
    """Train an autoencoder as one writes it by hand in torch, with noise on its input if given."""
    rows = torch.from_numpy(X)
    network = make_network(widths)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    for _ in range(n_epochs):
        order = torch.randperm(len(rows))
        for start in range(0, len(rows), batch_size):
            x = rows[order[start : start + batch_size]]
            optimizer.zero_grad()
            noisy = x + noise_level * torch.randn_like(x) if noise_level else x
            loss = F.mse_loss(network(noisy), x)
            loss.backward()
            optimizer.step()
    return network
