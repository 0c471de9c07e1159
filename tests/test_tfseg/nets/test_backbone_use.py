"""What a backbone must allow: dilation with the law, decoders on its maps, saving, training; and what it refuses."""

import functools
import re

import keras
import numpy as np
import pytest
from helpers.backbones import TINY_DENSENET, TINY_HRNET, TINY_MIT
from helpers.random_weights import (
    dilate_and_check,
    fit_norms,
    is_nonconstant,
    old_grid_difference,
    random_image,
    randomize_weights,
)
from helpers.references import copy_weights, images, output, relative

import tfseg
from tfseg import specs
from tfseg.surgery.take_weights import TRUNK

TINY_EFFICIENTNET = specs.EfficientNetSpec(1 / 8, 0.3, 0.2)
TINY_SAME = specs.EfficientNetSpec(1 / 8, 0.3, 0.2, 1e-3, padding="same")
TINY_PREACTIVATION = specs.PreActivationSpec((1, 1, 2, 1), data_norm=True, stem_norm=True)
TINY_BIT = specs.PreActivationSpec((1, 1, 1, 1), standardized=True)
TINY = {
    "mobilenet_v2": functools.partial(tfseg.MobileNetV2, width=1 / 8, top_conv=False),
    "mobilenet_v3": functools.partial(tfseg.MobileNetV3, "small", width=1 / 8),
    "efficientnet": functools.partial(tfseg.EfficientNet, TINY_EFFICIENTNET),
    "efficientnet same": functools.partial(tfseg.EfficientNet, TINY_SAME),
    "mit": functools.partial(tfseg.MiT, TINY_MIT),
    "mit of one projection": functools.partial(tfseg.MiT, TINY_MIT, joined_query=True),
    "hrnet": functools.partial(tfseg.HRNet, TINY_HRNET, width=1 / 2),
    "densenet": functools.partial(tfseg.DenseNet, TINY_DENSENET, width=1 / 4),
    "xception": functools.partial(tfseg.Xception, "xception41", width=1 / 32),
    "preact": functools.partial(tfseg.PreActivationResNet, TINY_PREACTIVATION, width=1 / 8),
    "resnetv2": functools.partial(
        tfseg.PreActivationResNet, specs.PreActivationSpec((1, 1, 1, 1), bottleneck=False), width=1 / 8
    ),
    "bit": functools.partial(tfseg.PreActivationResNet, TINY_BIT, width=1 / 8),
    "res2net": functools.partial(
        tfseg.ResNet, specs.ResNetSpec((1, 1, 2, 1), group_width=26, scales=4, stem_pool="convolution"), width=1 / 8
    ),
    "clip": functools.partial(
        tfseg.ResNet,
        specs.ResNetSpec((1, 1, 1, 1), stem=(32, 32, 64), average_shortcut="valid", antialias="average_valid"),
        width=1 / 8,
    ),
}


@pytest.mark.quick_variants("mit-8")
@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize("name", [name for name in TINY if name not in ("hrnet", "bit")])
def test_dilate_keeps_the_old_map_on_the_old_grid(name, output_stride):
    """Squeeze-and-excite, TensorFlow's one-sided padding, and attention to reduced maps among them."""
    # An odd and an even side, with more than one pixel of the deepest map each.
    dilate_and_check(TINY[name](), output_stride, 32 // output_stride, ((97, 128),), tolerance=2e-5)


@pytest.mark.quick_variants("preact-16")
@pytest.mark.parametrize("output_stride", [16, 8, 4])
@pytest.mark.parametrize("name", ["mobilenet_v2", "xception", "preact"])
def test_dilated_backbone_is_the_dilate_of_the_strided_one(name, output_stride):
    coarse = randomize_weights(TINY[name]())
    dense = copy_weights(coarse, TINY[name](output_stride=output_stride))
    dilated = tfseg.dilate(coarse, output_stride)
    image = random_image(97, 128)
    assert old_grid_difference(coarse, dense, image, 32 // output_stride) <= 1e-5
    assert relative(output(dense, image), output(dilated, image)) <= 1e-5


@pytest.mark.full
@pytest.mark.parametrize("convention", ["new", "one"])
def test_conventions_change_the_layer_that_lost_its_stride_alone(convention):
    rates = {}
    for name in ("previous", convention):
        model = TINY["mobilenet_v2"](output_stride=8, convention=name)
        rates[name] = {layer.name: layer.dilation_rate[0] for layer in model.layers if layer.name.endswith("dwconv")}
    changed = {key for key, rate in rates["previous"].items() if rate != rates[convention][key]}
    assert changed == ({"block7_dwconv", "block14_dwconv"} if convention == "new" else {"block14_dwconv"})
    assert rates[convention]["block14_dwconv"] == (4 if convention == "new" else 1)


@pytest.mark.quick_variants("mit-maps", "resnetv2-maps")
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        pytest.param(
            "mobilenet_v2",
            ["block1_add", "block3_add", "block6_add", "block13_add", "block17_project_bn"],
            id="mobilenet_v2-maps",
        ),
        pytest.param(
            "mobilenet_v3",
            ["stem_activation", "block1_project_bn", "block3_add", "block8_add", "top_activation"],
            id="mobilenet_v3-maps",
        ),
        pytest.param("mit", ["stage1_out", "stage2_out", "stage3_out", "stage4_out"], id="mit-maps"),
        pytest.param("hrnet", ["stem_1_relu", "map4", "map8", "map16", "map32"], id="hrnet-maps"),
        pytest.param(
            "densenet",
            ["stem_relu", *(f"transition{stage}_out" for stage in (1, 2, 3)), "top_relu"],
            id="densenet-maps",
        ),
        pytest.param(
            "xception", ["stem_2_relu", "block1_add", "block2_add", "block11_add", "block13_3_relu"], id="xception-maps"
        ),
        pytest.param(
            "preact",
            ["relu0", "stage2_unit1_relu1", "stage3_unit1_relu1", "stage4_unit1_relu1", "relu1"],
            id="preact-maps",
        ),
        pytest.param(
            "resnetv2",
            ["stem_out", "stage2_unit1_relu1", "stage3_unit1_relu1", "stage4_unit1_relu1", "relu1"],
            id="resnetv2-maps",
        ),
    ],
)
def test_decoders_read_the_last_map_of_each_stride(name, layers):
    maps = tfseg.last_maps(TINY[name]())
    assert list(maps) == [2, 4, 8, 16, 32][-len(layers) :]
    assert [x._keras_history.operation.name for x in maps.values()] == layers


@pytest.mark.quick_variants("mit")
@pytest.mark.parametrize("name", TINY)
def test_a_backbone_is_saved_and_opened_again(name, tmp_path):
    model = randomize_weights(TINY[name]())
    model.save(tmp_path / "model.keras")
    image = random_image(65, 83)
    assert np.array_equal(output(keras.saving.load_model(tmp_path / "model.keras"), image), output(model, image))


@pytest.mark.full
@pytest.mark.parametrize("name", TINY)
def test_a_decoder_on_a_backbone_is_saved_and_opened_again(name, tmp_path):
    model = randomize_weights(tfseg.Unet(TINY[name](), 3, filters=(8, 8, 8, 8, 8)))
    model.save(tmp_path / "model.keras")
    image = random_image(65, 83)
    scores = output(model, image)
    assert scores.shape == (1, 65, 83, 3)
    assert is_nonconstant(scores)
    assert np.array_equal(output(keras.saving.load_model(tmp_path / "model.keras"), image), scores)


@pytest.mark.quick_variants("mit")
@pytest.mark.parametrize("name", TINY)
def test_training_moves_every_weight(name):
    model = TINY[name](include_top=True, num_classes=3)
    before = {variable.path: np.array(variable) for variable in model.trainable_variables}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
    model.fit(images(64, 96, batch=2), np.array([0, 2]), epochs=1, verbose=0)
    after = {variable.path: np.array(variable) for variable in model.trainable_variables}
    assert all(np.isfinite(value).all() for value in after.values())
    unmoved = {path for path, value in after.items() if np.array_equal(value, before[path])}
    # The softmax takes no notice of what a key's bias adds to all pixels.
    assert not {path for path in unmoved if not path.endswith("key/bias")}


@pytest.mark.full
@pytest.mark.parametrize("name", TINY)
def test_a_segmenter_on_a_backbone_is_exported(name, tmp_path):
    """The export runs every artifact in the runtime of its users, and compares it with the model at several sizes."""
    model = fit_norms(randomize_weights(tfseg.FCN(TINY[name](), 3)))
    folder = tfseg.export(model, tmp_path / "exported", ("saved_model", "onnx", "litert_float32"))
    assert {path.name for path in folder.iterdir()} >= {"1", "model.onnx", "model_float32.tflite"}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: tfseg.MobileNetV3("medium"), r"A MobileNetV3 is 'large' or 'small'. Received: 'medium'"),
        (lambda: tfseg.MobileNetV2(output_stride=2), r"output_stride must be one of 32, 16, 8, 4. Received: 2"),
        (lambda: tfseg.EfficientNet("b8"), r"An EfficientNet is a name \(b0, .*tf_.*\) or an EfficientNetSpec.*'b8'"),
        (lambda: tfseg.EfficientNet(padding="valid"), r"padding must be 'symmetric', 'same', or the size .*'valid'"),
        (lambda: tfseg.EfficientNet(padding=0), r"padding must be .* Received: 0"),
        (lambda: tfseg.EfficientNet(padding=True), r"padding must be .* Received: True"),
        (lambda: tfseg.MiT("b6"), r"A MiT is a name \(b0, b1, .*\) or a MiTSpec. Received: 'b6'"),
        (lambda: tfseg.MiT(width=0), r"width multiplies every channel count"),
        (lambda: tfseg.HRNet("w20"), r"An HRNet is a name \(w18, .*\) or an HRNetSpec. Received: 'w20'"),
        (lambda: tfseg.HRNet(upsampling="cubic"), r"upsampling must be one of 'bilinear', .* Received: 'cubic'"),
        (lambda: tfseg.Xception("xception"), r"spec must be one of 'xception41', .* Received: 'xception'"),
        (lambda: tfseg.Xception(convention="half"), r"convention must be one of 'previous', .* Received: 'half'"),
        (lambda: tfseg.PreActivationResNet("resnet50"), r"A PreActivationResNet is a name \(preact_resnet18, .*"),
        (
            lambda: tfseg.ResNet(specs.ResNetSpec((1, 1, 1, 1), bottleneck=False, scales=4)),
            r"scales splits the 3x3 convolution of bottlenecks into two parts or more: .* Received: ResNetSpec",
        ),
    ],
)
def test_backbones_refuse(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bit", r"_gn\d' \(GroupNormalization\) .* cannot be dilated"),
        pytest.param("hrnet", r"_resize' \(ResizeLike\) .* cannot be dilated", marks=pytest.mark.full),
    ],
)
def test_dilate_refuses_what_reads_more_than_the_old_grid(name, message):
    """GroupNorm averages over all pixels; HRNet's branches interpolate between the pixels of each other."""
    with pytest.raises(ValueError, match=message):
        tfseg.dilate(TINY[name](), 8)


@pytest.mark.full
@pytest.mark.parametrize("name", TINY)
def test_every_variable_of_a_backbone_belongs_to_the_trunk(name):
    """What a warm start takes, and what learns slowly in recipes; the classifier's last layer is the head."""
    model = TINY[name](include_top=True, num_classes=3)
    head = {variable.path for variable in model.trainable_variables if not re.fullmatch(TRUNK, variable.path)}
    assert head == {"predictions/kernel", "predictions/bias"}
