"""The displays: what they store, what they draw, and what they say to a wrong call."""

import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpydoc.docscrape import ClassDoc
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skae import (
    Autoencoder,
    BernoulliRBM,
    GenerativeAdversarialNetwork,
    SelfOrganizingMap,
    VariationalAutoencoder,
    plotting,
)
from skae.layers import Conv1d, Conv2d
from skae.outlier import OutlierDetector
from skae.plotting import (
    ComponentsDisplay,
    ExplanationDisplay,
    LatentSpaceDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
    ScoreHistogramDisplay,
    SearchDisplay,
    SOMDisplay,
)
from skae.plotting._shared import COLOURS, MARKERS, as_images, class_styles, mosaic

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

QUICK = dict(max_iter=2, tol=10.0, random_state=0)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).random((30, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def y():
    return np.arange(30) % 3


@pytest.fixture(scope="module")
def autoencoder(X):
    return Autoencoder(3, **QUICK).fit(X)


def drawn(display, ax):
    """Check that a display was drawn on the given axes, and draw all of the figure."""
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    ax.figure.canvas.draw()
    return display


@pytest.fixture
def ax():
    return plt.subplots()[1]


# -- all displays ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", plotting.__all__)
def test_displays_document_their_parameters_attributes_and_methods(name):
    display = getattr(plotting, name)
    documentation = ClassDoc(display)
    assert [one.name.split(",")[0] for one in documentation["Parameters"]]
    assert {"ax_", "figure_"} <= {one.name for one in documentation["Attributes"]}
    assert documentation["Examples"]
    for method in (display.from_estimator, display.plot):
        assert f"Returns\n        -------\n        {name}\n" in method.__doc__


def test_without_matplotlib_it_says_what_is_missing(monkeypatch):
    display = LossCurveDisplay({"a": [1.0, 0.5]})
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"LossCurveDisplay.plot requires matplotlib"):
        display.plot()


@pytest.mark.parametrize(
    ("display", "estimator"),
    [
        (LossCurveDisplay, Autoencoder()),
        (ReconstructionDisplay, Autoencoder()),
        (LatentSpaceDisplay, Autoencoder()),
        (ComponentsDisplay, BernoulliRBM()),
        (ComponentsDisplay, Autoencoder()),
        (ScoreHistogramDisplay, Autoencoder()),
        (ExplanationDisplay, OutlierDetector(PCA())),
        (SOMDisplay, SelfOrganizingMap()),
        (SearchDisplay, GridSearchCV(PCA(), {"n_components": [1]})),
    ],
    ids=lambda one: getattr(one, "__name__", type(one).__name__),
)
def test_estimators_that_are_not_fitted_are_refused(display, estimator, X):
    no_rows = (LossCurveDisplay, ComponentsDisplay, SOMDisplay)
    arguments = ["n_components"] if display is SearchDisplay else [] if display in no_rows else [X]
    with pytest.raises(NotFittedError):
        display.from_estimator(estimator, *arguments)


@pytest.mark.parametrize(
    ("display", "method"),
    [
        (ReconstructionDisplay, "reconstruct|transform and inverse_transform"),
        (LatentSpaceDisplay, "transform"),
        (ScoreHistogramDisplay, "score_samples"),
        (ExplanationDisplay, "explain"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_estimators_without_the_method_are_refused(display, method, X, y):
    from sklearn.naive_bayes import GaussianNB

    with pytest.raises(TypeError, match=f"{display.__name__} needs .*(?:{method}), but Gauss"):
        display.from_estimator(GaussianNB().fit(X, y), X)
    with pytest.raises(TypeError, match="SOMDisplay needs"):
        SOMDisplay.from_estimator(GaussianNB().fit(X, y))


# -- what they share ---------------------------------------------------------------------------


def test_no_two_classes_look_alike():
    styles = [style for *_, style in class_styles(np.arange(len(COLOURS) * len(MARKERS)))]
    assert len({(style["color"], style["marker"]) for style in styles}) == len(styles)


def test_images_are_flat_rows_or_have_their_shape():
    rows = np.arange(24.0).reshape(2, 12)
    assert_array_equal(as_images(rows, (3, 4)), rows.reshape(2, 3, 4))
    assert_array_equal(as_images(rows, (1, 3, 4)), rows.reshape(2, 3, 4))
    assert_array_equal(as_images(rows.reshape(2, 1, 3, 4), None), rows.reshape(2, 3, 4))
    assert_array_equal(as_images(rows[:, :9], None), rows[:, :9].reshape(2, 3, 3))
    coloured = as_images(rows, (3, 2, 2))  # channels come first in a row, last in a picture
    assert_array_equal(coloured[1, 0, 1], rows.reshape(2, 3, 2, 2)[1, :, 0, 1])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (None, "The 12 features are no square image; give image_shape"),
        ((3, 3), r"image_shape \(3, 3\) has 9 pixels, but the rows have 12 features"),
        ((2, 2, 3), "1 or 3 channels, got"),
        ((12,), r"image_shape must be \(height, width\)"),
    ],
)
def test_wrong_shapes_of_images_are_named(shape, message):
    with pytest.raises(ValueError, match=message):
        as_images(np.zeros((2, 12)), shape)


def test_mosaic_has_the_images_row_by_row():
    images = np.arange(3 * 2 * 2.0).reshape(3, 2, 2)
    together = mosaic(images, 2, 2)
    assert together.shape == (5, 5)
    assert_array_equal(together[:2, :2], images[0])
    assert_array_equal(together[:2, 3:], images[1])
    assert_array_equal(together[3:, :2], images[2])
    assert np.isnan(together[2]).all()
    assert np.isnan(together[3:, 3:]).all()


# -- loss curves -------------------------------------------------------------------------------


def test_curves_of_training_and_validation_on_given_axes(X, ax):
    learner = Autoencoder(3, early_stopping=True, **{**QUICK, "max_iter": 4}).fit(X)
    pipeline = make_pipeline(MinMaxScaler(), learner)
    display = drawn(LossCurveDisplay.from_estimator(pipeline, ax=ax), ax)
    assert list(display.curves) == ["training", "validation"]
    assert_array_equal(display.curves["training"], learner.loss_curve_)
    assert_array_equal(display.lines_[1].get_ydata(), learner.validation_loss_curve_)
    assert_array_equal(display.lines_[1].get_xdata(), np.arange(1, learner.n_iter_ + 1))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")


def test_several_estimators_on_the_same_axes_are_told_apart(X, autoencoder, ax):
    LossCurveDisplay.from_estimator(autoencoder, label="one", ax=ax)
    LossCurveDisplay.from_estimator(Autoencoder(2, **QUICK).fit(X), label="two", ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]
    assert len({line.get_color() for line in ax.lines}) == 2


def test_both_players_have_a_curve(X):
    network = GenerativeAdversarialNetwork(2, n_iter=2, random_state=0).fit(X)
    display = LossCurveDisplay.from_estimator(network)
    assert_array_equal(display.curves["generator loss"], network.history_["generator_loss"])
    assert len(display.curves) == 2


def test_other_curves_are_chosen_by_name(X):
    machine = BernoulliRBM(4, n_iter=3, random_state=0).fit(X)
    display = LossCurveDisplay.from_estimator(machine, names=["pseudo_likelihood"])
    assert_array_equal(display.curves["pseudo likelihood"], machine.history_["pseudo_likelihood"])
    assert display.ax_.get_ylabel() == "pseudo likelihood"
    with pytest.raises(ValueError, match=r"no curve 'loss'; names .*energy_difference"):
        LossCurveDisplay.from_estimator(machine, names=["loss"])
    som = SelfOrganizingMap((2, 3), n_iter=3, random_state=0).fit(X)
    display = LossCurveDisplay.from_estimator(som)
    assert_array_equal(display.curves["quantization error"], som.quantization_errors_)
    with pytest.raises(ValueError, match="recorded no losses"):
        LossCurveDisplay.from_estimator(PCA().fit(X))


# -- reconstructions ---------------------------------------------------------------------------


def test_images_above_their_reconstructions_and_errors(X, autoencoder, ax):
    display = ReconstructionDisplay.from_estimator(autoencoder, X[:5], image_shape=(3, 4), ax=ax)
    drawn(display, ax)
    rebuilt = autoencoder.reconstruct(X[:5]).reshape(5, 3, 4)
    assert_array_equal(display.rows["input"], X[:5].reshape(5, 3, 4))
    assert_array_equal(display.rows["reconstruction"], rebuilt)
    assert_allclose(display.error, rebuilt - X[:5].reshape(5, 3, 4))
    assert display.axes_.shape == (3, 5)
    shown = display.axes_[1, 2].images[0]
    assert_array_equal(shown.get_array(), rebuilt[2])
    assert shown.get_clim() == (X[:5].min(), X[:5].max())
    low, high = display.axes_[2, 0].images[0].get_clim()
    assert low == -high == -np.abs(display.error).max()


def test_noisy_images_are_compared_with_the_original(X, autoencoder):
    noisy = X[:4] + 0.1
    display = ReconstructionDisplay.from_estimator(
        autoencoder, noisy, original=X[:4], image_shape=(3, 4)
    )
    assert list(display.rows) == ["original", "input", "reconstruction"]
    assert_allclose(display.error, display.rows["reconstruction"] - display.rows["original"])
    assert display.axes_.shape == (4, 4)


@pytest.mark.parametrize("n_dimensions", [2, 3])
def test_signals_have_an_axis_each(X, n_dimensions, ax):
    layers = Conv1d((1, 12), (2,)) if n_dimensions == 3 else (5,)
    rows = X[:, None] if n_dimensions == 3 else X
    learner = Autoencoder(2, hidden_layers=layers, **QUICK).fit(rows)
    display = drawn(ReconstructionDisplay.from_estimator(learner, rows[:3], ax=ax), ax)
    assert display.axes_.shape == (3,)
    first, second = display.axes_[1].lines
    assert_array_equal(first.get_ydata(), X[1])
    assert_array_equal(second.get_ydata(), learner.reconstruct(rows[:3])[1].ravel())


def test_convolutional_and_coloured_images_keep_their_shape(X):
    images = X.reshape(10, 3, 3, 4)
    layers = Conv2d((3, 3, 4), (2,))
    learner = Autoencoder(2, hidden_layers=layers, **QUICK).fit(images)
    display = ReconstructionDisplay.from_estimator(learner, images[:2])
    assert display.rows["input"].shape == (2, 3, 4, 3)
    assert display.axes_[2, 0].images[0].get_array().shape == (3, 4)
    display.figure_.canvas.draw()


def test_pipelines_reconstruct_in_the_units_of_the_rows(X):
    pipeline = make_pipeline(StandardScaler(), Autoencoder(3, **QUICK)).fit(X)
    display = ReconstructionDisplay.from_estimator(pipeline, X[:3])
    expected = pipeline.inverse_transform(pipeline.transform(X[:3]))
    assert_allclose(display.rows["reconstruction"], expected)


# -- codes -------------------------------------------------------------------------------------


def test_codes_of_two_components_are_drawn_as_they_are(X, y, ax):
    pipeline = make_pipeline(StandardScaler(), Autoencoder(2, **QUICK)).fit(X)
    names = np.array(["a", "b", "c"])[y]
    display = drawn(LatentSpaceDisplay.from_estimator(pipeline, X, names, ax=ax), ax)
    codes = pipeline.transform(X)
    assert_array_equal(display.codes, codes)
    assert [points.get_label() for points in display.points_] == ["a", "b", "c"]
    assert_array_equal(display.points_[1].get_offsets(), codes[names == "b"])
    assert ax.get_xlabel() == "component 1"


def test_wider_codes_come_to_the_plane_by_pca_or_tsne(X, autoencoder):
    display = LatentSpaceDisplay.from_estimator(autoencoder, X, X[:, 0])
    codes = autoencoder.transform(X)
    assert_allclose(display.codes, PCA(2).fit_transform(codes), atol=1e-5)
    assert_array_equal(display.points_[0].get_array(), X[:, 0])  # values, not classes
    assert display.ax_.get_ylabel() == "principal component 2"
    settings = dict(method="tsne", random_state=0)
    first, second = (LatentSpaceDisplay.from_estimator(autoencoder, X, **settings) for _ in "ab")
    assert first.codes.shape == (30, 2)
    assert_array_equal(first.codes, second.codes)
    assert first.ax_.get_xlabel() == "t-SNE 1"


def test_umap_is_used_where_it_is_installed(X, autoencoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match="pip install umap-learn"):
        LatentSpaceDisplay.from_estimator(autoencoder, X, method="umap")

    class Module:
        class UMAP(PCA):
            pass

    monkeypatch.setitem(sys.modules, "umap", Module)
    display = LatentSpaceDisplay.from_estimator(autoencoder, X, method="umap", random_state=0)
    assert display.ax_.get_xlabel() == "UMAP 1"
    with pytest.raises(ValueError, match="method must be one of"):
        LatentSpaceDisplay.from_estimator(autoencoder, X, method="mds")


def test_the_plane_is_decoded_from_its_top_left(X, ax):
    learner = VariationalAutoencoder(2, **QUICK).fit(X)
    display = LatentSpaceDisplay.from_estimator(learner, X, n_grid=3, image_shape=(3, 4))
    across, up = (np.quantile(one, [1 / 6, 1 / 2, 5 / 6]) for one in learner.transform(X).T)
    corners = learner.inverse_transform([[across[0], up[2]], [across[2], up[0]]])
    assert_allclose(display.decoded[0, 0], corners[0].reshape(3, 4), rtol=1e-5)
    assert_allclose(display.decoded[2, 2], corners[1].reshape(3, 4), rtol=1e-5)
    drawn(display.plot(ax, kind="decoded"), ax)
    assert ax.images[0].get_array().shape == (3 * 4 - 1, 3 * 5 - 1)


def test_what_cannot_be_drawn_of_codes_is_named(X, autoencoder):
    with pytest.raises(ValueError, match=r"two components for n_grid, but .* have 3"):
        LatentSpaceDisplay.from_estimator(autoencoder, X, n_grid=4)
    with pytest.raises(ValueError, match="at least two components, but those of PCA have 1"):
        LatentSpaceDisplay.from_estimator(PCA(1).fit(X), X)
    display = LatentSpaceDisplay.from_estimator(autoencoder, X)
    with pytest.raises(ValueError, match="give n_grid"):
        display.plot(kind="decoded")
    with pytest.raises(ValueError, match="kind must be"):
        display.plot(kind="grid")


# -- components --------------------------------------------------------------------------------


def test_weights_of_a_machine_are_its_components(X, ax):
    machine = BernoulliRBM(5, n_iter=1, random_state=0).fit(X)
    display = ComponentsDisplay.from_estimator(machine, image_shape=(3, 4), ax=ax)
    drawn(display, ax)
    assert_array_equal(display.components, machine.components_.reshape(5, 3, 4))
    shown = np.asarray(display.image_.get_array())
    first = machine.components_[0].reshape(3, 4)
    assert_allclose(shown[:3, :4], first / np.abs(first).max(), rtol=1e-6)
    assert display.image_.get_clim() == (-1, 1)


def test_components_of_a_linear_decoder_are_its_weights(X):
    learner = Autoencoder(3, hidden_layers=(), **QUICK).fit(X)
    weights = learner.module_.decoder[0].weight.detach().numpy().T
    display = ComponentsDisplay.from_estimator(learner, components=[2, 0], image_shape=(3, 4))
    assert_allclose(display.components, weights[[2, 0]].reshape(2, 3, 4), atol=1e-6)
    few = ComponentsDisplay.from_estimator(learner, components=2, image_shape=(3, 4))
    assert_allclose(few.components, weights[:2].reshape(2, 3, 4), atol=1e-6)


def test_prototypes_are_drawn_on_one_scale(X):
    som = SelfOrganizingMap((2, 3), n_iter=1, random_state=0).fit(X)
    display = ComponentsDisplay.from_estimator(som, image_shape=(3, 4))
    assert_array_equal(display.components, som.codebook_.reshape(6, 3, 4))
    assert display.image_.get_clim() == (som.codebook_.min(), som.codebook_.max())


def test_components_need_a_decoder(X):
    with pytest.raises(TypeError, match=r"ComponentsDisplay needs .* has no inverse"):
        ComponentsDisplay.from_estimator(OutlierDetector(PCA(2)).fit(X))


# -- scores and explanations -------------------------------------------------------------------


@pytest.fixture(scope="module")
def frame(X):
    return pd.DataFrame(X, columns=[f"column {i}" for i in range(12)])


@pytest.fixture(scope="module")
def detector(frame):
    return OutlierDetector(PCA(3), random_state=0).fit(frame)


def test_histogram_of_each_class_with_the_threshold(frame, y, detector, ax):
    display = ScoreHistogramDisplay.from_estimator(detector, frame, y, bins=10, ax=ax)
    drawn(display, ax)
    assert_array_equal(display.scores, detector.score_samples(frame))
    assert display.threshold == detector.offset_
    assert_array_equal(ax.lines[0].get_xdata(), [detector.offset_] * 2)
    heights = np.array([patch.get_height() for patch in ax.patches]).reshape(3, 10)
    assert_array_equal(heights.sum(axis=1), np.bincount(y))
    for name, one in enumerate(heights):
        edges = np.linspace(display.scores.min(), display.scores.max(), 11)
        assert_array_equal(one, np.histogram(display.scores[y == name], edges)[0])


def test_errors_are_drawn_on_a_logarithmic_axis(X, autoencoder):
    pipeline = make_pipeline(MinMaxScaler(), autoencoder).fit(X)
    display = ScoreHistogramDisplay.from_estimator(pipeline, X, as_errors=True)
    assert display.threshold is None
    assert display.ax_.get_xscale() == "log"
    assert sum(patch.get_height() for patch in display.ax_.patches) == 30
    with pytest.raises(ValueError, match="as_errors=True needs scores below 0"):
        ScoreHistogramDisplay(np.array([-1.0, 0.0])).plot(as_errors=True)


def test_contributions_of_each_feature_to_each_row(frame, detector, ax):
    display = drawn(ExplanationDisplay.from_estimator(detector, frame[:6], ax=ax), ax)
    expected = detector.explain(frame[:6]).to_numpy()
    assert_array_equal(display.contributions, expected)
    assert_allclose(display.image_.get_array(), -expected.T)
    assert [text.get_text() for text in ax.get_yticklabels()] == list(frame.columns)


def test_features_that_do_most_come_first(frame, detector):
    display = ExplanationDisplay.from_estimator(detector, frame[:6], max_features=4)
    mean = display.contributions.mean(axis=0)
    assert_array_equal(display.features_, np.argsort(mean)[:4])
    names = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert names == [f"column {i}" for i in display.features_]
    one = ExplanationDisplay.from_estimator(detector, frame[:1], max_features=4)
    widths = [bar.get_width() for bar in one.image_]
    assert widths == sorted(widths, reverse=True)
    assert_allclose(widths, -np.sort(one.contributions[0])[:4])


def test_shares_of_the_score_add_up_to_one(X, autoencoder):
    detector = OutlierDetector(Autoencoder(3, **QUICK), random_state=0).fit(X)
    display = ExplanationDisplay.from_estimator(detector, X[:5], relative=True)
    assert_allclose(np.asarray(display.image_.get_array()).sum(axis=0), 1, rtol=1e-5)


def test_pipelines_explain_the_features_that_their_last_step_sees(frame):
    scaler = StandardScaler().set_output(transform="pandas")
    pipeline = make_pipeline(scaler, OutlierDetector(PCA(3), random_state=0)).fit(frame)
    display = ExplanationDisplay.from_estimator(pipeline, frame[:3])
    expected = pipeline[-1].explain(pipeline[:-1].transform(frame[:3]))
    assert_array_equal(display.contributions, expected)
    with pytest.raises(ValueError, match="There are 2 feature_names for 12 features"):
        ExplanationDisplay.from_estimator(pipeline, frame[:3], feature_names=["a", "b"])


# -- maps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", ["rectangular", "hexagonal"])
def test_units_of_a_map_meet_at_their_sides(X, topology, ax):
    som = SelfOrganizingMap((3, 4), topology=topology, n_iter=2, random_state=0).fit(X)
    display = drawn(SOMDisplay.from_estimator(som, ax=ax), ax)
    assert_array_equal(display.units_.get_array(), som.u_matrix().ravel())
    corners = [path.vertices[:-1] for path in display.units_.get_paths()]
    n_corners = {"rectangular": 4, "hexagonal": 6}[topology]
    assert {len(one) for one in corners} == {n_corners}
    assert_allclose([one.mean(axis=0) for one in corners], som.grid_positions_, atol=1e-9)
    # All units together have no gaps and no overlaps: neighbours share two corners.
    distance = np.linalg.norm(corners[0][:, None] - corners[1], axis=2)
    assert (distance < 1e-9).sum() == 2
    area = {"rectangular": 1, "hexagonal": np.sqrt(3) / 2}[topology]
    x, y = corners[0].T
    assert_allclose(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2, area)


def test_hits_have_the_area_and_the_colour_of_their_rows(X, y, ax):
    pipeline = make_pipeline(
        StandardScaler(), SelfOrganizingMap((2, 3), n_iter=2, random_state=0)
    ).fit(X)
    display = SOMDisplay.from_estimator(pipeline, X, y, kind="hits", ax=ax)
    drawn(display, ax)
    rows = pipeline[:-1].transform(X)
    assert_array_equal(display.hits.sum(axis=1), pipeline[-1].hit_map(rows).ravel())
    assert_array_equal(display.hits.sum(axis=0), np.bincount(y))
    sides = np.array([np.ptp(path.vertices[:, 0]) for path in display.units_.get_paths()])
    assert_allclose(sides**2, display.hits.sum(axis=1) / display.hits.sum(axis=1).max())
    colours = [matplotlib.colors.to_hex(one).upper() for one in display.units_.get_facecolors()]
    assert colours == [COLOURS[most] for most in display.hits.argmax(axis=1)]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0", "1", "2"]


def test_planes_of_chosen_features(frame):
    som = SelfOrganizingMap((2, 3), n_iter=2, random_state=0).fit(frame)
    display = SOMDisplay.from_estimator(som, kind="planes", features=[3, 7])
    display.figure_.canvas.draw()
    assert len(display.units_) == 2
    assert_array_equal(display.units_[1].get_array(), som.component_planes()[7].ravel())
    assert display.units_[0].axes.get_title().startswith("column 3\n")


def test_wrong_pictures_of_maps_are_named(X):
    som = SelfOrganizingMap((2, 3), n_iter=1, random_state=0).fit(X)
    display = SOMDisplay.from_estimator(som)
    with pytest.raises(ValueError, match="kind='hits' needs X"):
        display.plot(kind="hits")
    with pytest.raises(ValueError, match="kind must be 'u_matrix', 'hits' or 'planes'"):
        display.plot(kind="umatrix")


# -- searches ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def search(X):
    grid = {"n_components": [3, 1, 2], "whiten": [True, False], "tol": [0.0, 0.1]}
    return GridSearchCV(PCA(random_state=0), grid, cv=2).fit(X)


def test_heat_map_has_the_best_score_of_each_pair(search, ax):
    display = drawn(SearchDisplay.from_estimator(search, "n_components", "whiten", ax=ax), ax)
    assert display.x_values == [1, 2, 3]
    assert [bool(one) for one in display.y_values] == [True, False]
    results = pd.DataFrame(search.cv_results_)
    best = results.groupby(["param_whiten", "param_n_components"])["mean_test_score"].max()
    for row, column in np.ndindex(2, 3):
        pair = display.y_values[row], display.x_values[column]
        assert display.scores[row, column] == best[pair]
    assert_array_equal(display.image_.get_array(), display.scores)
    assert len(ax.texts) == 6
    (frame,) = [patch for patch in ax.patches if not patch.get_fill()]
    row, column = np.unravel_index(display.scores.argmax(), (2, 3))
    assert_allclose(frame.get_center(), [column, row])


def test_one_parameter_another_score_and_candidates_that_were_not_tried(X):
    grid = [{"n_components": [1, 2]}, {"n_components": [2, 3], "whiten": [True]}]
    search = GridSearchCV(PCA(random_state=0), grid, cv=2).fit(X)
    display = SearchDisplay.from_estimator(search, "n_components", score="mean_fit_time")
    assert display.scores.shape == (1, 3)
    assert display.score_name == "mean fit time"
    pairs = SearchDisplay.from_estimator(search, "n_components", "whiten").scores
    assert_array_equal(np.isnan(pairs), [[True, False, False]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["components"], r"x='components' was not searched; the parameters are \['n_comp"),
        (["tol", "param_whiten"], "y='param_whiten' was not searched"),
    ],
)
def test_parameters_that_were_not_searched_are_named(search, arguments, message):
    with pytest.raises(ValueError, match=message):
        SearchDisplay.from_estimator(search, *arguments)
    with pytest.raises(ValueError, match="score='accuracy' is not in cv_results_"):
        SearchDisplay.from_estimator(search, "tol", score="accuracy")
