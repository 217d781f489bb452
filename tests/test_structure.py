"""How the package is built: its imports and sizes, and what modules share with each other."""

import ast
import io
import statistics
import tokenize
from numbers import Real
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import has, public_estimators
from numpy.testing import assert_allclose

import skae
from skae import GaussianRBM, SelfOrganizingMap
from skae._random import Generator, seeded_initialisation
from skae._training import Batch
from skae.autoencoders import BaseAutoencoder
from skae.layers import Conv2d, Dense
from skae.outputs import Gaussian, Huber

PACKAGE = Path(skae.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]

# -- imports -------------------------------------------------------------------------------

FAMILIES = {"adversarial", "autoencoders", "boltzmann", "som", "outlier"}

#: Where a room may import from: from itself, and from those in the lines above its own.
LEVELS = [
    {"_config", "_compute", "_random", "_typed", "_warn"},
    {"layers", "losses", "outputs", "_training"},
    {"_sklearn_callbacks"},
    {"metrics", "_validation", "_fitting", "_missing"},
    {"_checkpoint", "_parameters", "_pickling"},
    {"_intake", "preprocessing", "streaming"},
    {"base"},
    {"_convergence", "_features"},
    {"autoencoders", "datasets"},  # the other families may take what it makes public
    {"adversarial", "boltzmann", "som"},
    {"outlier", "features"},
    {"plotting", "model_selection", "callback"},
    {"__init__"},
]


def imports_of(path: Path) -> list[tuple[str, ...]]:
    """Return what a file imports: the parts of the absolute names of modules and their names."""
    package = ("skae", *path.relative_to(PACKAGE).parent.parts)
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = tuple(node.module.split(".")) if node.module else ()
            found += [(*base, *module, alias.name) for alias in node.names]
    return found


def room_of(path: Path) -> str:
    """Return the subpackage of a file, or the module itself if it is in none."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def level_of(room: str) -> int:
    (level,) = [i for i, rooms in enumerate(LEVELS) if room in rooms]
    return level


def test_imports_run_one_way():
    for path in FILES:
        room = room_of(path)
        for package, *inner in imports_of(path):
            if package == "skae" and inner[0] not in (room, "__version__"):
                assert level_of(inner[0]) < level_of(room), (path, inner)


def test_only_the_engine_imports_skorch():
    users = {room_of(path) for path in FILES for name in imports_of(path) if name[0] == "skorch"}
    assert users == {"_training"}


def test_layers_losses_and_outputs_know_no_estimators():
    allowed = {("sklearn", "base", "BaseEstimator"), ("sklearn", "base", "clone")}
    for path in FILES:
        if room_of(path) in ("layers", "losses", "outputs"):
            for name in imports_of(path):
                checks_parameters = name[:3] == ("sklearn", "utils", "_param_validation")
                assert name[0] != "sklearn" or checks_parameters or name in allowed, (path, name)


def test_no_family_imports_private_parts_of_another():
    for path in FILES:
        for package, *inner in imports_of(path):
            if package == "skae" and inner[0] in FAMILIES - {room_of(path)}:
                assert not [part for part in inner if part.startswith("_")], (path, inner)


# -- sizes ---------------------------------------------------------------------------------


def code_lines(path: Path) -> set[int]:
    """Return the numbers of the lines that are neither blank, comments nor docstrings."""
    source = path.read_text()
    no_code = {
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT),
        *(tokenize.DEDENT, tokenize.ENDMARKER),
    }
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in no_code
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(source)):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        if documented and ast.get_docstring(node) is not None:
            lines -= lines_of(node.body[0])
    return lines


def lines_of(node: ast.AST) -> set[int]:
    return set(range(node.lineno, node.end_lineno + 1))


def test_code_is_counted_without_docstrings_blank_lines_and_comments(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        '"""Doc."""\n\n# comment\nx = """two\nlines"""  # more\n\ndef f():\n    "Doc."\n'
    )
    assert code_lines(path) == {4, 5, 7}


def test_files_are_small():
    sizes = {name: len(code_lines(path)) for name, path in zip(NAMES, FILES, strict=True)}
    assert statistics.median(sizes.values()) <= 90
    assert {name: size for name, size in sizes.items() if size > 250} == {}


@pytest.mark.parametrize("name", ["_autoencoder", "_sparse", "_denoising", "_contractive"])
def test_an_autoencoder_is_its_maths_and_its_parameters(name):
    """Its module and its estimator have at most 60 lines of code beside the `__init__`."""
    path = PACKAGE / "autoencoders" / f"{name}.py"
    classes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    (init,) = [
        node
        for node in classes[-1].body
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    ]
    assert classes[-1].name.endswith("Autoencoder")
    lines = set.union(*map(lines_of, classes)) & code_lines(path)
    assert len(lines - lines_of(init)) <= 60


# -- numbers that a search may vary ---------------------------------------------------------

#: Numeric parameters that do not reach the module, and where they go instead.
OUTSIDE = {
    "learning_rate": "the plan and the optimizers",
    "max_iter": "the plan",
    "tol": "the plan",
    "n_iter_no_change": "the plan",
    "validation_fraction": "the split of the rows",
    "verbose": "the plan",
    "checkpoint_every": "the checkpoint",
    "n_score_samples": "inference",
}

DROPOUT = Dense((6,), dropout=0.2)
CONV = Conv2d((1, 3, 3), (2,), dropout=0.2)

#: Two values of each numeric parameter, and with what else it has an effect.
INSIDE = [
    ("n_components", 3, 4, {}),
    ("n_components", np.int64(3), np.int64(4), {}),  # as from a grid
    ("weight_decay", 0.1, 0.2, {}),
    ("weight_decay", 0.0, 0.2, {}),
    ("l1", 0.1, 0.2, {}),
    ("hidden_layers__dropout", 0.1, 0.4, {"hidden_layers": DROPOUT}),
    ("hidden_layers__dropout", 0.0, 0.4, {"hidden_layers": DROPOUT}),
    ("hidden_layers__dropout", 0.1, 0.4, {"hidden_layers": CONV}),
    ("hidden_layers__kernel_size", 2, 3, {"hidden_layers": CONV}),
    ("hidden_layers__stride", 1, 2, {"hidden_layers": CONV}),
    ("loss__delta", 0.1, 0.5, {"loss": Huber()}),
    ("alpha", 0.1, 0.2, {"hidden_layers": (6,)}),
    ("alpha", 0.0, 0.2, {"hidden_layers": (6,)}),
    ("alpha", 0.1, 0.2, {"sparsity": "kl", "code_activation": "sigmoid"}),
    ("alpha", 0.1, 0.2, {"penalty": "exact"}),
    ("alpha", 0.1, 0.2, {"penalty": "closed_form", "hidden_layers": ()}),
    ("target", 0.05, 0.2, {"sparsity": "kl", "code_activation": "sigmoid"}),
    ("k", 1, 2, {"sparsity": "k", "alpha_test": 1.0}),
    ("k", 1, 2, {"sparsity": "batch_topk", "aux_weight": 0.0}),
    ("k", 1, 2.5, {"sparsity": "matryoshka", "widths": [1]}),
    ("alpha", 0.1, 0.2, {"sparsity": "jumprelu", "bandwidth": 0.01}),
    ("alpha", 0.1, 0.2, {"sparsity": "gated", "bandwidth": 0.01}),
    ("bandwidth", 0.001, 0.02, {"sparsity": "jumprelu"}),
    ("aux_weight", 0.5, 2.0, {"k": 1, "dead_after": 1}),
    ("dead_after", 1, 100, {"k": 1}),
    ("alpha_test", 1.0, 2.0, {"sparsity": "k", "k": 1}),
    ("lifetime_fraction", 0.3, 0.6, {"sparsity": "lifetime"}),
    ("lifetime_fraction", 0.3, 0.6, {"pool_size": None}),
    ("lifetime_fraction", 0.3, 0.6, {"pool_size": 1, "hidden_layers": CONV}),
    ("pool_size", 1, "global", {"hidden_layers": CONV}),
    ("decoder_kernel_size", 5, 7, {"hidden_layers": CONV}),
    ("n_probes", 1, 2, {"penalty": "estimate"}),
    ("noise_level", 0.1, 0.6, {"noise": "gaussian"}),
    ("noise_level", 0.1, 0.6, {"noise": "masking", "score_draws": 2}),
    ("noise_level", 0.1, 0.6, {"noise": "salt_and_pepper"}),
    ("noise_level", 0.1, 0.6, {"noise": "swap", "noise_schedule": "uniform"}),
    ("noise_schedule", [0.1, 0.2], [0.3, 0.9], {}),
    ("noise_schedule", [0.1, 0.2], [0.1, 0.2, 0.3], {}),
    ("beta", 0.5, 2.0, {}),
    ("beta_warmup", 0, 10, {}),
    ("beta_warmup", 5, 10, {}),
    ("capacity", 1.0, 2.0, {}),
    ("free_bits", 0.5, 1.0, {}),
    ("free_bits", 0.0, 1.0, {}),
    ("n_importance_samples", 1, 3, {}),
    ("likelihood__variance", 0.1, 0.5, {"likelihood": Gaussian(0.3)}),
    ("likelihood__min_variance", 0.1, 0.5, {"likelihood": Gaussian()}),
    ("score_draws", 0, 1, {}),
    ("score_draws", 1, 2, {}),
    ("n_refinements", 1, 2, {"missing_values": "mask"}),
]

AUTOENCODERS = [one for one in public_estimators() if issubclass(one, BaseAutoencoder)]


@pytest.mark.parametrize("estimator_class", AUTOENCODERS, ids=lambda one: one.__name__)
def test_every_numeric_parameter_is_known_below(estimator_class):
    known = {*OUTSIDE, *(name for name, *_ in INSIDE)}
    for hidden_layers in (DROPOUT, CONV):
        objects = {"hidden_layers": hidden_layers, "loss": Huber(), "likelihood": Gaussian()}
        own = {name: value for name, value in objects.items() if has(estimator_class, name)}
        parameters = estimator_class(**own).get_params()
        numeric = {
            name
            for name, value in parameters.items()
            if isinstance(value, Real) and not isinstance(value, bool)
        }
        assert numeric <= known


def cases():
    for one in AUTOENCODERS:
        for name, first, second, others in INSIDE:
            own = [key.split("__")[0] for key in (name, *others)]
            if has(one, *own):
                shown = "-".join(f"{key}={value}" for key, value in others.items())
                yield pytest.param(
                    one, name, [first, second], others, id=f"{one.__name__}-{name}-{first}-{shown}"
                )


@pytest.mark.parametrize(("estimator_class", "name", "values", "others"), cases())
def test_modules_of_one_structure_are_trained_as_one_batch(estimator_class, name, values, others):
    """Two values differ in `structure`, or have each its own loss when stacked."""
    x = torch.rand(7, 9, generator=torch.Generator().manual_seed(0))
    layers = {"hidden_layers": (6,)} if has(estimator_class, "hidden_layers") else {}
    settings = {"n_components": 3, **layers, **others}
    modules = []
    for value in values:
        estimator = estimator_class(**settings).set_params(**{name: value})
        with seeded_initialisation(0):
            modules.append(estimator._make_module(9).train())
        assert modules[-1].structure() is not None
    if modules[0].structure() != modules[1].structure():
        return
    noise = modules[0].sample_noise(Batch(x), Generator(0))
    alone = [module.loss(Batch(x), noise).detach() for module in modules]
    parameters, buffers = torch.func.stack_module_state(modules)

    def loss(parameters, buffers):
        return torch.func.functional_call(modules[0], (parameters, buffers), (Batch(x), noise))

    together = torch.vmap(loss)(parameters, buffers).detach()
    assert_allclose(together, torch.stack(alone), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(*alone, rtol=1e-3)  # the parameter does something


#: Two values of each numeric parameter of machines and maps, which differ in structure: a step
#: of theirs is written out in operations that take numbers.
WRITTEN_OUT = {
    "n_components": (3, 4),
    "batch_size": (5, 6),  # the number of chains
    "n_gibbs_steps": (1, 2),
    "n_temperatures": (2, 3),
    "momentum": (0.3, 0.5),
    "weight_decay": (0.1, 0.2),
    "sparsity_target": (0.1, 0.2),
    "sparsity_cost": (0.1, 0.2),
}

ELSEWHERE = {
    "learning_rate": "the plan",
    "n_iter": "the plan",
    "verbose": "the plan",
    "checkpoint_every": "the checkpoint",
}

WITHOUT_GRADIENT = [
    one
    for one in public_estimators()
    if has(one, "n_iter") and not has(one, "hidden_layer_sizes") and not has(one, "hidden_layers")
]


@pytest.mark.parametrize("estimator_class", WITHOUT_GRADIENT, ids=lambda one: one.__name__)
def test_numbers_of_machines_and_maps_are_part_of_their_structure(estimator_class):
    others = {"algorithm": "pt"} if has(estimator_class, "n_temperatures") else {}
    for name, default in estimator_class().get_params().items():
        if not isinstance(default, Real) or isinstance(default, bool) or name in ELSEWHERE:
            continue
        modules = [
            estimator_class(**{**others, name: value})._make_module(9)
            for value in WRITTEN_OUT[name]
        ]
        first, second = (module.structure() for module in modules)
        assert first is not None
        assert first != second, name


@pytest.mark.parametrize("values", [0.5, 2.0])
def test_a_fixed_variance_is_a_tensor(values):
    """The one number of a machine that a step takes from its tensors."""
    machines = [GaussianRBM(3, variance=value)._make_module(9) for value in (1.0, values)]
    assert machines[0].structure() == machines[1].structure()
    assert not torch.equal(machines[0].log_variance, machines[1].log_variance)


def test_radii_are_part_of_the_structure_of_a_map():
    X = np.random.default_rng(0).random((30, 3))
    maps = [SelfOrganizingMap((3, 3), radius=(2, end), n_iter=2).fit(X) for end in (0.5, 1.0)]
    first, second = (one.module_.structure() for one in maps)
    assert first is not None
    assert first != second
