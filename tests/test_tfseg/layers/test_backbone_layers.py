"""Attention between maps, and convolutions with standardized kernels, beside torch's."""

import keras
import numpy as np
import pytest
from helpers.references import images, output, relative

import tfseg

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("reduction", [1, 3])
def test_map_attention_is_torchs(reduction):
    query, key, value = (
        images(*size, channels=12, batch=2, seed=seed)
        for seed, size in enumerate(((7, 5), *[(7 // reduction, 5 // reduction)] * 2))
    )
    inputs = [keras.Input((None, None, 12)) for _ in range(3)]
    model = keras.Model(inputs, tfseg.layers.MapAttention(3)(inputs))

    def heads(x):
        return torch.from_numpy(x.reshape(2, -1, 3, 4)).transpose(1, 2)

    expected = torch.nn.functional.scaled_dot_product_attention(heads(query), heads(key), heads(value))
    expected = expected.transpose(1, 2).reshape(query.shape).numpy()
    assert relative(np.array(model([query, key, value])), expected) <= 1e-6
    joined = [keras.Input((None, None, 12)), keras.Input((None, None, 24))]
    model = keras.Model(joined, tfseg.layers.MapAttention(3)(joined))
    assert relative(np.array(model([query, np.concatenate([key, value], -1)])), expected) <= 1e-6


def test_map_attention_refuses_channels_that_its_heads_do_not_divide():
    query, key = keras.Input((None, None, 12)), keras.Input((None, None, 8))
    both = keras.Input((None, None, 23))
    for inputs, heads in (([query, query, query], 5), ([query, key, key], 4), ([query, both], 4)):
        with pytest.raises(ValueError, match=rf"channels into {heads} heads.* Received: 12, "):
            tfseg.layers.MapAttention(heads)(inputs)


def test_map_projections_are_torchs():
    """Together with `MapAttention` they are the beginning of its MultiheadAttention."""
    attention = torch.nn.MultiheadAttention(12, 3, batch_first=True).requires_grad_(False)
    attention.in_proj_bias.normal_()
    query, source = images(7, 5, channels=12, seed=1), images(3, 2, channels=12, seed=2)
    inputs = [keras.Input((None, None, 12)) for _ in range(2)]
    layer = tfseg.layers.MapProjections()
    layer = type(layer).from_config(layer.get_config())
    model = keras.Model(inputs, tfseg.layers.MapAttention(3)(layer(inputs)))
    layer.kernel.assign(attention.in_proj_weight.T.numpy())
    layer.bias.assign(attention.in_proj_bias.numpy())
    rows = [torch.from_numpy(x.reshape(1, -1, 12)) for x in (query, source)]
    attention.out_proj.weight.copy_(torch.eye(12))
    expected = attention(rows[0], rows[1], rows[1])[0].reshape(1, 7, 5, 12)
    assert relative(np.array(model([query, source])), expected) <= 1e-6
    with pytest.raises(ValueError, match=r"equally many channels\. Received: 12 and 8 channels"):
        tfseg.layers.MapProjections()([inputs[0], keras.Input((None, None, 8))])


@pytest.mark.parametrize(("strides", "dilation_rate", "groups"), [(2, 1, 1), (1, 2, 1), (1, 1, 2)])
def test_standardized_convolution_is_torchs(strides, dilation_rate, groups):
    """torch computes the standardized kernel as the training phase of a BatchNorm."""
    layer = tfseg.layers.StandardizedConv2D(6, 3, strides=strides, dilation_rate=dilation_rate, groups=groups)
    image = keras.Input((None, None, 4))
    model = keras.Model(image, layer(image))
    kernel = np.random.default_rng(0).normal(3, 0.2, layer.kernel.shape).astype("float32")
    layer.kernel.assign(kernel)
    layer.bias.assign(np.arange(6))
    pixels = images(13, 12, channels=4)
    weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    weight = torch.nn.functional.batch_norm(weight.reshape(1, 6, -1), None, None, training=True, eps=1e-8).reshape_as(
        weight
    )
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()),
        weight,
        torch.arange(6.0),
        strides,
        0,
        dilation_rate,
        groups,
    )
    assert relative(output(model, pixels), expected.numpy().transpose(0, 2, 3, 1)) <= 1e-5
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert np.array_equal(output(again, pixels), output(model, pixels))


def test_a_marked_map_is_the_last_of_its_stride():
    image = keras.Input((None, None, 3))
    marked = tfseg.layers.LastMap(name="marked")(keras.layers.Conv2D(4, 3, strides=2, name="first")(image))
    x = keras.layers.Conv2D(4, 3, padding="same", name="second")(marked)
    model = keras.Model(image, keras.layers.Conv2D(4, 3, strides=2, name="third")(x))
    maps = tfseg.last_maps(model)
    assert {stride: x._keras_history.operation.name for stride, x in maps.items()} == {2: "marked", 4: "third"}
