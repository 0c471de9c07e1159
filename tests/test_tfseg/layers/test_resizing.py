"""Resizing and adaptive pooling are torch's, at sizes known beforehand and at sizes that come with the image."""

import keras
import numpy as np
import pytest
from helpers.layer_outputs import check_layer, from_torch, to_torch
from helpers.references import images, relative

from tfseg.layers import AdaptiveAveragePooling, Rescale, ResizeLike
from tfseg.layers.interpolate import Interpolate

torch = pytest.importorskip("torch")
functional = torch.nn.functional


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize("size", [(1, 1), (4, 5), (9, 13), (12, 7), (65, 83), (224, 1), (3, 200)])
@pytest.mark.parametrize("source", [(9, 13), (1, 1), (3, 28), (64, 40)])
def test_resize_like_is_torchs_interpolate(source, size):
    pixels = images(*source, channels=5, batch=2)
    reference = functional.interpolate(to_torch(pixels), size=size, mode="bilinear", align_corners=False)
    # Coordinates up to 64 in single precision: where torch fuses a multiplication and an addition, it rounds once less.
    check_layer(ResizeLike(), from_torch(reference), pixels, images(*size, channels=2, batch=2), tolerance=5e-6)


@pytest.mark.quick_variants(6)
@pytest.mark.parametrize("scale", [0.5, 0.75, 0.7, 1.5, 2])
@pytest.mark.parametrize("source", [(9, 13), (10, 90), (97, 48), (65, 2)])
def test_rescale_is_torchs_interpolate_by_a_scale(source, scale):
    """If one size is no multiple of the other, torch uses the scale and not the sizes."""
    pixels = images(*source, channels=5, batch=2)
    reference = functional.interpolate(to_torch(pixels), scale_factor=scale, mode="bilinear", align_corners=False)
    check_layer(Rescale(scale), from_torch(reference), pixels, tolerance=5e-6)
    nearest = functional.interpolate(to_torch(pixels), scale_factor=scale, mode="nearest")
    check_layer(Rescale(scale, "nearest"), from_torch(nearest), pixels, tolerance=0)
    if reference.shape[2] != source[0] * scale:
        assert relative(ResizeLike()([pixels, from_torch(reference)]), from_torch(reference)) > 0.01


@pytest.mark.parametrize("scale", [0.5, 0.75])
@pytest.mark.parametrize("source", [(9, 13), (10, 90), (97, 48), (321, 2)])
def test_rescale_with_aligned_corners_is_torchs(source, scale):
    pixels = images(*source, channels=5, batch=2)
    size = [int(pixels_ * scale) + 1 for pixels_ in source]
    reference = functional.interpolate(to_torch(pixels), size=size, mode="bilinear", align_corners=True)
    check_layer(Rescale(scale, "bilinear_align_corners", 1), from_torch(reference), pixels)


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize("grid", [1, 2, 6, 7])
@pytest.mark.parametrize("size", [(7, 7), (14, 21), (1, 1), (2, 3), (6, 8), (13, 50)])
def test_adaptive_average_pooling_is_torchs(size, grid):
    pixels = images(*size, channels=5, batch=2)
    check_layer(
        AdaptiveAveragePooling(grid), from_torch(functional.adaptive_avg_pool2d(to_torch(pixels), grid)), pixels
    )


def test_wide_maps_are_exact_in_half_precision():
    """Coordinates of wide maps exceed half precision's whole numbers, so they are computed in single precision."""
    ramp = np.tile(np.linspace(-1, 1, 300, dtype="float32")[None, None, :, None], (1, 2, 1, 1))
    ours = keras.ops.convert_to_numpy(ResizeLike(dtype="float16")([ramp, np.zeros((1, 2, 3000, 1), "float32")]))
    reference = from_torch(functional.interpolate(to_torch(ramp), size=(2, 3000), mode="bilinear"))
    assert np.abs(ours.astype("float32") - reference).max() <= 2e-3


@pytest.mark.parametrize("scale", [2, 0.5, 0.75, 1.5, 0.7])
def test_unknown_sizes_need_no_double_precision_where_parts_of_a_pixel_are_whole(scale):
    """LiteRT has no double precision. A factor such as 0.7 needs it."""
    tf = pytest.importorskip("tensorflow")
    layers = [Rescale(scale), Interpolate("nearest", scales=(scale, scale))]
    for layer, attribute in zip(layers, ("_size", "_outputs"), strict=True):
        sizes = getattr(layer, attribute)
        given = tf.TensorSpec((1, None, 3, 1)) if attribute == "_outputs" else tf.TensorSpec((), tf.int32)
        size = (lambda x, sizes=sizes: sizes([x], 1)) if attribute == "_outputs" else sizes
        graph = tf.function(size).get_concrete_function(given).graph
        double = any(tensor.dtype == tf.float64 for node in graph.get_operations() for tensor in node.outputs)
        assert double == (scale == 0.7)


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(ValueError, match=r"interpolation must be one of 'bilinear', .* Received: 'cubic'"):
        ResizeLike("cubic")


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
def test_a_map_of_integers_becomes_one_of_the_layers_type(dtype):
    pixels = np.full((1, 2, 3, 1), 200).astype(dtype)
    for layer, inputs in ((Rescale(2, "nearest"), pixels), (ResizeLike("nearest"), [pixels, np.zeros((1, 5, 4, 1))])):
        for training in (False, True):
            resized = keras.ops.convert_to_numpy(layer(inputs, training=training))
            assert resized.dtype == "float32"
            np.testing.assert_array_equal(resized, float(pixels[0, 0, 0, 0]))
