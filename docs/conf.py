"""Settings of sphinx for these pages: ``make docs`` builds them."""

import re
import shutil
from pathlib import Path

from sklearn.experimental import enable_iterative_imputer  # noqa: F401 for the gallery's links

import skae

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"

project = "skae"
author = "The skae developers"
copyright = f"2026, {author}"
version = release = skae.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_examples", "api/backreferences", "**/GALLERY_HEADER.rst"]
templates_path = ["_templates"]
default_role = "py:obj"  # `Autoencoder` in a docstring is a link, where there is such a page
highlight_language = "none"  # but for blocks that say python, and doctests
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

# -- pages -------------------------------------------------------------------------------

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

# -- reference ---------------------------------------------------------------------------

autodoc_typehints = "none"  # types stand in the docstrings, in words
autosummary_generate = True
autosummary_ignore_module_all = False
numpydoc_show_class_members = False  # they are on the page of their class
suppress_warnings = [
    "ref.term",  # scikit-learn's glossary, in its docstring of n_features_in_
    "config.cache",  # a function among the settings of the gallery
]


def skip_what_scikit_learn_documents(app, what, name, member, skip, options):
    """Leave out inherited methods of scikit-learn and of torch, and routing requests.

    Attributes stand in the docstring of their class.
    """
    module = getattr(member, "__module__", None) or ""
    elsewhere = not module.startswith("skae") or isinstance(member, property)
    return skip or elsewhere or bool(re.fullmatch("set_.*_request", name))


def quote_names_in_types(app, what, name, obj, options, lines):
    """Put ``n_features_in_`` in a type between backticks: without, it is a link to somewhere."""
    for i, line in enumerate(lines):
        if re.match(r"\w[\w, *]* : ", line):
            lines[i] = re.sub(r"(?<![\w`])(\w+_)(?=[,)])", r"``\1``", line)


# -- gallery -----------------------------------------------------------------------------

GROUPS = {
    "features": (
        "Features for a classifier",
        [
            "digits_pipeline",
            "sparse_filters",
            "winner_take_all",
            "sparse_dictionary",
            "rbm_digits",
            "features_of_series",
            "grid_search",
        ],
    ),
    "images": (
        "Noise, missing parts, and how long a code has to be",
        ["denoise_images", "missing_values", "filled_blocks", "compression", "ordered_codes"],
    ),
    "outliers": (
        "Outliers",
        [
            "ecg_anomaly",
            "network_intrusion",
            "series_windows",
            "text_outliers",
            "explain_outliers",
            "outlier_benchmark",
        ],
    ),
    "generating": (
        "Latent spaces and new rows",
        ["latent_tsne", "vae_digits", "augmentation", "chorales", "mario_levels", "gan_grid"],
    ),
    "maps": ("Maps", ["som_wine", "som_chainlink"]),
    "large": ("Large data and long fits", ["parquet", "resuming"]),
}


def arrange_examples():
    """Copy the examples to a folder for each group, from which the gallery is made."""
    arranged = HERE / "_examples"
    shutil.rmtree(arranged, ignore_errors=True)
    arranged.mkdir()
    (arranged / "GALLERY_HEADER.rst").write_text("=======\nGallery\n=======\n")
    for folder, (title, names) in GROUPS.items():
        (arranged / folder).mkdir()
        (arranged / folder / "GALLERY_HEADER.rst").write_text(f"{title}\n{'=' * len(title)}\n")
        for name in names:
            shutil.copy(EXAMPLES / f"plot_{name}.py", arranged / folder)


def place_in_groups(file):
    """Return where an example stands among all: the gallery sorts those of a group by it."""
    names = [name for _, some in GROUPS.values() for name in some]
    return names.index(file.removeprefix("plot_").removesuffix(".py"))


def arguments_of_example(gallery_conf, script_vars):
    """Return the folder, beside an example, for its pictures; the gallery takes the figures."""
    return ["output"]


arrange_examples()
sphinx_gallery_conf = {
    "reset_argv": arguments_of_example,
    "examples_dirs": "_examples",
    "gallery_dirs": "gallery",
    "subsection_order": [f"_examples/{name}" for name in GROUPS],
    "within_subsection_order": place_in_groups,
    "doc_module": ("skae",),
    "backreferences_dir": "api/backreferences",
    "remove_config_comments": True,
    "show_memory": False,
}

# -- theme -------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = f"skae {version}"
html_static_path = ["_static"]
html_extra_path = ["llms.txt"]
ALONE = ["start", "which", "coming_from", "own_model", "how_it_is_built", "benchmarks"]
html_sidebars = {page: [] for page in [*ALONE, "decision_guide", "changelog"]}
html_theme_options = {
    "navigation_with_keys": True,
    "show_toc_level": 2,
    "header_links_before_dropdown": 5,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def setup(app):
    """Tell sphinx of the functions above."""
    app.connect("autodoc-skip-member", skip_what_scikit_learn_documents)
    app.connect("autodoc-process-docstring", quote_names_in_types, priority=100)  # before numpydoc
