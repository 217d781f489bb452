"""The package as a whole: what its import costs, and that its docs are true."""

import inspect
import itertools
import os
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import public_classes, quick
from numpydoc.docscrape import ClassDoc
from sklearn.base import OutlierMixin

import skae
from skae.outlier import _default

ROOT = Path(__file__).parents[1]


def python(*arguments, **settings):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, **settings
    ).stdout


def test_import_and_a_fit_bring_nothing_that_they_can_do_without():
    program = """
import sys
# scikit-learn imports pandas by itself where there is one, and does without it.
sys.modules["pandas"] = sys.modules["matplotlib"] = None
import skae
print(skae.__version__)
print([name for name in ("skae.datasets", "pooch") if name in sys.modules])
import skae.plotting
import numpy as np
skae.Autoencoder(2, max_iter=20, tol=1).fit(np.random.rand(300, 4))  # a step is recorded
print([name for name in ("torch._dynamo", "sympy", "torch._inductor") if name in sys.modules])
"""
    assert python("-W", "ignore", "-c", program).split("\n") == [skae.__version__, "[]", "[]", ""]


# What these do depends on how a family trains.
MEAN_WHAT_THEY_DO_IN_A_FAMILY = {
    *("n_components", "algorithm", "init", "learning_rate", "batch_size", "n_iter", "n_iter_"),
    *("learning_rate_schedule", "history_", "verbose", "hidden_layers", "loss"),
}

# What these are for one class is not what they are for the others of its family.
MEAN_WHAT_THEY_DO_HERE = {
    "DictionaryAutoencoder": {"sparsity", "alpha", "k", "dead_units_", "components_"},
    "WinnerTakeAllAutoencoder": {
        *("n_components", "lifetime_fraction", "hidden_layers", "components_", "thresholds_")
    },
}


def documented(estimator_class, section):
    return {entry.name: entry for entry in ClassDoc(estimator_class)[section]}


def test_every_parameter_is_documented_in_order(documented_class):
    names = list(inspect.signature(documented_class).parameters)
    assert list(documented(documented_class, "Parameters")) == names


def family_of(documented_class):
    return documented_class.__module__.split(".")[1]


def test_every_parameter_is_spelled_out(documented_class):
    kinds = {p.kind for p in inspect.signature(documented_class).parameters.values()}
    assert kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    # By the class itself, where an editor and a reader look for it.
    assert "__init__" in vars(documented_class)


def test_shared_parameters_have_one_order_in_a_family():
    for one, other in itertools.combinations(public_classes(), 2):
        if family_of(one) == family_of(other):
            mine, its = (list(inspect.signature(c).parameters) for c in (one, other))
            assert [n for n in mine if n in its] == [n for n in its if n in mine], (one, other)


def test_every_default_is_documented(documented_class):
    entries = documented(documented_class, "Parameters")
    for name, parameter in inspect.signature(documented_class).parameters.items():
        stated = entries[name].type.split("default=")[1]
        assert eval(stated) == parameter.default, name


def test_every_attribute_is_documented(documented_class):
    X = np.random.default_rng(0).random((20, 3))
    fitted = quick(documented_class).fit(X, np.arange(20) % 2)
    properties = [
        name for name, _ in inspect.getmembers(documented_class, inspect.isdatadescriptor)
    ]
    public = {
        name
        for name in [*vars(fitted), *properties]
        if name.endswith("_") and not name.startswith("_")
    }
    assert public <= set(documented(documented_class, "Attributes"))


def test_shared_parameters_have_the_same_words():
    words = {}
    learners = [one for one in public_classes() if not issubclass(one, OutlierMixin)]
    for one in learners:
        for section in ("Parameters", "Attributes"):
            for name, entry in documented(one, section).items():
                said = (entry.type.split(", default=")[0], entry.desc)
                same = (name, family_of(one) if name in MEAN_WHAT_THEY_DO_IN_A_FAMILY else None)
                if name in MEAN_WHAT_THEY_DO_HERE.get(one.__name__, ()):
                    continue
                assert words.setdefault(same, said) == said, (one, name)


def test_every_public_method_is_documented(documented_class):
    for name, method in inspect.getmembers(documented_class, inspect.isfunction):
        if name.startswith("_") or not method.__module__.startswith("skae"):
            continue
        signature = [p for p in inspect.signature(method).parameters if p != "self"]
        for parameter in signature:
            assert re.search(rf"^ *(\*\*)?{parameter} : ", method.__doc__, re.M), (name, parameter)
        assert "Returns\n" in method.__doc__, name


def test_every_public_name_is_used_with_its_types():
    """In the file that the type checker reads as a user's."""
    code = (ROOT / "tests" / "typed_use.py").read_text()
    assert [name for name in skae.__all__ if f"{name}(" not in code] == []


def test_every_public_name_stands_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert [name for name in skae.__all__ if name not in readme] == []


takes_long = pytest.mark.skipif(
    "SKAE_LONG" not in os.environ,
    reason="takes half a minute: set SKAE_LONG, or see the gallery that `make docs` runs",
)


@pytest.fixture
def run_example(tmp_path, monkeypatch, capsys):
    """Return a function that runs an example as a program and returns what it prints.

    Not in a process of its own, whose imports take longer than most examples. The pictures go
    to `tmp_path`.
    """
    monkeypatch.setattr(_default, "NETWORK_SETTINGS", {})  # all epochs, as of a user

    def run(name):
        monkeypatch.setattr(sys, "argv", [name, str(tmp_path)])
        with warnings.catch_warnings(action="ignore"):
            runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        plt.close("all")
        return capsys.readouterr().out

    return run


def test_main_job(tmp_path):
    """`make demo` reaches its figure and draws its pictures, in a process of its own."""
    demo = str(ROOT / "examples" / "plot_digits_pipeline.py")
    table = python("-W", "ignore", demo, str(tmp_path))
    accuracy = {
        line.split("  ")[0]: float(re.search(r" (0\.\d{4}) ", line)[1])
        for line in table.splitlines()
        if re.search(r" 0\.\d{4} ", line)
    }
    assert set(accuracy) == {
        "raw pixels",
        "PCA",
        "BernoulliRBM",
        "Autoencoder",
        "DenoisingAutoencoder",
    }
    assert accuracy["DenoisingAutoencoder"] >= 0.965  # 0.973 to 0.992 over six splits
    assert accuracy["raw pixels"] == pytest.approx(0.9555, abs=0.01)  # known for this split
    assert "device: " in table
    assert len(list(tmp_path.glob("*.png"))) == 3


@takes_long
def test_sparse_codes_tell_digits_apart(run_example, tmp_path):
    printed = run_example("plot_sparse_filters.py")
    assert float(re.search(r"test accuracy (\S+),", printed)[1]) >= 0.985
    assert (tmp_path / "sparse_filters.png").exists()


@takes_long
def test_features_of_a_boltzmann_machine_tell_digits_apart(run_example, tmp_path):
    printed = run_example("plot_rbm_digits.py")
    # 0.940 to 0.954 over four splits with fixed parameters.
    assert float(re.search(r"test accuracy (\S+),", printed)[1]) >= 0.93
    assert (tmp_path / "rbm_digits.png").exists()


def number_after(words, printed):
    return float(re.search(rf"{words} (\d\.\d+)", printed)[1])


def needs_data(name, file=None):
    path = Path(os.environ.get("SKAE_DATA", ""), name, file or f"{name}.npz")
    return pytest.mark.skipif(not path.is_file(), reason=f"SKAE_DATA names no folder with {name}")


def numbers_in_line(words, printed):
    (line,) = [line for line in printed.splitlines() if line.startswith(words)]
    return [float(number) for number in re.findall(r"[+-]?\d+\.\d+", line)]


@needs_data("ecg5000")
def test_abnormal_heartbeats_are_found(run_example, tmp_path):
    printed = run_example("plot_ecg_anomaly.py")
    assert number_after("ROC-AUC", printed) >= 0.988
    assert number_after("accuracy", printed) >= 0.975
    assert len(list(tmp_path.glob("*.png"))) == 2


@needs_data("nsl_kdd")
def test_network_attacks_are_found(run_example, tmp_path):
    printed = run_example("plot_network_intrusion.py")
    assert number_after("ROC-AUC", printed) >= 0.95
    assert len(list(tmp_path.glob("*.png"))) == 1


@takes_long
@needs_data("oddbench", "oddbench_SalesAnomalies.npz")
def test_the_default_detector_is_better_than_others_on_most_tables(run_example, tmp_path):
    printed = run_example("plot_outlier_benchmark.py")
    own, *others = re.findall(r"mean ROC-AUC (\S+) %", printed)
    assert float(own) > max(map(float, others))
    assert len(list(tmp_path.glob("*.png"))) == 1


@takes_long
@needs_data("jsb_chorales", "jsb16_satb.npz")
def test_drawn_voices_go_together_as_those_of_bach(run_example, tmp_path):
    printed = run_example("plot_chorales.py")
    assert len(list(tmp_path.glob("*.png"))) == 2
    _, of_bach, held_by_bach = numbers_in_line("chorales not learned", printed)
    _, of_chance, _ = numbers_in_line("notes drawn one by one", printed)
    in_scale, dissonant, held = numbers_in_line("drawn by the decoder", printed)
    assert dissonant < of_bach + 0.2 * (of_chance - of_bach)
    assert held > 0.8 * held_by_bach
    assert in_scale > 0.9


@takes_long
@needs_data("mario_levels", "mario-1-1.txt")
def test_drawn_levels_have_the_patterns_of_levels(run_example, tmp_path):
    printed = run_example("plot_mario_levels.py")
    assert len(list(tmp_path.glob("*.png"))) == 1
    pipes_by_chance, far_by_chance = numbers_in_line("tiles one by one", printed)
    pipes, far = numbers_in_line("drawn by the decoder", printed)
    assert pipes > max(0.6, 5 * pipes_by_chance)
    assert far < 0.3 * far_by_chance


@takes_long
def test_digits_drawn_by_class_help_some_classifiers(run_example, tmp_path):
    printed = run_example("plot_augmentation.py")
    assert len(list(tmp_path.glob("*.png"))) == 1
    # Gains of neighbours by decoded digits, and of a tree by drawn pixels: mean and spread.
    _, by_decoded, spread, _, _ = numbers_in_line("3 nearest neighbours", printed)
    assert by_decoded > max(0.03, 2 * spread)
    *_, by_pixels, spread = numbers_in_line("decision tree", printed)
    assert by_pixels > max(0.05, spread)


@pytest.mark.parametrize(
    "name",
    [
        "plot_chorales.py",
        "plot_compression.py",
        "plot_ecg_anomaly.py",
        "plot_mario_levels.py",
        "plot_network_intrusion.py",
        "plot_outlier_benchmark.py",
    ],
)
def test_examples_end_without_their_data(name, run_example, tmp_path, monkeypatch):
    monkeypatch.setenv("SKAE_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # no network, where there is one
    assert "skipped: The data set" in run_example(name)
    assert not list(tmp_path.glob("*.png"))


def test_wrong_entries_are_found(run_example, tmp_path):
    printed = run_example("plot_explain_outliers.py")
    assert (tmp_path / "explain_outliers.png").exists()
    of_autoencoder, of_pca = (float(n) for n in re.findall(r"wrong entries (\S+) have", printed))
    assert of_autoencoder > max(of_pca, 0.6)


@takes_long
def test_blocks_are_filled_in_better_than_by_the_mean(run_example, tmp_path):
    printed = run_example("plot_filled_blocks.py")
    assert (tmp_path / "filled_blocks.png").exists()
    names = ["mean image", "PCA", "one network", "mean of 6"]
    errors = [numbers_in_line(name, printed)[0] for name in names]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]
    # The text says that neighbours are as good.
    assert numbers_in_line("neighbours", printed)[0] == pytest.approx(errors[-1], rel=0.1)


@takes_long
@needs_data("mnist")
def test_an_autoencoder_needs_half_the_bits_of_pca(run_example, tmp_path):
    printed = run_example("plot_compression.py")
    assert (tmp_path / "compression.png").exists()
    rows = {tuple(line.split()[:2]): float(line.split()[2]) for line in printed.splitlines()[1:11]}
    for bits in (32, 64, 128):
        assert rows["autoencoder", str(bits)] < rows["PCA", str(2 * bits)]


@takes_long
def test_neighbours_on_the_plane_of_tsne_are_those_of_the_code(run_example, tmp_path):
    printed = run_example("plot_latent_tsne.py")
    assert len(list(tmp_path.glob("*.png"))) == 2
    (by_tsne,) = numbers_in_line("16 components, by t-SNE", printed)
    (of_code,) = numbers_in_line("the 16 components", printed)
    assert by_tsne > of_code - 0.02
    for other in ("16 components, by PCA", "two components, learned"):
        assert numbers_in_line(other, printed)[0] < by_tsne - 0.1


@takes_long
def test_texts_of_another_module_are_outliers(run_example, tmp_path):
    printed = run_example("plot_text_outliers.py")
    assert (tmp_path / "text_outliers.png").exists()
    ours, neighbour, *others = numbers_in_line("mean", printed)
    assert min(ours, neighbour) > 0.9
    assert max(others) < 0.6


@takes_long
def test_features_of_windows_need_few_labels(run_example, tmp_path):
    printed = run_example("plot_features_of_series.py")
    assert (tmp_path / "features_of_series.png").exists()
    few, *_ = numbers_in_line("WindowFeatures", printed)
    *_, most = numbers_in_line("Nystroem", printed)
    assert few > most + 0.1  # 12 labelled series beside 96


@takes_long
def test_a_search_in_one_run_has_the_same_scores(run_example, tmp_path):
    printed = run_example("plot_grid_search.py")
    assert len(list(tmp_path.glob("*.png"))) == 1
    assert numbers_in_line("largest difference", printed)[0] < 1e-4
    assert numbers_in_line("accuracy of the best", printed)[0] > 0.92


@takes_long
def test_the_discriminator_chooses_samples_on_a_grid(run_example, tmp_path):
    printed = run_example("plot_gan_grid.py")
    assert (tmp_path / "gan_grid.png").exists()
    found = re.findall(r": (\d+) modes, (\d+\.\d) % high quality", printed)
    (_, of_rows), (_, of_all), (n_modes, of_chosen) = found
    assert float(of_rows) > 98  # 98.9 % of a normal distribution in the plane lie in the radius
    assert int(n_modes) >= 24
    assert float(of_chosen) > max(60, float(of_all) + 20)  # 72.5 and 87.8 with two seeds


@pytest.mark.parametrize(
    ("name", "n_pictures"),
    [
        ("plot_denoise_images.py", 1),
        ("plot_series_windows.py", 1),
        pytest.param("plot_missing_values.py", 1, marks=takes_long),
        ("plot_som_wine.py", 2),
        pytest.param("plot_vae_digits.py", 2, marks=takes_long),
        ("plot_som_chainlink.py", 1),
        pytest.param("plot_parquet.py", 1, marks=takes_long),
        pytest.param("plot_resuming.py", 1, marks=takes_long),
        pytest.param("plot_winner_take_all.py", 1, marks=takes_long),
    ],
)
def test_other_examples_draw_their_pictures(name, n_pictures, run_example, tmp_path):
    run_example(name)
    assert len(list(tmp_path.glob("*.png"))) == n_pictures
