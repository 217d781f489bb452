"""What a fresh install has to do: ``python -I tests/smoke.py``, run by ``make dist``.

Needs nothing but what the package asks for, and must not find the package in the source tree.
"""

import importlib
import pickle
import pkgutil
from importlib.metadata import metadata, requires, version
from importlib.resources import files
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main() -> None:
    import skae

    installed = Path(skae.__file__).parent
    assert installed.parent.name == "site-packages", f"not an installed package: {installed}"

    n_names = 0
    for module in pkgutil.walk_packages(skae.__path__, "skae."):
        imported = importlib.import_module(module.name)
        for name in getattr(imported, "__all__", []):
            getattr(imported, name)
            n_names += 1
    assert files("skae").joinpath("py.typed").is_file(), "no py.typed"
    assert not [path.name for path in installed.parent.glob("tests")], "the tests were installed"

    about = metadata("skae")
    assert version("skae") == skae.__version__
    assert about["License-Expression"] == "BSD-3-Clause"
    assert about.get_all("License-File") == ["LICENSE"]
    assert about["Description-Content-Type"] == "text/markdown"
    assert about.get_all("Project-URL")
    needed = [line for line in requires("skae") if "extra ==" not in line]
    assert any(line.startswith("torch>=") for line in needed)

    X = np.random.default_rng(0).normal(size=(200, 5))
    learner = skae.DenoisingAutoencoder(3, max_iter=20, tol=0.1, random_state=0)
    pipeline = make_pipeline(StandardScaler(), learner).fit(X)
    again = pickle.loads(pickle.dumps(pipeline))
    assert (again.transform(X) == pipeline.transform(X)).all()
    is_outlier = skae.OutlierDetector(random_state=0).fit(X).predict(np.vstack([X, 20 + X[:1]])) < 0
    assert is_outlier[-1]
    print(f"skae {skae.__version__} in {installed}: {n_names} public names, all well")


if __name__ == "__main__":
    main()
