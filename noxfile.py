"""What needs environments of its own: ``make dist`` and ``make matrix``.

``nox --list`` names the sessions; ``nox -s lowest -- tests/test_layers.py`` runs some tests.

PyPI's torch for Linux is a CUDA build of several gigabytes. Unless told otherwise, the sessions
take the torch of constraints.txt, which `make` has installed anyway, and leave out the oldest
torch and other interpreters, for which it would have to be downloaded. Where an index with builds
for CPUs can be reached, the variable SKAE_TORCH says which to take from it:

    export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
    SKAE_TORCH=torch==2.5.0 nox -s lowest
    SKAE_TORCH=torch nox -s newest
"""

import os
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False  # those that are not at hand are skipped

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml("pyproject.toml")["project"]
EXTRAS = ("plot", "data", "test")
(PINNED_TORCH,) = [
    line
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line.startswith("torch==")
]
TORCH = os.environ.get("SKAE_TORCH", PINNED_TORCH)
LOWEST_PYTHON = PROJECT["requires-python"].removeprefix(">=")


# -- make dist ---------------------------------------------------------------------------


@nox.session(python=False)
def build(session: nox.Session) -> None:
    """Build the sdist, and the wheel from it, into dist."""
    for old in (ROOT / "dist").glob("skae-*"):
        old.unlink()
    session.run(sys.executable, "-m", "build", "--outdir", "dist", external=True)


@nox.session(python=LOWEST_PYTHON)
@nox.parametrize("kind", ["wheel", "sdist"])
def install(session: nox.Session, kind: str) -> None:
    """Install what was built into an environment with nothing else, and try it."""
    (built,) = (ROOT / "dist").glob("skae-*.whl" if kind == "wheel" else "skae-*.tar.gz")
    session.install("--constraint", "constraints.txt", str(built))
    session.chdir(session.create_tmp())
    session.run(
        "python", "-I", "-W", "error", str(ROOT / "tests" / "smoke.py")
    )  # -I: not what lies around


# -- make matrix -------------------------------------------------------------------------


def run_tests(session: nox.Session, *arguments: str) -> None:
    """Run what was asked for behind ``--``, or all tests."""
    session.run("python", "-m", "pytest", *arguments, *(session.posargs or ["-n", "auto"]))


@nox.session(python=LOWEST_PYTHON)
def lowest(session: nox.Session) -> None:
    """Test with the lowest versions that pyproject.toml allows."""
    optional = PROJECT["optional-dependencies"]
    stated = [*PROJECT["dependencies"], *(line for extra in EXTRAS for line in optional[extra])]
    pins = [line.replace(">=", "==") for line in stated if not line.startswith("torch>=")]
    session.install("--editable", f".[{','.join(EXTRAS)}]", TORCH, *pins)
    # Old releases call what the newer ones beneath them (pyparsing, dateutil) deprecate.
    run_tests(session, "-W", "ignore::DeprecationWarning")


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def newest(session: nox.Session) -> None:
    """Test with the newest versions that there are."""
    if sys.platform == "linux" and session.python != LOWEST_PYTHON and TORCH == PINNED_TORCH:
        session.skip("needs a torch for this Python: see SKAE_TORCH at the top of noxfile.py")
    session.install("--upgrade", "--editable", f".[{','.join(EXTRAS)}]", TORCH)
    run_tests(session)
