"""Layers between features and code."""

import copy
import pickle

import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose
from sklearn.base import clone
from torch import nn

from skae import Autoencoder
from skae._random import Generator
from skae.layers import BatchNorm, Dense, Dropout


def shapes(module):
    return [tuple(p.shape) for p in module.parameters() if p.ndim > 1]


@pytest.mark.parametrize(
    ("widths", "encoder_shapes"),
    [((), [(3, 10)]), ((7,), [(7, 10), (3, 7)]), ((7, 5), [(7, 10), (5, 7), (3, 5)])],
)
def test_decoder_mirrors_encoder(widths, encoder_shapes):
    layers = Dense(widths, activation="tanh")
    encoder = layers.make_encoder(10, 3)
    decoder = layers.make_decoder(10, 3, encoder)
    assert shapes(encoder) == encoder_shapes
    assert shapes(decoder) == [shape[::-1] for shape in reversed(encoder_shapes)]
    assert decoder(encoder(torch.rand(4, 10))).shape == (4, 10)
    n_hidden = len(widths)
    assert sum(isinstance(layer, nn.Tanh) for layer in (*encoder, *decoder)) == 2 * n_hidden


def test_dense_is_a_scikit_learn_parameter_object():
    layers = Dense((8, 4), dropout=0.5)
    copy = clone(layers)
    assert copy is not layers
    assert copy.get_params() == layers.get_params()
    assert repr(layers) == "Dense(dropout=0.5, widths=(8, 4))"


def test_dropout_is_a_function_of_its_noise():
    dropout = Dropout(0.25, (4,))
    x = torch.ones(1, 4)
    uniform = torch.tensor([[0.0, 0.2, 0.3, 0.9]])
    assert_allclose(dropout(x, uniform), [[0, 0, 1 / 0.75, 1 / 0.75]])
    assert torch.equal(dropout(x), x)


def test_dropout_masks_are_drawn_from_the_given_generator():
    encoder = Dense((50, 20), dropout=0.5).make_encoder(10, 3)
    x = torch.rand(6, 10)
    masks = encoder.sample_noise(x, Generator(0))
    assert [mask.shape for mask in masks] == [(6, 50), (6, 20)]
    assert torch.equal(encoder(x, masks), encoder(x, masks))
    assert not torch.equal(encoder(x, masks), encoder(x))


@pytest.mark.parametrize("shape", [(), (4,), (3, 2)], ids=str)
def test_batch_norm_of_weighted_rows_is_that_of_repeated_rows(shape):
    x = torch.randn(10, 3, *shape, generator=torch.Generator().manual_seed(0)).double()
    times = torch.arange(1, 11)
    owner = torch.arange(10).repeat_interleave(times)
    results = []
    for rows, weight, count in [
        (x, times.double() / 5.5, times.double()),
        (x[owner], None, torch.ones(55).double()),
    ]:
        norm = BatchNorm(3).double().train()
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
            norm.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
        rows = rows.clone().requires_grad_()
        output = norm(rows, weight)
        (count @ output.square().sin().flatten(1).sum(1)).backward()
        state = [norm.running_mean, norm.running_var, norm.weight.grad, norm.bias.grad]
        results.append((output, rows.grad, state))
    (output, gradient, state), (repeated, split, expected) = results
    torch.testing.assert_close(output[owner], repeated)
    summed = torch.zeros_like(x).index_add_(0, owner, split)
    torch.testing.assert_close(gradient, summed, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(state, expected, rtol=1e-6, atol=1e-6)
    values = x[owner].movedim(1, 0).flatten(1)
    torch.testing.assert_close(expected[0], 0.1 * values.mean(1))
    torch.testing.assert_close(expected[1], 0.9 + 0.1 * values.var(1, correction=0))


def test_batch_norm_takes_a_batch_of_one_row_by_its_running_statistics():
    norm = BatchNorm(3).train()
    norm(torch.randn(100, 3) * 5 + 2)
    before = norm.running_mean.clone()
    x = torch.rand(1, 3)
    in_training = norm(x)
    assert torch.equal(norm.running_mean, before)
    assert torch.equal(in_training, norm.eval()(x))


@pytest.mark.parametrize(
    "parameters",
    [
        {"widths": 8},
        {"widths": (0,)},
        {"widths": (8, -1)},
        {"widths": (8.5,)},
        {"widths": ("a",)},
        {"widths": (True,)},
        {"activation": "cube"},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"batch_norm": "yes"},
        {"non_negative": 2},
    ],
)
def test_bad_parameters_are_named(parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"{name}.*(Dense|hidden_layers)") as caught:
        Dense(**parameters).make_encoder(4, 2)
    if name == "activation":
        assert "relu" in str(caught.value)


@pytest.mark.parametrize("tied_weights", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-4])
def test_non_negative_weights_stay_so_and_learn(digits, tied_weights, weight_decay):
    layers = Dense((32,), non_negative=True, tied_weights=tied_weights)
    autoencoder = quick(
        Autoencoder,
        n_components=8,
        hidden_layers=layers,
        weight_decay=weight_decay,
        learning_rate=5e-3,
        max_iter=40,
        batch_size=50,
    ).fit(digits[:500])
    assert autoencoder.loss_curve_[-1] < 0.5 * autoencoder.loss_curve_[0]
    assert -autoencoder.score(digits[:500]) < 0.7 * digits[:500].var(axis=0).mean()
    module = autoencoder.module_
    linears = [part for part in module.modules() if hasattr(part, "weight")]
    assert len(linears) == 4
    assert all((linear.weight >= 0).all() for linear in linears)
    codes = autoencoder.transform(digits)
    for twin in (copy.deepcopy(autoencoder), pickle.loads(pickle.dumps(autoencoder))):
        assert (twin.transform(digits) == codes).all()


def test_non_negative_decoder_shares_the_weights_of_its_encoder():
    layers = Dense((7,), non_negative=True, tied_weights=True)
    encoder = layers.make_encoder(10, 3)
    decoder = layers.make_decoder(10, 3, encoder)
    assert decoder[0].root is encoder[2].root
    assert torch.equal(decoder[2].weight, encoder[0].weight)
    with torch.no_grad():
        encoder[2].root.neg_()
    code = torch.rand(4, 3)
    assert_allclose(decoder[0](code).detach(), (code @ encoder[2].weight).detach(), rtol=1e-6)
