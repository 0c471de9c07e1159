"""Weights of qubvel's segmentation_models and image-classifiers for Keras, against the packages themselves and twins."""

import gc

import keras
import numpy as np
import pytest
from helpers.qubvel_keras import Twin, public_segmenter, save_weights, segmentation_models
from helpers.references import images, output, randomize, relative

import converters
import tfseg
from tfseg import specs

PUBLIC = "segmentation_models"
TOLERANCE = 1e-5
SIZES = ((64, 96), (96, 128))
KINDS = {"resnet": "pixels", "vgg": "caffe", "mobilenet": "inception", "efficientnet": "torch"}
# Backbone there -> family and network here.
BACKBONES = {
    **{f"resnet{depth}": ("resnet", f"preact_resnet{depth}") for depth in (18, 34, 50, 101, 152)},
    **{name: ("vgg", name) for name in ("vgg16", "vgg19")},
    "mobilenetv2": ("mobilenet", "mobilenet_v2"),
    **{f"efficientnetb{index}": ("efficientnet", f"tf_efficientnet_b{index}") for index in range(8)},
}
TITLES = ("Unet", "Linknet", "FPN", "PSPNet")
PAIRS = [
    *((title, name) for title in TITLES for name in BACKBONES if name not in ("resnet152", "efficientnetb7")),
    *(("Unet", name) for name in ("resnet152", "efficientnetb7")),
]


def check(model, public, record, name, sizes=SIZES):
    for size in sizes:
        pixels = images(*size)
        difference = relative(output(model, pixels), output(public, pixels))
        record(name, difference)
        assert difference <= TOLERANCE


def check_round_trip(model, receipt, path, tmp_path):
    back = tmp_path / "back.safetensors"
    converters.export_weights(model, back, family=receipt.family)
    again, first = converters.read(back), converters.read(path)
    # Keras counts LinkNet's last layer; which number it had is lost.
    last = {key: key.replace(key.partition("/")[0], "conv2d") for key in first if key.startswith("conv2d_")}
    assert set(again) == {last.get(key, key) for key in first}
    for key in first:
        assert np.array_equal(again[last.get(key, key)], first[key]), key


@pytest.mark.parametrize("title", ["Unet", pytest.param("Linknet", marks=pytest.mark.full)])
def test_weights_of_a_segmenter(title, tmp_path, record):
    twin = Twin(title).model
    path = save_weights(twin, tmp_path / "weights.h5")
    model, receipt = converters.convert(path)
    network = f"{title.lower()}_preact_resnet18"
    assert (receipt.family, receipt.network) == ("qubvel/segmentation_models/resnet", network)
    assert (receipt.untouched, receipt.ignored, receipt.others) == ({}, {}, [])
    assert receipt.preprocessing == specs.PREPROCESSING["pixels"]
    assert any("do not tell the activation after the logits" in note for note in receipt.notes)
    check(model, twin, record, f"{title} (twin)")
    check_round_trip(model, receipt, path, tmp_path)


@pytest.mark.full
def test_a_whole_model_keeps_what_it_computes(tmp_path):
    """The configuration says how it ends; so the program is built."""
    twin = Twin("Unet").model
    whole = keras.Model(twin.input, keras.layers.Activation("sigmoid", name="sigmoid")(twin.output))
    whole.save(tmp_path / "whole.keras")
    model, _ = converters.convert(tmp_path / "whole.keras")
    pixels = images(64, 96)
    ours = output(model, pixels)
    expected = min((output(twin, pixels), output(whole, pixels)), key=lambda value: relative(ours, value))
    assert relative(ours, expected) <= TOLERANCE


def test_a_transposed_decoder_is_refused(tmp_path):
    twin = Twin("Unet").model
    arrays = {variable.path: np.asarray(variable) for variable in twin.weights}
    arrays = {key.replace("decoder_stage0a_conv", "decoder_stage0a_transpose"): array for key, array in arrays.items()}
    with pytest.raises(converters.ConversionError, match="decoder_stage0a"):
        converters.convert(arrays)


@pytest.mark.full
@pytest.mark.parametrize(("title", "backbone"), PAIRS)
def test_every_segmenter_of_the_package(title, backbone, tmp_path, record):
    kind, name = BACKBONES[backbone]
    options = {"input_shape": (96, 96, 3)} if title == "PSPNet" else {}
    public = public_segmenter(title, backbone, **options)
    path = save_weights(public, tmp_path / "weights.h5")
    model, receipt = converters.convert(path)
    if title == "PSPNet":  # which has the beginning of its backbone alone
        name = {"resnet101": "preact_resnet50"}.get(backbone, name)
    assert (receipt.family, receipt.network) == (
        f"qubvel/segmentation_models/{kind}",
        f"{title.lower()}_{name}",
    )
    assert (receipt.untouched, receipt.ignored) == ({}, {})
    assert receipt.preprocessing == specs.PREPROCESSING[KINDS[kind]]
    check(model, public, record, f"{title} {backbone}", [(96, 96)] if title == "PSPNet" else SIZES)
    if title == "PSPNet":
        other = public_segmenter(title, backbone, input_shape=(96, 144, 3))
        other.set_weights(public.get_weights())
        check(model, other, record, f"{title} {backbone}", [(96, 144)])
    check_round_trip(model, receipt, path, tmp_path)
    keras.backend.clear_session()
    gc.collect()


@pytest.mark.full
@pytest.mark.parametrize(
    ("title", "options"),
    [
        ("Unet", {"decoder_filters": (128, 64, 32, 16, 12)}),
        ("FPN", {"pyramid_aggregation": "concat", "pyramid_block_filters": 64}),
        ("PSPNet", {"downsample_factor": 16, "input_shape": (96, 192, 3), "psp_conv_filters": 64}),
        ("PSPNet", {"downsample_factor": 16, "input_shape": (96, 96, 3), "backbone": "vgg16"}),
        ("PSPNet", {"downsample_factor": 16, "input_shape": (96, 96, 3), "backbone": "mobilenetv2"}),
        ("PSPNet", {"downsample_factor": 16, "input_shape": (96, 96, 3), "backbone": "efficientnetb0"}),
        ("PSPNet", {"downsample_factor": 4, "input_shape": (48, 96, 3)}),
    ],
)
def test_other_options_of_the_package(title, options, tmp_path, record):
    backbone = options.get("backbone", "resnet18")
    given = {key: value for key, value in options.items() if key != "backbone"}
    public = public_segmenter(title, backbone, **given)
    model, receipt = converters.convert(save_weights(public, tmp_path / "weights.h5"))
    assert (receipt.untouched, receipt.ignored) == ({}, {})
    size = options.get("input_shape", (64, 96, 3))[:2]
    check(model, public, record, f"{title} {backbone} {given}", [size])


@pytest.mark.full
@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_classifiers(depth, top, tmp_path, record):
    segmentation_models()
    from classification_models.tfkeras import Classifiers

    builder, _ = Classifiers.get(f"resnet{depth}")
    public = randomize(builder((96, 128, 3), weights=None, include_top=top, classes=7))
    path = save_weights(public, tmp_path / "weights.h5")
    model, receipt = converters.convert(path)
    assert (receipt.family, receipt.network) == ("qubvel/classification_models", f"preact_resnet{depth}")
    assert (receipt.untouched, receipt.preprocessing) == ({}, specs.PREPROCESSING["pixels"])
    logits = keras.Model(public.input, public.layers[-2].output)
    if top:  # the public classifier ends with a softmax
        pixels = images(96, 128)
        dense = public.get_layer("fc1")
        expected = output(keras.Model(public.input, logits.get_layer("pool1").output), pixels) @ dense.kernel
        difference = relative(output(model, pixels), expected + dense.bias)
        record(f"ResNet-{depth} with top", difference)
        assert difference <= TOLERANCE
    else:
        other = builder((65, 83, 3), weights=None, include_top=False)
        other.set_weights(public.get_weights())
        check(model, public, record, f"ResNet-{depth}", [(96, 128)])
        check(model, other, record, f"ResNet-{depth}", [(65, 83)])
    check_round_trip(model, receipt, path, tmp_path)


@pytest.mark.full
def test_an_encoder_with_squeeze_and_excite_is_refused_by_name(tmp_path):
    path = save_weights(public_segmenter("Unet", "seresnet18"), tmp_path / "weights.h5")
    with pytest.raises(
        converters.ConversionError, match="It looks like a network of qubvel's for Keras on an SE-ResNet"
    ):
        converters.convert(path)


def test_the_decoders_of_keras_stand_on_any_backbone():
    backbone = tfseg.ResNet(18, width=1 / 16)
    model = tfseg.FPN(backbone, 5, pyramid_filters=8, filters=8, form="keras", merge="cat")
    assert tuple(model(images(65, 83)).shape) == (1, 65, 83, 5)
    model = tfseg.Linknet(backbone, 5, center=True, interpolation="nearest", kernel_size=3)
    assert tuple(model(images(65, 83)).shape) == (1, 65, 83, 5)
    with pytest.raises(ValueError, match="form must be one of 'pytorch', 'keras'"):
        tfseg.FPN(backbone, 5, form="caffe")
