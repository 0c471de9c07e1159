"""`tfseg.last_maps`: where the blocks of every stride end, in any classifier."""

import functools

import keras
import numpy as np
import pytest
from helpers.references import images, output, randomize
from helpers.small_nets import narrow_resnet

import tfseg

# Stride -> layer. Each name ends the blocks of its stride in the paper's table of the network.
APPLICATIONS = {
    "ResNet50": "conv1_relu conv2_block3_out conv3_block4_out conv4_block6_out conv5_block3_out",
    "ResNet101": "conv1_relu conv2_block3_out conv3_block4_out conv4_block23_out conv5_block3_out",
    "ResNet50V2": "conv1_conv conv2_block2_out conv3_block3_out conv4_block5_out post_relu",
    "VGG16": "block2_conv2 block3_conv3 block4_conv3 block5_conv3 block5_pool",
    "VGG19": "block2_conv2 block3_conv4 block4_conv4 block5_conv4 block5_pool",
    "DenseNet121": "conv1_relu pool2_relu pool3_relu pool4_relu relu",
    "MobileNet": "conv_pw_1_relu conv_pw_3_relu conv_pw_5_relu conv_pw_11_relu conv_pw_13_relu",
    "MobileNetV2": "expanded_conv_project_BN block_2_add block_5_add block_12_add out_relu",
    "MobileNetV3Small": "* expanded_conv_project_bn expanded_conv_2_add expanded_conv_7_add *",
    "MobileNetV3Large": "expanded_conv_add expanded_conv_2_add expanded_conv_5_add expanded_conv_11_add *",
    "EfficientNetB0": "block1a_project_bn block2b_add block3b_add block5c_add top_activation",
    "EfficientNetV2B0": "block1a_project_activation block2b_add block3b_add block5e_add top_activation",
    "Xception": "block1_conv2_act * * * block14_sepconv2_act",
    "InceptionV3": "* * mixed2 mixed7 mixed10",
    "InceptionResNetV2": "* * block35_10_ac block17_20_ac conv_7b_ac",
    "NASNetMobile": "stem_bn1 reduction_concat_stem_1 normal_concat_3 normal_concat_8 *",
    "ConvNeXtTiny": "- * * * *",
}
CHANNELS = {
    "MobileNetV3Small": (16, 16, 24, 48, 576),
    "MobileNetV3Large": (16, 24, 40, 112, 960),
    "Xception": (64, 128, 256, 728, 2048),
    "InceptionV3": (64, 192, 288, 768, 2048),
    "InceptionResNetV2": (64, 192, 320, 1088, 1536),
    "NASNetMobile": (32, 44, 264, 528, 1056),
    "ConvNeXtTiny": (96, 192, 384, 768),
}


def application(name, top):
    if top:
        return getattr(keras.applications, name)(weights=None)
    size = (160, 160) if name == "NASNetMobile" else (None, None)  # NASNet's paddings are computed when it is built
    return getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(*size, 3))


def names(maps):
    return {stride: x._keras_history[0].name for stride, x in maps.items()}


@pytest.mark.quick_variants("classifier-VGG16")
@pytest.mark.parametrize("name", APPLICATIONS)
@pytest.mark.parametrize("top", [False, True], ids=["map", "classifier"])
def test_the_blocks_of_every_stride_end_where_the_paper_says(name, top):
    expected = dict(zip((2, 4, 8, 16, 32), APPLICATIONS[name].split(), strict=True))
    expected = {stride: layer for stride, layer in expected.items() if layer != "-"}
    maps = tfseg.last_maps(application(name, top))
    assert list(maps) == list(expected)
    assert all(layer in ("*", names(maps)[stride]) for stride, layer in expected.items())
    if name in CHANNELS:
        assert tuple(x.shape[-1] for x in maps.values()) == CHANNELS[name]


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (
            functools.partial(narrow_resnet, 50),
            {
                2: "conv1_relu",
                4: "conv2_block3_out",
                8: "conv3_block4_out",
                16: "conv4_block6_out",
                32: "conv5_block3_out",
            },
        ),
        (
            functools.partial(narrow_resnet, 18, output_stride=8, include_top=True),
            {2: "conv1_relu", 4: "conv2_block2_out", 8: "conv5_block2_out"},
        ),
        (
            functools.partial(tfseg.VGG, 11, width=1 / 32, include_top=True, num_classes=3),
            {2: "relu2_1", 4: "relu3_2", 8: "relu4_2", 16: "relu5_2", 32: "pool5"},
        ),
        (
            functools.partial(tfseg.DRN, "d_22", width=1 / 32),
            {2: "level2_block1_1_relu", 4: "level3_block2_out", 8: "level8_block1_1_relu"},
        ),
    ],
    ids=["resnet", "dilated", "vgg", "drn"],
)
def test_our_own_networks_end_their_stages_there(build, expected):
    assert names(tfseg.last_maps(build())) == expected


def inverted_residuals(image):
    """Two blocks as in MobileNetV2: widened, strided channel by channel, and narrowed without an activation."""
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="stem")(image)
    for index in (1, 2):
        x = keras.layers.Conv2D(48, 1, activation="relu", name=f"wide_{index}")(x)
        x = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu", name=f"striding_{index}")(x)
        x = keras.layers.Conv2D(12, 1, name=f"narrow_{index}")(x)
    return x


def test_models_inside_a_model_are_entered_and_compute_the_same():
    inner_image = keras.Input((None, None, 3))
    inner = keras.Model(inner_image, inverted_residuals(inner_image), name="inner")
    image = keras.Input((None, None, 3))
    model = randomize(keras.Model(image, keras.layers.GlobalAveragePooling2D()(inner(image / 2.0))))
    maps = tfseg.last_maps(model)
    # "stem" has an activation, so the wide map after it may be a block's own.
    assert {stride: x.shape[-1] for stride, x in maps.items()} == {2: 48, 4: 12, 8: 12}
    features = keras.Model(model.inputs[0], list(maps.values()))
    pixels = images(33, 47)
    assert np.array_equal(output(features, pixels)[-1], output(inner, pixels / 2))
    assert {id(weight) for weight in features.weights} == {id(weight) for weight in model.weights}


def rows_of_pixels(image, side):
    """A block of attention on rows of pixels, back to a map: the network takes one size only."""
    x = keras.layers.Conv2D(8, 4, strides=4)(image)
    for _ in range(2):
        x = keras.layers.Conv2D(8, 2, strides=2)(x)
        side //= 2
        rows = keras.layers.Reshape((side**2, 8))(x)
        rows = keras.layers.MultiHeadAttention(2, 4)(rows, rows)
        x = keras.layers.Reshape((side, side, 8), name=f"map_{side}")(rows)
    return x


@pytest.mark.parametrize("size", [64, 96])
def test_a_network_of_one_size_may_write_its_pixels_in_rows(size):
    image = keras.Input((size, size, 3))
    maps = tfseg.last_maps(keras.Model(image, rows_of_pixels(image, size // 4)))
    assert names(maps)[8] == f"map_{size // 8}"
    assert names(maps)[16] == f"map_{size // 16}"
    assert {stride: x.shape[1] for stride, x in maps.items()} == {4: size // 4, 8: size // 8, 16: size // 16}


def transformer(image):
    """One map of patches, and rows of pixels from then on."""
    x = keras.layers.Reshape((-1, 8))(keras.layers.Conv2D(8, 16, strides=16)(image))
    for _ in range(3):
        x = x + keras.layers.Dense(8)(keras.layers.LayerNormalization()(x))
    return keras.layers.GlobalAveragePooling1D()(x)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (transformer, "is a transformer without maps: 6 of its layers work on rows .* and 1 come before"),
        (lambda image: keras.layers.Conv2D(4, 3)(image), "no map that is coarser than its image"),
        (lambda image: keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(image)), "no map that is coarser"),
    ],
    ids=["transformer", "no stride", "no map"],
)
def test_a_network_without_strides_is_refused(model, message):
    image = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match=message):
        tfseg.last_maps(keras.Model(image, model(image)))


def test_a_vector_is_refused():
    vector = keras.Input((7,))
    with pytest.raises(ValueError, match=r"must take one image .*Received: inputs \[\(None, 7\)\]"):
        tfseg.last_maps(keras.Model(vector, keras.layers.Dense(2)(vector)))
