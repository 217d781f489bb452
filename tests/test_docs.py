"""The docs are true: their code runs, their lists are whole, their links lead somewhere."""

import ast
import importlib
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import public_classes
from sklearn.utils import estimator_html_repr

import skae
from skae.autoencoders import CodebookEnsemble
from skae.outlier import _default

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = ("_build", "_examples", "gallery", "api")
PAGES = [p for p in sorted(DOCS.rglob("*.md")) if p.relative_to(DOCS).parts[0] not in MADE]
#: `skae.losses` is documented as a whole.
MODULES = [
    "skae",
    "skae.autoencoders",
    "skae.boltzmann",
    "skae.callback",
    "skae.datasets",
    "skae.features",
    "skae.layers",
    "skae.metrics",
    "skae.model_selection",
    "skae.outlier",
    "skae.outputs",
    "skae.plotting",
    "skae.preprocessing",
    "skae.preprocessing",
    "skae.som",
    "skae.streaming",
]


def blocks(path):
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), re.M | re.S)


RUNNABLE = [p for p in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES] if blocks(p)]


def write_table(path):
    """Write a CSV file as a user has one: names, words, gaps, and a strange row, the last."""
    rng = np.random.default_rng(0)
    width = rng.normal(100, 5, 300)
    table = pd.DataFrame(
        {"width": width, "height": 0.02 * width, "weight": rng.normal(1, 0.1, 300)}
    )
    table["colour"] = rng.choice(["red", "blue"], 300)
    table.loc[:4, "weight"] = np.nan
    table.loc[299, ["width", "height"]] = [112, 1.8]  # neither is rare by itself
    table.to_csv(path, index=False)


@pytest.mark.parametrize("path", RUNNABLE, ids=lambda path: path.stem)
def test_code_of_the_docs_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_table("table.csv")
    namespace = {}
    for block in blocks(path):
        if "skae.callback " in block:
            pytest.importorskip("sklearn.callback", reason="scikit-learn has them since 1.9")
        exec(compile(block, path.name, "exec"), namespace)
    plt.close("all")


def test_the_readme_finds_the_strange_row_of_a_csv_file(tmp_path, monkeypatch):
    monkeypatch.setattr(_default, "NETWORK_SETTINGS", {})  # all epochs, as of a user
    monkeypatch.chdir(tmp_path)
    write_table("table.csv")
    (block,) = [block for block in blocks(ROOT / "README.md") if "read_csv" in block]
    assert len([line for line in block.splitlines() if line]) <= 8
    exec(compile(block, "README.md", "exec"), {})
    scores = pd.read_csv("scores.csv", index_col=0)
    assert len(scores) == 300
    assert scores[scores["weight"].notna()].index[0] == 299  # a missing value is rare, too
    assert scores["outlier"][299]
    assert scores["score"].is_monotonic_increasing


# -- reference ---------------------------------------------------------------------------


def listed():
    """Return the names in the reference, as they are imported."""
    lines = (DOCS / "api" / "index.rst").read_text().splitlines()
    return [f"skae.{line.strip()}" for line in lines if re.fullmatch(r"   [\w.]+", line)]


def found(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_in_the_reference(name):
    module = importlib.import_module(name)
    # `OutlierDetector` is public in two modules, and documented once.
    documented = [found(one) for one in listed()]
    missing = [one for one in module.__all__ if getattr(module, one) not in documented]
    assert missing == []


@pytest.mark.parametrize("one", [*public_classes(), CodebookEnsemble], ids=lambda one: one.__name__)
def test_html_of_an_estimator_links_to_its_page(one):
    (link,) = re.findall(r'href="(https://skae[^"#]*)', estimator_html_repr(one()))[:1]
    page = link.removeprefix("https://skae.readthedocs.io/en/latest/api/generated/")
    assert page.removesuffix(".html") in listed()
    assert found(page.removesuffix(".html")) is one


def test_html_of_a_class_from_elsewhere_links_nowhere():
    class Mine(skae.Autoencoder):
        pass

    assert "https://skae" not in estimator_html_repr(Mine())


# -- pages -------------------------------------------------------------------------------


def test_every_estimator_is_in_the_table_of_decisions():
    text = (DOCS / "which.md").read_text()
    assert [one.__name__ for one in public_classes() if f"{one.__name__}(" not in text] == []


def test_every_benchmark_is_in_its_table():
    text = (DOCS / "benchmarks.md").read_text()
    scripts = [p.name for p in (ROOT / "benchmarks").glob("bench_*.py")]
    assert [name for name in scripts if f"`{name}`" not in text] == []


def test_links_of_llms_txt_lead_to_pages():
    links = re.findall(r"\]\((.*?)\)", (DOCS / "llms.txt").read_text())
    assert links
    pages = [link.removeprefix("https://skae.readthedocs.io/en/latest/") for link in links]
    sources = [re.sub(r"^_sources/|\.txt$|\.html$|\.md(?=\.txt$)", "", page) for page in pages]
    names = {str(p.relative_to(DOCS).with_suffix("")) for p in PAGES}
    assert set(sources) - names == {"api/index", "gallery/index"}


def heading_anchors(path):
    headings = re.findall(r"^#+ (.*)", path.read_text(), re.M)
    return [re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_links_of_the_readme_lead_to_files_and_headings():
    links = re.findall(r"\]\((?!http)(.*?)\)", (ROOT / "README.md").read_text())
    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        assert (ROOT / file).is_file(), link
        assert not anchor or anchor in heading_anchors(ROOT / file), link


def test_the_readme_fits_two_screens():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 130
    cells = [cell.strip() for line in lines if line[:1] == "|" for cell in line.split("|")]
    assert [cell for cell in cells if len(cell) > 60] == []


def test_a_citation_names_this_version():
    assert f"\nversion: {skae.__version__}\n" in (ROOT / "CITATION.cff").read_text()


# -- gallery -----------------------------------------------------------------------------

EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))


def test_every_example_is_in_one_group_of_the_gallery():
    tree = ast.parse((DOCS / "conf.py").read_text())
    (groups,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "GROUPS"
    ]
    grouped = [f"plot_{name}.py" for _, names in groups.values() for name in names]
    assert sorted(grouped) == [path.name for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_title_of_an_example_is_a_heading(path):
    above, title, below = path.read_text().split("\n")[1:4]
    assert above == below == "=" * len(above)
    assert len(above) >= len(title)
