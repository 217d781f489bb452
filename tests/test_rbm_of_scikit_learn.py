"""scikit-learn's own tests of its `BernoulliRBM`, with this package's in its place."""

import inspect
import itertools

import pytest
from sklearn.neural_network.tests import test_rbm as theirs

import skae

#: Tests that no other implementation could pass, and why.
EXCEPTIONS = {
    "test_transform": "calls the private method _mean_hiddens",
    "test_sample_hiddens": "calls the private methods _mean_hiddens and _sample_hiddens",
    "test_fit_gibbs": "expects the weights that one seed of numpy's generator gives",
}

TESTS = {name: test for name, test in vars(theirs).items() if name.startswith("test_")}


def cases():
    """Return each test with each of the arguments that it is parametrised by."""
    found = []
    for name, test in TESTS.items():
        choices = []
        for mark in getattr(test, "pytestmark", []):
            if mark.name == "parametrize":
                names, values = mark.args
                names = [part.strip() for part in names.split(",")]
                if len(names) == 1:
                    values = [(value,) for value in values]
                choices.append([dict(zip(names, value, strict=True)) for value in values])
        for number, chosen in enumerate(itertools.product(*choices)):
            arguments = {key: value for one in chosen for key, value in one.items()}
            found.append(pytest.param(name, arguments, id=f"{name}-{number}"))
    return found


@pytest.mark.parametrize(("name", "arguments"), cases())
def test_passes(name, arguments, monkeypatch, request):
    if name in EXCEPTIONS:
        pytest.skip(EXCEPTIONS[name])
    monkeypatch.setattr(theirs, "BernoulliRBM", skae.BernoulliRBM)
    fixtures = set(inspect.signature(TESTS[name]).parameters) - set(arguments)
    TESTS[name](**arguments, **{fixture: request.getfixturevalue(fixture) for fixture in fixtures})


def test_exceptions_are_tests_of_theirs():
    assert set(EXCEPTIONS) < set(TESTS)
