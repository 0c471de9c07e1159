"""PSPNet's head in all its published forms, against torch's own pooling and interpolation."""

import itertools

import keras
import numpy as np
import pytest
import torch
from helpers.references import images, output, randomize, relative
from torch.nn import functional

import tfseg

BINS = (1, 2, 3, 6)
MAPS = ((9, 11), (12, 6), (4, 5), (1, 1))  # windows of unequal and of equal sizes, of single pixels, and of one pixel


def features(width=8):
    """A backbone that changes nothing: only the head's own layers compute."""
    image = keras.Input((None, None, width))
    return keras.Model(image, keras.layers.Identity()(image))


def reference(model, x, order, kernels, corners, sizes):
    """The same head in torch, with the model's weights."""
    x = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())

    def conv(x, name, norm=True):
        layer = model.get_layer(name)
        kernel = torch.from_numpy(np.array(layer.kernel).transpose(3, 2, 0, 1).copy())
        bias = torch.from_numpy(np.array(layer.bias)) if layer.use_bias else None
        x = functional.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)
        if not norm:
            return x
        gamma, beta, mean, variance = (
            torch.from_numpy(np.array(value)) for value in model.get_layer(name.replace("_conv", "_bn")).weights
        )
        return functional.batch_norm(x, mean, variance, gamma, beta, eps=1e-5)

    options = {"mode": "bilinear", "align_corners": corners}
    names = [layer.name for layer in model.layers]
    pooled = {
        bins: functional.interpolate(
            conv(functional.adaptive_avg_pool2d(x, bins), f"ppm_{bins}_conv", f"ppm_{bins}_bn" in names).relu(),
            x.shape[2:],
            **options,
        )
        for bins in BINS
    }
    parts = [x if bins == 0 else pooled[bins] for bins in order]
    y = conv(conv(torch.cat(parts, 1), "head_conv").relu(), "logits", norm=False)
    assert [model.get_layer(name).kernel_size[0] for name in ("head_conv", "logits")] == list(kernels)
    return functional.interpolate(y, sizes, **options).permute(0, 2, 3, 1).numpy()


@pytest.mark.quick_variants(4)
@pytest.mark.parametrize("upsampling", ["bilinear", "bilinear_align_corners"])
@pytest.mark.parametrize(
    ("order", "parts"),
    [("features_first", (0, 1, 2, 3, 6)), ("features_last", (1, 2, 3, 6, 0)), ("reversed", (0, 6, 3, 2, 1))],
)
@pytest.mark.parametrize(("kernels", "normed"), [((3, 1), True), ((1, 3), False)])
def test_pspnet_is_torchs_in_every_published_form(order, parts, kernels, normed, upsampling):
    options = {"order": order, "kernel_sizes": kernels, "norm_single_bin": normed, "upsampling": upsampling}
    model = randomize(tfseg.PSPNet(features(), 5, filters=16, **options))
    assert ("ppm_1_bn" in [layer.name for layer in model.layers]) == normed
    for size in MAPS:
        x = images(*size, channels=8)
        expected = reference(model, x, parts, kernels, upsampling.endswith("corners"), size)
        assert relative(output(model, x), expected) <= 1e-5


def test_orders_differ_only_by_the_order():
    """They are the same function if the input channels of the next convolution are permuted with the parts."""
    models = {order: tfseg.PSPNet(features(), 5, filters=16, order=order) for order in tfseg.specs.PYRAMID_ORDERS}
    first = randomize(models["features_first"])
    x = images(9, 11, channels=8)
    kernel = np.array(first.get_layer("head_conv").kernel)
    # The features are 8 channels, and every bin's branch is 2.
    channels = {0: range(8)} | {bins: range(8 + 2 * index, 10 + 2 * index) for index, bins in enumerate(BINS)}
    for order, parts in (("features_last", (1, 2, 3, 6, 0)), ("reversed", (0, 6, 3, 2, 1))):
        other = models[order]
        for variable, value in zip(sorted_weights(other), sorted_weights(first), strict=True):
            variable.assign(value)
        assert relative(output(other, x), output(first, x)) > 0.01
        moved = list(itertools.chain.from_iterable(channels[part] for part in parts))
        other.get_layer("head_conv").kernel.assign(kernel[:, :, moved])
        assert relative(output(other, x), output(first, x)) <= 1e-6


def sorted_weights(model):
    return sorted(model.weights, key=lambda variable: variable.path)


def test_pspnet_has_the_documented_channels_and_outputs():
    backbone = tfseg.ResNet(18, output_stride=8, width=1 / 8)
    model = tfseg.PSPNet(backbone, 5, aux=True, aux_reduction=2)
    shapes = {name: model.get_layer(name).output.shape[-1] for name in ("ppm_6_conv", "head_conv", "aux_head_conv")}
    assert shapes == {"ppm_6_conv": 16, "head_conv": 512, "aux_head_conv": 16}
    assert model.name == "pspnet_resnet18"
    assert [scores.shape for scores in output(model, images(65, 83))] == [(1, 65, 83, 5)] * 2
    wide = tfseg.PSPNet(backbone, 5, bins=(1, 4), branch_filters=24, filters=8)
    assert wide.get_layer("ppm_4_conv").output.shape[-1] == 24
    assert wide.get_layer("ppm_concat").output.shape[-1] == 64 + 2 * 24


def test_a_transposed_convolution_enlarges_only_the_scores():
    model = tfseg.PSPNet(tfseg.ResNet(18, output_stride=8, width=1 / 8), 5, upsampling="transposed_convolution")
    assert model.get_layer("ppm_6_resize").interpolation == "bilinear"
    assert output(model, images(65, 83)).shape == (1, 65, 83, 5)


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match=r"order must be one of 'features_first', .* Received: 'caffe'"):
        tfseg.PSPNet(features(), 5, order="caffe")
