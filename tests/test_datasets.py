"""The loaders: from a folder, from a cache, and what they say where there is neither."""

import functools
import gzip
import hashlib
import http.server
import os
import sys
import threading

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skae.datasets import (
    _ecg5000,
    _mario_levels,
    _mnist,
    fetch_ecg5000,
    fetch_fcps,
    fetch_jsb_chorales,
    fetch_mario_levels,
    fetch_mnist,
    fetch_nsl_kdd,
    fetch_oddbench,
    fetch_ucr,
)

SHAPES = {"X_train": (7, 28, 28), "y_train": (7,), "X_test": (3, 28, 28), "y_test": (3,)}


def needs(name, file):
    """Skip a test where SKAE_DATA does not have a file."""
    path = os.path.join(os.environ.get("SKAE_DATA", ""), name, file)
    return pytest.mark.skipif(
        not os.path.isfile(path), reason=f"SKAE_DATA names no folder with {name}/{file}"
    )


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(0, 10 if name[0] == "y" else 256, shape, dtype=np.uint8)
        for name, shape in SHAPES.items()
    }


@pytest.fixture
def published(arrays, tmp_path, monkeypatch):
    """Write the arrays as idx files and let their checksums be the known ones."""
    folder = tmp_path / "published"
    folder.mkdir()
    files = {}
    for key, (file, _) in _mnist._MNIST.files.items():
        array = arrays[key]
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
        content = gzip.compress(header + array.tobytes())
        (folder / file).write_bytes(content)
        files[key] = (file, f"md5:{hashlib.md5(content).hexdigest()}")
    nowhere = "http://127.0.0.1:9/"  # the port of the service that discards
    monkeypatch.setattr(_mnist, "_MNIST", _mnist._MNIST._replace(url=nowhere, files=files))
    monkeypatch.delenv("SKAE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


@pytest.fixture
def data_home(published, tmp_path):
    """Return a cache that holds all files."""
    pytest.importorskip("pooch")
    (tmp_path / "home").mkdir()
    published.rename(tmp_path / "home" / "mnist")
    return tmp_path / "home"


# -- the real data -----------------------------------------------------------------------


@needs("mnist", "mnist.npz")
def test_mnist_is_mnist():
    train = fetch_mnist()
    assert train.data.shape == (60000, 784)
    assert train.data.dtype == np.uint8
    assert train.data.max() == 255
    assert train.target.dtype == np.int64
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert_array_equal(np.bincount(train.target), counts)
    X, y = fetch_mnist(subset="test", return_X_y=True)
    assert X.shape == (10000, 784)
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert_array_equal(np.bincount(y), counts)


# -- from the cache and over the net -------------------------------------------------------


def test_cached_files_give_the_arrays(arrays, data_home):
    train = fetch_mnist(data_home=data_home)
    assert_array_equal(train.data, arrays["X_train"].reshape(7, 784))
    assert_array_equal(train.target, arrays["y_train"])
    assert train.data.flags.writeable
    assert train.frame is None
    assert "MNIST" in train.DESCR
    test = fetch_mnist(data_home=data_home, subset="test", download_if_missing=False)
    assert_array_equal(test.data, arrays["X_test"].reshape(3, 784))
    X, y = fetch_mnist(data_home=str(data_home), subset="all", return_X_y=True)
    assert_array_equal(X, np.vstack([train.data, test.data]))
    assert_array_equal(y, np.concatenate([train.target, test.target]))


def test_as_frame(data_home):
    bunch = fetch_mnist(data_home=data_home, as_frame=True)
    assert isinstance(bunch.data, pd.DataFrame)
    assert list(bunch.data.columns) == bunch.feature_names
    assert bunch.feature_names[:2] == ["pixel_0_0", "pixel_0_1"]
    assert bunch.feature_names[-1] == "pixel_27_27"
    assert (bunch.data.dtypes == np.uint8).all()
    assert bunch.target.name == "target"
    assert bunch.target.dtype == np.int64
    assert bunch.frame.shape == (7, 785)
    X, y = fetch_mnist(data_home=data_home, as_frame=True, return_X_y=True)
    pd.testing.assert_frame_equal(X, bunch.data)
    pd.testing.assert_series_equal(y, bunch.target)


def test_missing_files_are_downloaded_once_and_only_those_of_the_subset(
    arrays, published, tmp_path, monkeypatch
):
    pytest.importorskip("pooch")
    requested = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *arguments):
            requested.append(self.path)

    handler = functools.partial(Handler, directory=published)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(_mnist, "_MNIST", _mnist._MNIST._replace(url=url))
        try:
            for _ in range(2):
                X, y = fetch_mnist(data_home=tmp_path / "new", subset="test", return_X_y=True)
        finally:
            server.shutdown()
    assert_array_equal(X, arrays["X_test"].reshape(3, 784))
    assert_array_equal(y, arrays["y_test"])
    assert requested == ["/t10k-images-idx3-ubyte.gz", "/t10k-labels-idx1-ubyte.gz"]


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.usefixtures("published")
def test_without_network_it_says_what_to_put_where(download, tmp_path):
    pytest.importorskip("pooch")
    message = (
        r"mnist is missing(.|\n)*Put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz "
        r"from http.* into .*empty.mnist, or name in .* SKAE_DATA a folder .*mnist/mnist.npz"
    )
    with pytest.raises(OSError, match=message):
        fetch_mnist(data_home=tmp_path / "empty", download_if_missing=download)


def test_damaged_files_are_not_read(data_home):
    path = data_home / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match=r"Put .*t10k-labels"):
        fetch_mnist(data_home=data_home, subset="test", download_if_missing=False)
    assert len(fetch_mnist(data_home=data_home).data) == 7


def test_without_pooch_it_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.delenv("SKAE_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"pip install 'skae\[data\]'.*SKAE_DATA"):
        fetch_mnist(data_home=tmp_path)


# -- from the folder that SKAE_DATA names ----------------------------------------------------


def test_folder_of_the_environment_comes_first(arrays, tmp_path, monkeypatch):
    flat = {key: array.reshape(len(array), -1).squeeze() for key, array in arrays.items()}
    (tmp_path / "mnist").mkdir()
    np.savez_compressed(tmp_path / "mnist" / "mnist.npz", **flat)
    monkeypatch.setenv("SKAE_DATA", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pooch", None)  # not needed
    bunch = fetch_mnist(subset="all", data_home=tmp_path / "empty")
    assert_array_equal(bunch.data, np.vstack([flat["X_train"], flat["X_test"]]))
    assert_array_equal(bunch.target, np.concatenate([flat["y_train"], flat["y_test"]]))


def test_folder_without_the_file_falls_through_to_the_cache(data_home, tmp_path, monkeypatch):
    monkeypatch.setenv("SKAE_DATA", str(tmp_path / "other"))
    assert len(fetch_mnist(data_home=data_home).data) == 7


# -- arguments -------------------------------------------------------------------------------


def test_bad_subset():
    with pytest.raises(ValueError, match="'subset' parameter"):
        fetch_mnist(subset="validation")


# -- data sets in one file ---------------------------------------------------------------------


@needs("ecg5000", "ecg5000.npz")
def test_ecg5000_is_ecg5000():
    bunch = fetch_ecg5000(subset="all")
    assert bunch.data.shape == (5000, 140)
    assert bunch.data.dtype == np.float32
    assert len(bunch.feature_names) == 140
    assert_array_equal(np.bincount(bunch.target), [0, 2919, 1767, 96, 194, 24])
    assert len(bunch.target_names) == 5
    X, y = fetch_ecg5000(return_X_y=True)
    assert X.shape == (500, 140)
    assert_array_equal(np.bincount(y), [0, 292, 177, 10, 19, 2])
    # The archive gives beats with mean 0 and variance 1.
    np.testing.assert_allclose(X.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(X.std(axis=1, ddof=1), 1, atol=1e-3)


@needs("ucr", "Trace.npz")
def test_a_set_of_ucr_is_that_of_the_archive():
    X, y = fetch_ucr("Trace", return_X_y=True)
    assert X.shape == (100, 275)
    assert set(y) == {1, 2, 3, 4}
    np.testing.assert_allclose(X.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(X.std(axis=1, ddof=1), 1, atol=1e-3)
    frame = fetch_ucr("Trace", subset="all", as_frame=True).frame
    assert frame.shape == (200, 276)
    assert_array_equal(frame.to_numpy()[:100, :-1], X)


def test_a_set_of_ucr_that_is_missing_or_unknown_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SKAE_DATA", str(tmp_path))
    pytest.importorskip("pooch")
    with pytest.raises(OSError, match=r"SKAE_DATA a folder with the file ucr/CBF\.npz"):
        fetch_ucr("CBF", data_home=tmp_path)
    with pytest.raises(ValueError, match="The 'name' parameter of fetch_ucr"):
        fetch_ucr("Cbf")


@needs("nsl_kdd", "nsl_kdd.npz")
def test_nsl_kdd_is_nsl_kdd():
    bunch = fetch_nsl_kdd(subset="test", as_frame=True)
    assert bunch.frame.shape == (22544, 42)
    assert list(bunch.data.columns) == bunch.feature_names
    assert [name for name in bunch.data if bunch.data[name].dtype != float] == [
        "protocol_type",
        "service",
        "flag",
    ]
    assert set(bunch.data["protocol_type"]) == {"icmp", "tcp", "udp"}
    counts = {"normal": 9711, "dos": 7458, "probe": 2421, "r2l": 2754, "u2r": 200}
    assert dict(zip(*np.unique(bunch.attack_class, return_counts=True), strict=True)) == counts
    assert_array_equal(bunch.target == "normal", bunch.attack_class == "normal")
    X, y = fetch_nsl_kdd(return_X_y=True)
    assert X.shape == (25192, 41)
    assert (y == "normal").sum() == 13449
    assert len(fetch_nsl_kdd(subset="all").data) == 25192 + 22544


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Write a small ECG data set into a cache and let its checksum be the known one."""
    pytest.importorskip("pooch")
    rng = np.random.default_rng(0)
    arrays = {f"X_{part}": rng.random((n, 140), np.float32) for part, n in SIZES.items()}
    arrays |= {f"y_{part}": rng.integers(1, 6, n) for part, n in SIZES.items()}
    path = tmp_path / "home" / "ecg5000" / "ecg5000.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    files = dict.fromkeys(_ecg5000._ECG5000.files, ("ecg5000.npz", digest))
    monkeypatch.setattr(_ecg5000, "_ECG5000", _ecg5000._ECG5000._replace(files=files))
    monkeypatch.delenv("SKAE_DATA", raising=False)
    return path, arrays


SIZES = {"train": 3, "test": 5}


@pytest.mark.parametrize("from_environment", [False, True])
def test_archive_gives_the_arrays(archive, from_environment, monkeypatch):
    path, arrays = archive
    home = path.parents[1]
    if from_environment:
        monkeypatch.setenv("SKAE_DATA", str(home))
        monkeypatch.setitem(sys.modules, "pooch", None)  # not needed
        home = home / "empty"
    for part in SIZES:
        X, y = fetch_ecg5000(data_home=home, subset=part, return_X_y=True)
        assert_array_equal(X, arrays[f"X_{part}"])
        assert_array_equal(y, arrays[f"y_{part}"])
    frame = fetch_ecg5000(data_home=home, subset="all", as_frame=True).frame
    assert frame.shape == (8, 141)
    assert list(frame["target"]) == [*arrays["y_train"], *arrays["y_test"]]


@pytest.mark.parametrize("damage", [True, False])
def test_missing_or_damaged_archive_says_what_to_put_where(archive, damage):
    path, _ = archive
    if damage:
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    message = (
        r"ecg5000 is missing and was not downloaded \(it has no address\). Put ecg5000.npz into "
        r".*ecg5000, or name in .* SKAE_DATA a folder with the file ecg5000/ecg5000.npz"
    )
    with pytest.raises(OSError, match=message):
        fetch_ecg5000(data_home=path.parents[1])


def test_connections_as_array_and_frame(tmp_path, monkeypatch):
    pytest.importorskip("pooch")
    arrays = {
        "numeric_names": np.array(["duration", "src_bytes"]),
        "class_names": np.array(["normal", "dos"]),
        "attack_names": np.array(["neptune", "normal"]),
        "cat_values_protocol_type": np.array(["tcp", "udp"]),
        "cat_values_service": np.array(["ftp", "http", "smtp"]),
        "cat_values_flag": np.array(["SF"]),
    }
    for part in ("train", "test"):
        arrays |= {
            f"X_num_{part}": np.array([[0.5, 2.0], [1.5, 4.0]]),
            f"X_cat_{part}": np.array([[1, 2, 0], [0, 1, 0]], dtype=np.int16),
            f"y_attack_{part}": np.array([1, 0], dtype=np.int16),
            f"y_class_{part}": np.array([0, 1]),
            f"difficulty_{part}": np.array([21, 3], dtype=np.int16),
        }
    (tmp_path / "nsl_kdd").mkdir()
    np.savez(tmp_path / "nsl_kdd" / "nsl_kdd.npz", **arrays)
    monkeypatch.setenv("SKAE_DATA", str(tmp_path))
    bunch = fetch_nsl_kdd()
    assert bunch.data.tolist() == [[0.5, 2.0, "udp", "smtp", "SF"], [1.5, 4.0, "tcp", "http", "SF"]]
    assert bunch.target.tolist() == ["normal", "neptune"]
    assert bunch.attack_class.tolist() == ["normal", "dos"]
    assert bunch.difficulty.tolist() == [21, 3]
    frame = fetch_nsl_kdd(subset="all", as_frame=True).frame
    assert list(frame.columns) == [*bunch.feature_names, "target"]
    assert list(frame["service"]) == ["smtp", "http"] * 2
    assert (frame.dtypes[["duration", "src_bytes"]] == "float64").all()


# -- clusters ----------------------------------------------------------------------------------

#: Points and clusters of each set, by Ultsch (2005).
FCPS = {
    "atom": (800, 3, 2),
    "chainlink": (1000, 3, 2),
    "engytime": (4096, 2, 2),
    "golfball": (4002, 3, 1),
    "hepta": (212, 3, 7),
    "lsun": (400, 2, 3),
    "target": (770, 2, 6),
    "tetra": (400, 3, 4),
    "twodiamonds": (800, 2, 2),
    "wingnut": (1016, 2, 2),
}


@pytest.mark.parametrize("name", FCPS)
@needs("fcps", "chainlink.npz")
def test_clusters_are_those_of_the_suite(name, monkeypatch):
    pytest.importorskip("pooch")
    home = os.environ["SKAE_DATA"]
    monkeypatch.delenv("SKAE_DATA")  # as a cache, whose checksums are verified
    bunch = fetch_fcps(name, data_home=home)
    n_samples, n_features, n_clusters = FCPS[name]
    assert bunch.data.shape == (n_samples, n_features)
    assert sorted(set(bunch.target)) == list(range(1, n_clusters + 1))


def test_points_as_array_and_frame(tmp_path, monkeypatch):
    (tmp_path / "fcps").mkdir()
    np.savez(tmp_path / "fcps" / "atom.npz", X=np.arange(6.0).reshape(2, 3), y=np.array([1, 2]))
    monkeypatch.setenv("SKAE_DATA", str(tmp_path))
    X, y = fetch_fcps("atom", return_X_y=True)
    assert X.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert y.tolist() == [1, 2]
    frame = fetch_fcps("atom", as_frame=True).frame
    assert list(frame.columns) == ["x", "y", "z", "target"]


def test_missing_clusters_say_what_to_put_where(tmp_path, monkeypatch):
    pytest.importorskip("pooch")
    monkeypatch.delenv("SKAE_DATA", raising=False)
    message = r"Put atom.npz into .*fcps, or name in .* SKAE_DATA a folder with the file fcps/atom"
    with pytest.raises(OSError, match=message):
        fetch_fcps("atom", data_home=tmp_path)
    with pytest.raises(ValueError, match="'name' parameter of fetch_fcps"):
        fetch_fcps("moon")


# -- levels and chorales -----------------------------------------------------------------------


@needs("mario_levels", "mario-1-1.txt")
def test_mario_levels_are_those_of_the_game():
    mario = fetch_mario_levels()
    assert mario.data.shape == (2518, 14 * 28)
    assert mario.data.dtype == np.uint8
    assert mario.target_names[0] == "1-1"
    assert [one.shape[0] for one in mario.levels] == [14] * 15
    # What everyone knows of the first level: ground with three pits, six pipes and a flag pole.
    first = mario.tiles[mario.levels[0]]
    assert first.shape == (14, 202)
    pits = first[-1] == "-"
    assert (np.diff(pits.astype(int)) == 1).sum() == 3
    assert (first == "<").sum() == 6
    # Each window stands where it says.
    for window, level, start in zip(mario.data, mario.target, mario.start, strict=True):
        there = mario.levels[level][:, start : start + 28]
        assert_array_equal(window.reshape(14, 28), there)


@needs("mario_levels", "smb_windows_14x28.npz")
def test_windows_are_those_that_others_made():
    path = os.path.join(os.environ["SKAE_DATA"], "mario_levels", "smb_windows_14x28.npz")
    with np.load(path) as known:
        X, y = fetch_mario_levels(return_X_y=True)
        assert_array_equal(X.reshape(-1, 14, 28), known["X"])
        assert_array_equal(y, known["level"])
        assert_array_equal(fetch_mario_levels().start, known["x0"])
        assert_array_equal(fetch_mario_levels().tiles, known["tiles"])


@pytest.fixture
def two_levels(tmp_path, monkeypatch):
    """Write two small levels and let their checksums be the known ones."""
    folder = tmp_path / "home" / "mario_levels"
    folder.mkdir(parents=True)
    files = {}
    for name, last in {"1-1": "XXX-", "1-2": "X<>"}.items():
        lines = ["-" * len(last)] * 12 + ["[" + "]" * (len(last) - 1), last]
        content = "\n".join(lines).encode() + b"\n"
        (folder / f"mario-{name}.txt").write_bytes(content)
        files[name] = (f"mario-{name}.txt", hashlib.sha256(content).hexdigest())
    source = _mario_levels._MARIO_LEVELS._replace(files=files, url="http://127.0.0.1:9/")
    monkeypatch.setattr(_mario_levels, "_MARIO_LEVELS", source)
    monkeypatch.setattr(_mario_levels, "_CHECKSUMS", files)
    monkeypatch.delenv("SKAE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home"


@pytest.mark.parametrize("from_environment", [False, True])
def test_levels_are_cut_into_windows(two_levels, from_environment, monkeypatch):
    home = two_levels
    if from_environment:
        monkeypatch.setenv("SKAE_DATA", str(home))
        monkeypatch.setitem(sys.modules, "pooch", None)  # not needed
        home = home / "empty"
    else:
        pytest.importorskip("pooch")
    mario = fetch_mario_levels(data_home=home, width=2)
    assert mario.data.shape == (3 + 2, 28)
    assert mario.data.flags.writeable
    assert mario.target.tolist() == [0, 0, 0, 1, 1]
    assert mario.start.tolist() == [0, 1, 2, 0, 1]
    bottom = mario.tiles[mario.data[:, -4:]].tolist()
    assert bottom[0] == ["[", "]", "X", "X"]
    assert bottom[2] == ["]", "]", "X", "-"]
    assert bottom[4] == ["]", "]", "<", ">"]
    assert len(mario.tiles) == len(mario.tile_names) == 13
    frame = fetch_mario_levels(data_home=home, width=2, as_frame=True).frame
    assert frame.shape == (5, 29)
    assert list(frame.columns[:3]) == ["tile_0_0", "tile_0_1", "tile_1_0"]
    assert list(frame["target"]) == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("download", [False, True])
def test_missing_or_damaged_levels_say_what_to_put_where(two_levels, download):
    pytest.importorskip("pooch")
    path = two_levels / "mario_levels" / "mario-1-2.txt"
    path.write_bytes(path.read_bytes()[:-1])
    message = (
        r"mario_levels is missing(.|\n)*Put mario-1-1.txt, mario-1-2.txt from http.* into .*"
        r"mario_levels, or name in .* SKAE_DATA a folder with a folder mario_levels that holds them"
    )
    with pytest.raises(OSError, match=message):
        fetch_mario_levels(data_home=two_levels, download_if_missing=download)


def test_windows_wider_than_a_level_are_refused():
    with pytest.raises(ValueError, match="'width' parameter of fetch_mario_levels"):
        fetch_mario_levels(width=150)


@needs("jsb_chorales", "jsb16_satb.npz")
def test_chorales_are_in_four_voices():
    parts = {part: fetch_jsb_chorales(subset=part) for part in ("train", "valid", "test")}
    assert [len(one.lengths) for one in parts.values()] == [229, 76, 77]
    assert [len(one.data) for one in parts.values()] == [55228, 18408, 18900]
    every = fetch_jsb_chorales(subset="all")
    assert_array_equal(every.data, np.concatenate([one.data for one in parts.values()]))
    assert every.chorale[-1] == 381
    sung = every.data[(every.data >= 0).all(axis=1)].astype(float)
    assert sung.min() >= 36
    assert (np.diff(sung.mean(axis=0)) < 0).all()  # from soprano to bass


@pytest.fixture
def few_chorales(tmp_path, monkeypatch):
    """Write chorales of few notes into a folder that SKAE_DATA names."""
    arrays = {}
    for number, part in enumerate(("train", "valid", "test")):
        arrays[f"length_{part}"] = np.array([2, 1], dtype=np.int32)
        arrays[f"notes_{part}"] = np.arange(12, dtype=np.int16).reshape(3, 4) + 100 * number
    (tmp_path / "jsb_chorales").mkdir()
    np.savez(tmp_path / "jsb_chorales" / "jsb16_satb.npz", **arrays)
    monkeypatch.setenv("SKAE_DATA", str(tmp_path))
    return arrays


def test_rows_of_chorales_know_their_chorale(few_chorales):
    valid = fetch_jsb_chorales(subset="valid")
    assert_array_equal(valid.data, few_chorales["notes_valid"])
    assert valid.lengths.tolist() == [2, 1]
    assert valid.chorale.tolist() == [0, 0, 1]
    assert "public domain" in valid.DESCR
    assert "target" not in valid
    every = fetch_jsb_chorales(subset="all", as_frame=True)
    assert list(every.frame.columns) == ["soprano", "alto", "tenor", "bass"]
    assert every.frame.iloc[:, 0].tolist() == [0, 4, 8, 100, 104, 108, 200, 204, 208]
    assert every.chorale.tolist() == [0, 0, 1, 2, 2, 3, 4, 4, 5]


def test_missing_chorales_say_what_to_put_where(tmp_path, monkeypatch):
    pytest.importorskip("pooch")
    monkeypatch.delenv("SKAE_DATA", raising=False)
    message = (
        r"jsb_chorales is missing .*Put jsb16_satb.npz into .*jsb_chorales, or name in .*"
        r"SKAE_DATA a folder with the file jsb_chorales/jsb16_satb.npz"
    )
    with pytest.raises(OSError, match=message):
        fetch_jsb_chorales(data_home=tmp_path)


# -- tables with anomalies -----------------------------------------------------------------------


def test_tables_of_oddbench(tmp_path):
    folder = tmp_path / "oddbench"
    folder.mkdir()
    for name, n in (("oddbench_b", 3), ("oddbench_a_1", 2), ("ovrbench_c", 4)):
        rows = np.arange(2.0 * n, dtype=np.float32).reshape(n, 2)
        np.savez(folder / f"{name}.npz", train=rows, test=rows[::-1], y=np.arange(n) % 2)
    tables = fetch_oddbench(data_home=tmp_path)
    assert [table.name for table in tables] == ["a_1", "b"]
    assert tables[1].train.shape == tables[1].test.shape == (3, 2)
    assert tables[1].target.tolist() == [False, True, False]
    assert [table.name for table in fetch_oddbench(collection="ovrbench", data_home=tmp_path)] == [
        "c"
    ]


def test_missing_tables_of_oddbench(tmp_path, monkeypatch):
    with pytest.raises(OSError, match=r"data set oddbench is missing.*SKAE_DATA"):
        fetch_oddbench(data_home=tmp_path)
    monkeypatch.delenv("SKAE_DATA", raising=False)
    (tmp_path / "oddbench").mkdir()
    np.savez(tmp_path / "oddbench" / "oddbench_a.npz", train=[], test=[], y=[])
    monkeypatch.chdir(tmp_path)  # which is no place to look
    with pytest.raises(OSError, match=r"data set oddbench is missing; name in .*SKAE_DATA"):
        fetch_oddbench()
