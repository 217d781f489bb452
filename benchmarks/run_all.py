"""Runs all benchmarks of speed and memory, one after another, each in its own process.

Command: ``python benchmarks/run_all.py``, or ``make bench``
"""

import subprocess
import sys
from pathlib import Path

#: Run by hand: benchmarks of quality, and of a file of some gigabytes.
TAKE_LONG = {
    "bench_aae.py",
    "bench_dictionary.py",
    "bench_features.py",
    "bench_gan.py",
    "bench_missing.py",
    "bench_mnist_sparse.py",
    "bench_outliers.py",
    "bench_rbm_mnist.py",
    "bench_selection.py",
    "bench_stream.py",
    "bench_windows.py",
    "bench_wta.py",
}


def main() -> None:
    scripts = sorted(Path(__file__).parent.glob("bench_*.py"))
    scripts = [script for script in scripts if script.name not in TAKE_LONG]
    failed = [s.name for s in scripts if subprocess.run([sys.executable, str(s)]).returncode]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
