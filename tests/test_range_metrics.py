"""Measures of scores of time steps: by definition, by hand and in the limit."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from skae.metrics import range_auc_pr, vus_pr


def draw(seed, n_steps=60, n_faults=3):
    rng = np.random.default_rng(seed)
    y = np.zeros(n_steps, dtype=int)
    for start in rng.integers(0, n_steps - 2, size=n_faults):
        y[start : start + rng.integers(1, 8)] = 1
    return y, np.round(rng.normal(size=n_steps) + y, 1)  # with ties


def by_definition(y, score, buffer):
    """Return the area, step by step and threshold by threshold."""
    n, half = len(y), buffer // 2
    faults = [i for i in range(n) if y[i] and (i == 0 or not y[i - 1])]
    faults = [(i, next((j for j in range(i, n) if not y[j]), n) - 1) for i in faults]
    weight = [float(value) for value in y]
    for first, last in faults:
        for i in range(n):
            distance = max(first - i, i - last, 0)
            if 0 < distance <= half:
                weight[i] = min(1, weight[i] + math.sqrt(1 - distance / buffer))
    groups = []
    for first, last in faults:  # those whose buffers overlap are one
        if groups and first - half <= groups[-1][-1] + half:
            groups[-1][-1] = last
        else:
            groups.append([first, last])
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        detected = [i for i in range(n) if score[i] >= threshold]
        d = sum(weight[i] for i in detected)
        b = sum(weight[i] for i in detected if not y[i])
        hit = [any(g[0] - half <= i <= g[-1] + half for i in detected) for g in groups]
        recall = min(d / (sum(y) + b / 2), 1) * sum(hit) / len(groups)
        area += (recall - recall_before) * d / len(detected)
        recall_before = recall
    return area


@pytest.mark.parametrize("seed", range(8))
def test_areas_and_volumes_by_definition(seed):
    y, score = draw(seed)
    areas = [by_definition(y, score, buffer) for buffer in range(13)]
    for buffer in (0, 1, 2, 7, 12):
        assert range_auc_pr(y, score, buffer) == pytest.approx(areas[buffer])
    assert vus_pr(y, score, 12) == pytest.approx(np.mean(areas))


def test_one_fault_without_a_buffer_is_average_precision():
    for seed in range(5):
        y, score = draw(seed, n_faults=1)
        expected = average_precision_score(y, score)
        assert range_auc_pr(y, score, 0) == pytest.approx(expected)
        assert vus_pr(y == 1, score.tolist(), max_buffer=0) == pytest.approx(expected)


def test_what_is_exactly_right_has_one():
    y, _ = draw(0)
    for score in (y, y + 0.1 * np.random.default_rng(0).random(60)):
        assert vus_pr(y, score, 20) == pytest.approx(1)


def test_near_misses_count_with_a_buffer_and_far_ones_do_not():
    y = np.zeros(200)
    y[100:110] = 1
    shifted = {by: np.roll(y, by) for by in (0, 5, 10, 60)}
    volumes = [vus_pr(y, score, 20) for score in shifted.values()]
    assert (np.diff(volumes) < -0.05).all()
    # With the buffer that makes the weight of the 5 steps before it: by hand.
    weights = np.sqrt(1 - np.arange(1, 6) / 20)
    detected, in_buffer = 5 + weights.sum(), weights.sum()
    recall, precision = detected / (10 + in_buffer / 2), detected / 10
    whole = 10 + 2 * np.sqrt(1 - np.arange(1, 11) / 20).sum()
    expected = recall * precision + (1 - recall) * whole / 200
    assert range_auc_pr(y, shifted[5], 20) == pytest.approx(expected)


@pytest.mark.parametrize("measure", [range_auc_pr, vus_pr])
def test_bad_input(measure):
    with pytest.raises(ValueError, match="y_true must hold 0 and 1 alone, and 1 at least once"):
        measure([0, 0], [1.0, 2.0])
    with pytest.raises(ValueError, match="y_true must hold 0 and 1 alone"):
        measure([-1, 1], [1.0, 2.0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        measure([0, 1], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="y_score must hold finite numbers"):
        measure([0, 1], [1.0, np.nan])
    for buffer in (-1, 1.5, True):
        with pytest.raises(ValueError, match=r"buffer must be an int of 0 or more, got"):
            measure([0, 1], [1.0, 2.0], buffer)
