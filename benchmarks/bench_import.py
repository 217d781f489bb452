"""What ``import skae`` costs beside ``import torch, sklearn.base``, each in a new process.

Command: ``python benchmarks/bench_import.py [--rounds 9]``
"""

import subprocess
import sys

from _common import arguments, interleave, print_ratio_limit, print_table, time_rows

PROGRAM = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def import_seconds(modules: str) -> float:
    command = [sys.executable, "-c", PROGRAM.format(modules)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    options = arguments(__doc__, rounds=9)
    baseline = "torch, sklearn.base"
    times = interleave(
        {name: lambda name=name: import_seconds(name) for name in ("skae", baseline)},
        options.rounds,
    )
    rows = time_rows(times, lambda seconds: f"{seconds:.3f}", [baseline])
    print_table("An import", ["", "seconds", "spread", "/ torch, sklearn.base"], rows)
    print_ratio_limit(times, "skae", baseline, 1.15)


if __name__ == "__main__":
    main()
