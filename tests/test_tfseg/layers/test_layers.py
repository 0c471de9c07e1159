"""The layers against torch's functions, at sizes known beforehand and at sizes that only come with the image."""

import keras
import numpy as np
import pytest
from helpers.references import images, relative

import tfseg
from tfseg.layers import (
    AdaptiveAveragePooling,
    CropLike,
    DensePadding,
    DepthwiseConv2DTranspose,
    DilatedPooling,
    Rescale,
    ResizeLike,
)

torch = pytest.importorskip("torch")
functional = torch.nn.functional
TOLERANCE = 1e-6


def to_torch(pixels):
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def from_torch(tensor):
    return tensor.permute(0, 2, 3, 1).numpy()


def every_way(layer, *arrays):
    """What a layer makes of arrays: directly, in a model of unknown sizes, in its copy by configuration, traced."""

    def packed(values):
        return values[0] if len(values) == 1 else list(values)

    inputs = [keras.Input((None, None, array.shape[-1])) for array in arrays]
    model = keras.Model(inputs, layer(packed(inputs)))
    again = keras.Model.from_config(model.get_config())
    results = [layer(packed(arrays)), model(list(arrays)), again(list(arrays))]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        specs = [tf.TensorSpec((None, None, None, array.shape[-1])) for array in arrays]
        results.append(tf.function(model).get_concrete_function(specs)(list(map(tf.constant, arrays))))
    results = [keras.ops.convert_to_numpy(result) for result in results]
    foreseen = layer.compute_output_spec(packed([keras.KerasTensor(array.shape) for array in arrays]))
    assert {result.shape for result in results} == {foreseen.shape}
    return results


def check(layer, theirs, *arrays, tolerance=TOLERANCE):
    for ours in every_way(layer, *arrays):
        assert relative(ours, theirs) <= tolerance


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (9, 13), (12, 7), (65, 83), (224, 1), (3, 200)])
@pytest.mark.parametrize("source", [(9, 13), (1, 1), (3, 28), (64, 40)])
def test_resize_like(source, size):
    pixels = images(*source, channels=5, batch=2)
    theirs = functional.interpolate(to_torch(pixels), size=size, mode="bilinear", align_corners=False)
    # Coordinates up to 64 in single precision: where torch fuses a multiplication and an addition, it rounds once less.
    check(ResizeLike(), from_torch(theirs), pixels, images(*size, channels=2, batch=2), tolerance=5e-6)


@pytest.mark.parametrize("scale", [0.5, 0.75, 0.7, 1.5, 2])
@pytest.mark.parametrize("source", [(9, 13), (10, 90), (97, 48), (65, 2)])
def test_rescale(source, scale):
    """Where a size is no multiple of the other, torch goes by the scale and not by the sizes."""
    pixels = images(*source, channels=5, batch=2)
    theirs = functional.interpolate(to_torch(pixels), scale_factor=scale, mode="bilinear", align_corners=False)
    check(Rescale(scale), from_torch(theirs), pixels, tolerance=5e-6)
    nearest = functional.interpolate(to_torch(pixels), scale_factor=scale, mode="nearest")
    check(Rescale(scale, "nearest"), from_torch(nearest), pixels, tolerance=0)
    if theirs.shape[2] != source[0] * scale:
        assert relative(ResizeLike()([pixels, from_torch(theirs)]), from_torch(theirs)) > 0.01


@pytest.mark.parametrize("scale", [0.5, 0.75])
@pytest.mark.parametrize("source", [(9, 13), (10, 90), (97, 48), (321, 2)])
def test_rescale_with_aligned_corners(source, scale):
    pixels = images(*source, channels=5, batch=2)
    size = [int(pixels_ * scale) + 1 for pixels_ in source]
    theirs = functional.interpolate(to_torch(pixels), size=size, mode="bilinear", align_corners=True)
    check(Rescale(scale, "bilinear_align_corners", 1), from_torch(theirs), pixels)


@pytest.mark.parametrize("grid", [1, 2, 6, 7])
@pytest.mark.parametrize("size", [(7, 7), (14, 21), (1, 1), (2, 3), (6, 8), (13, 50)])
def test_adaptive_average_pooling(size, grid):
    pixels = images(*size, channels=5, batch=2)
    check(AdaptiveAveragePooling(grid), from_torch(functional.adaptive_avg_pool2d(to_torch(pixels), grid)), pixels)


# Stock layers on every `rate`-th pixel are the reference of their dense forms.
POOLINGS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
every_rate = pytest.mark.parametrize("rate", [1, 2, 4])
every_stride = pytest.mark.parametrize("strides", [1, 2, 3])


def sampled(tensor, step):
    return keras.ops.convert_to_numpy(tensor)[:, ::step, ::step]


@every_stride
@every_rate
@pytest.mark.parametrize("pool_size", [1, 2, 3, (1, 4)])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("mode", POOLINGS)
def test_dilated_pooling(mode, padding, pool_size, rate, strides):
    for size in ((25, 26), (27, 16)):
        pixels = images(*size, channels=3, batch=2) - 5  # negative: a zero in the padding would show
        theirs = POOLINGS[mode](pool_size, strides, padding)(sampled(pixels, rate))
        ours = DilatedPooling(pool_size, mode, strides, rate, padding)(pixels)
        assert relative(sampled(ours, rate * strides), theirs) <= (0 if mode == "max" else TOLERANCE)


@every_stride
@every_rate
@pytest.mark.parametrize("kernel_size", [1, 2, 3, (5, 2)])
@pytest.mark.parametrize(("padding", "border"), [("same", 0), ("valid", 0), ("valid", 1)])
def test_dense_padding(padding, border, kernel_size, rate, strides):
    pad = keras.layers.ZeroPadding2D(((0, border), (0, border)))
    coarse = keras.layers.Conv2D(2, kernel_size, strides, padding)
    wide = keras.layers.ZeroPadding2D(((0, border * rate), (0, border * rate)))
    fill = DensePadding(kernel_size, strides, rate, padding, border)
    dense = keras.layers.Conv2D(2, kernel_size, dilation_rate=rate)
    dense.build((None, None, None, 3))
    for size in ((25, 26), (27, 16)):
        pixels = images(*size)
        theirs = coarse(pad(sampled(pixels, rate)))
        dense.set_weights(coarse.get_weights())
        ours = dense(fill(wide(pixels)))
        assert padding == "valid" or ours.shape[1:3] == size
        assert relative(sampled(ours, rate * strides), theirs) <= TOLERANCE


@pytest.mark.parametrize("layer", [DilatedPooling(2, "max", 2), DilatedPooling((3, 2), "average", 2, padding="same")])
def test_where_no_pixel_is_left_out_the_size_stays(layer):
    assert layer(images(24, 32)).shape[1:3] == (24, 32)
    assert DilatedPooling(2, "max", 2, 2)(images(24, 30)).shape[1:3] == (24, 28)


@pytest.mark.parametrize(
    "layer",
    [
        DilatedPooling(3, "max", 2, 2, "same"),
        DilatedPooling((3, 2), "average", 2, 3, "same"),
        DilatedPooling((2, 3), "average", 2, 3),
        DilatedPooling(2, "max", 2, 3),
        DensePadding((2, 3), 2, 3),
        DensePadding((2, 3), 2, 3, "valid", 1),
    ],
)
def test_dense_forms_at_sizes_that_come_with_the_image(layer):
    for size in ((25, 26), (28, 23)):
        pixels = images(*size, channels=3, batch=2)
        first, *rest = every_way(layer, pixels)
        assert all(relative(result, first) <= TOLERANCE for result in rest)


@pytest.mark.parametrize("offset", [0, 1, 5])
def test_crop_like(offset):
    pixels = images(12, 15, channels=3, batch=2)
    for height, width in ((1, 1), (7, 10), (6, 3)):
        theirs = pixels[:, offset : offset + height, offset : offset + width]
        check(CropLike(offset), theirs, pixels, images(height, width, channels=1, batch=2), tolerance=0)


@pytest.mark.parametrize(("strides", "padding"), [(2, 1), (8, 4), ((4, 2), (2, 1))])
@pytest.mark.parametrize("size", [(1, 1), (5, 9), (13, 4)])
def test_depthwise_transposed_convolution(size, strides, padding):
    pixels = images(*size, channels=5, batch=2)
    layer = DepthwiseConv2DTranspose(strides, "random_normal")
    layer.build(pixels.shape)
    kernel = torch.from_numpy(keras.ops.convert_to_numpy(layer.kernel).transpose(2, 0, 1).copy())[:, None]
    theirs = functional.conv_transpose2d(to_torch(pixels), kernel, stride=strides, padding=padding, groups=5)
    ours = layer(pixels)
    assert layer.compute_output_spec(keras.KerasTensor(pixels.shape)).shape == ours.shape
    assert relative(keras.ops.convert_to_numpy(ours), from_torch(theirs)) <= TOLERANCE


def test_depthwise_transposed_convolution_begins_bilinear():
    layer = DepthwiseConv2DTranspose(8)
    pixels = images(6, 9, channels=4, batch=2)
    first, *rest = every_way(layer, pixels)
    theirs = functional.interpolate(to_torch(pixels), scale_factor=8, mode="bilinear")
    interior = (slice(None), slice(4, -4), slice(4, -4))
    assert relative(first[interior], from_torch(theirs)[interior]) <= TOLERANCE
    assert all(relative(result, first) <= TOLERANCE for result in rest)
    with pytest.raises(ValueError, match=r"strides must be even.* Received: strides=3"):
        DepthwiseConv2DTranspose(3)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize(
    "build",
    [
        lambda policy: ResizeLike(dtype=policy),
        lambda policy: CropLike(2, dtype=policy),
        lambda policy: AdaptiveAveragePooling(7, dtype=policy),
        lambda policy: DilatedPooling(3, "average", 2, 2, "same", dtype=policy),
        lambda policy: DepthwiseConv2DTranspose(4, dtype=policy),
    ],
    ids=["ResizeLike", "CropLike", "AdaptiveAveragePooling", "DilatedPooling", "DepthwiseConv2DTranspose"],
)
def test_precision_is_the_policys(build, policy):
    layer, full = build(policy), build("float32")
    arrays = [images(9, 13), images(7, 9)][: 2 if isinstance(layer, ResizeLike | CropLike) else 1]
    for ours, theirs in zip(every_way(layer, *arrays), every_way(full, *arrays), strict=True):
        assert ours.dtype == layer.compute_dtype
        assert relative(ours, theirs) <= {"float16": 2e-3, "bfloat16": 2e-2, "float64": 1e-6}[layer.compute_dtype]


def test_half_precision_places_pixels_exactly():
    """Coordinates of wide maps are beyond half precision's whole numbers: they are computed in single."""
    ramp = np.tile(np.linspace(-1, 1, 300, dtype="float32")[None, None, :, None], (1, 2, 1, 1))
    ours = keras.ops.convert_to_numpy(ResizeLike(dtype="float16")([ramp, np.zeros((1, 2, 3000, 1), "float32")]))
    theirs = from_torch(functional.interpolate(to_torch(ramp), size=(2, 3000), mode="bilinear"))
    assert np.abs(ours.astype("float32") - theirs).max() <= 2e-3


def test_metadata_passes_the_image_on():
    pixels = images(5, 7)
    for result in every_way(tfseg.layers.Metadata({"divisor": 1.0}, ["a"], [(0, 0, 0)]), pixels):
        np.testing.assert_array_equal(result, pixels)
