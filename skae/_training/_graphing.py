"""A recorded step as one CUDA graph: a single launch instead of one for each operation.

What a capture requires (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs), and why
recorded steps fulfil it:

- Nothing that waits for the device, and no choice by its numbers. A recording has neither: it
  refuses to read a number from a tensor, and shapes that depend on the data.
- The same addresses in each replay. Weights and buffers stay where they are for as long as a
  recording is bound to them, and so do its places. What passes, batch and noise, is copied
  to tensors of the capture; what comes out lies where it lay in the capture.
- No random numbers but from generators that are registered. A recording has none: noise is drawn
  before.
- Work on a stream of its own, on which everything has run before: libraries allocate memory at
  their first call. Warming up changes buffers, which the caller sets back.

The step along the gradients stays outside: its learning rate is a number, which a capture would
keep, and schedules change it. It is one launch by itself (one for each learning rate of a stack).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_N_WARMING_UP = 3


def captured(
    run: Callable[..., list[Tensor]], passing: Sequence[Tensor]
) -> Callable[..., list[Tensor]] | None:
    """Return a bound recording as a graph; None where there are no graphs, or none of this.

    Parameters
    ----------
    run : callable
        Of passing tensors. It may change the buffers that it is bound to, also here.
    passing : sequence of Tensor
        What it is called with, for example.
    """
    if not _can_capture(passing):
        return None
    inputs = [torch.empty_like(given).copy_(given) for given in passing]
    try:
        replay, results = _capture(lambda: run(*inputs), inputs[0].device)
    except Exception:  # whatever it is, the recording runs without
        return None

    # A graph knows addresses only. The recording owns what lies there, and is kept with it.
    def replayed(*passing: Tensor, _owner: Any = run) -> list[Tensor]:
        torch._foreach_copy_(inputs, passing)
        replay()
        loss, *gradients = results
        return [loss.clone(), *gradients]

    return replayed


def _can_capture(passing: Sequence[Tensor]) -> bool:
    return bool(passing) and all(given.is_cuda for given in passing)


def _capture(
    function: Callable[[], list[Tensor]], device: torch.device
) -> tuple[Callable[[], None], list[Tensor]]:
    """Return what repeats a function, and the results, which it overwrites."""
    with torch.cuda.device(device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_N_WARMING_UP):
                function()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may allocate memory meanwhile. A capture that fails leaves its stream as the
        # current one, unless somebody outside sets that back.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
        ):
            results = function()
    return graph.replay, results
