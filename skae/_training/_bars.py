"""Progress bars: in a terminal, in a notebook, or as lines of a log."""

from __future__ import annotations

import sys
from typing import Any

import tqdm.auto
from skorch.callbacks import Callback

# Seconds between two lines of a log.
_BETWEEN_LINES = 10.0


class _Lines:
    """Standard error as a log has it: whole lines, where a terminal writes over the last one."""

    encoding = "ascii"

    def write(self, text: str) -> None:
        if text := text.strip("\r\n "):
            print(text, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def progress_bar(**settings: Any) -> Any:
    """Return a bar of tqdm.

    A notebook has its own kind. Where standard error is a file or a pipe, there is a line at the
    start, one about every ten seconds, and one at the end.
    """
    in_notebook = tqdm.auto.notebook_tqdm is not tqdm.auto.std_tqdm
    if in_notebook or sys.stderr.isatty():
        return tqdm.auto.tqdm(**settings)
    return tqdm.auto.tqdm(file=_Lines(), mininterval=_BETWEEN_LINES, **settings)


class ProgressBar(Callback):
    """A bar over all rows of a training, with what the plan shows of the last epoch."""

    _bar: Any = None

    def on_train_begin(self, net: Any, X: Any = None, **_: Any) -> None:
        """Start the bar."""
        total = net.max_epochs * X.n_rows
        self._bar = progress_bar(total=total, unit="rows", unit_scale=True)

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **_: Any) -> None:
        """Move the bar by a batch of training rows."""
        if training:
            self._bar.update(batch.x.shape[0])

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Show how the epoch went."""
        epoch = net.history[-1]
        shown = {name: epoch.get(name) for name in net.plan.shown}
        figures = {name: f"{v:.4g}" for name, v in shown.items() if v is not None}
        self._bar.set_description(f"epoch {epoch['epoch']} of {net.plan.max_iter}", refresh=False)
        self._bar.set_postfix(figures, refresh=False)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
