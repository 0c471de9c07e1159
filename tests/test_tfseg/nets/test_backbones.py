"""The light and newer backbones compute what the public networks compute: every pixel of the last map, and the logits."""

import functools

import keras
import numpy as np
import pytest
from helpers.backbones import (
    CLASSES,
    FULL,
    SMALL,
    mobilenet_v3,
    timm_features,
    timm_pair,
    torch_map,
    torchvision_features,
    with_last_map,
)
from helpers.references import filled_module, images, output, randomize, randomized_state, relative, torch_output
from helpers.smp_decoders import fill, smp
from helpers.torchvision_cpu import import_torchvision

import tfseg
from converters.families.further_trunks import resnetv2
from converters.families.light_trunks import counted_efficientnet
from tfseg import specs

PUBLIC = "torchvision's, timm's, transformers' and other public backbones"


def assert_equal(pair, record, name, sizes=((64, 64), (65, 83)), **options):
    """Compares the last map and the logits of a pair at some sizes."""
    module = pair.public(**options)
    model = with_last_map(fill(pair.ours(include_top=True, num_classes=CLASSES, **options), module, pair.names))
    for height, width in sizes if pair.multiple == 1 else ((64, 64), (96, 64)):
        pixels = images(height, width)
        references = torch_map(pair.features, module, pixels), torch_output(module, pixels)
        for ours, reference in zip(output(model, pixels), references, strict=True):
            record(name, relative(ours, reference))
            assert relative(ours, reference) <= 1e-5


@pytest.mark.quick_variants(3)
@pytest.mark.parametrize("name", SMALL)
def test_backbone_is_the_public_network(name, record):
    assert_equal(SMALL[name], record, name, sizes=((64, 96), (65, 83)) if name == "tf_efficientnet" else ((65, 83),))


@pytest.mark.full
@pytest.mark.parametrize("name", FULL)
def test_backbone_of_full_size_is_the_public_network(name, record):
    assert_equal(FULL[name], record, name)


@pytest.mark.full
@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(
    "name", ["xception41", "tf_efficientnet_b1", "resnetv2_50", "res2net50_26w_4s", "resnetrs50", "resnet50_clip"]
)
def test_dilated_backbone_is_timms(name, output_stride, record):
    """timm keeps the rate of the layer that lost its stride: convention "previous"."""
    assert_equal(FULL[name], record, f"{name} of stride {output_stride}", output_stride=output_stride)


@pytest.mark.parametrize(("output_stride", "kept"), [(16, False), (8, True)])
def test_clip_keeps_the_pooling_of_a_shortcut_after_a_dilated_stage(output_stride, kept):
    """timm's rule; without it the map is another one by half of its size, with the same weights."""
    names = {layer.name for layer in tfseg.ResNet("resnet50_clip", output_stride=output_stride, width=1 / 16).layers}
    assert ("conv5_block1_0_pool" in names) is kept


@pytest.mark.full
def test_dilated_mobilenet_v3_is_torchvisions(record):
    """torchvision's backbone of DeepLabV3 and LRASPP: stride 16, and the new rate where the stride was."""
    torchvision = import_torchvision()
    module = filled_module(
        lambda: torchvision.models.mobilenet_v3_large(weights=None, num_classes=CLASSES, dilated=True), 0, 1.0
    )
    model = tfseg.MobileNetV3("large", output_stride=16, convention="new", include_top=True, num_classes=CLASSES)
    fill(model, module, mobilenet_v3("mobilenet_v3_large"))
    pixels = images(64, 81)
    difference = relative(output(with_last_map(model), pixels)[0], torch_map(torchvision_features, module, pixels))
    record("dilated mobilenet_v3_large", difference)
    assert difference <= 1e-5


@pytest.mark.full
@pytest.mark.parametrize("index", range(8))
def test_efficientnet_of_segmentation_models_pads_for_one_size(index, record):
    """Its padding is TensorFlow's for the images of its training, at every other size, too: B1's changes sides."""
    name = f"efficientnet-b{index}"
    module = randomized_state(smp().encoders.get_encoder(name, weights=None)).requires_grad_(False)
    size = specs.EFFICIENTNET_SIZES[index]
    spec = f"tf_efficientnet_b{index}"
    model = tfseg.EfficientNet(spec, padding=size, top_conv=False)
    # The module has one more pair of layers, after the last map that a decoder reads.
    kept = {key: value for key, value in module.state_dict().items() if not key.startswith(("_conv_head", "_bn1"))}
    fill(model, _State(kept), counted_efficientnet(specs.EFFICIENTNETS[spec]))
    for height, width in ((64, 96), (96, 64)):
        pixels = images(height, width)
        difference = relative(
            output(model, pixels), torch_map(lambda encoder, image: encoder(image)[-1], module, pixels)
        )
        record(name, difference)
        assert difference <= 1e-5


class _State:
    """Tensors with the method by which a module gives its own."""

    def __init__(self, tensors):
        self.tensors = tensors

    def state_dict(self):
        return self.tensors


@pytest.mark.full
def test_mit_of_segmentation_models_has_the_authors_epsilons(record):
    """Its keys and values are one layer, which is two of ours."""
    module = randomized_state(smp().encoders.get_encoder("mit_b0", weights=None)).requires_grad_(False)
    state = {}
    for key, value in module.state_dict().items():
        for part, half in zip(("k", "v"), value.chunk(2), strict=True) if ".kv." in key else [("", value)]:
            state[key.replace(".kv.", f".{part}.")] = half
    names = []
    for stage in range(1, 5):
        block, target = f"block{stage}.{{b}}", f"stage{stage}_block{{b+1}}"
        names += [
            (f"patch_embed{stage}.proj", f"stage{stage}_patch_conv", "conv"),
            (f"patch_embed{stage}.norm", f"stage{stage}_patch_norm", "norm"),
            (f"norm{stage}", f"stage{stage}_norm", "norm"),
            (f"{block}.norm{{i}}", f"{target}_{{i}}_norm", "norm"),
            (f"{block}.attn.q", f"{target}_attention_query", "dense"),
            (f"{block}.attn.k", f"{target}_attention_key", "dense"),
            (f"{block}.attn.v", f"{target}_attention_value", "dense"),
            (f"{block}.attn.proj", f"{target}_attention_out", "dense"),
            (f"{block}.attn.sr", f"{target}_attention_reduce_conv", "conv"),
            (f"{block}.attn.norm", f"{target}_attention_reduce_norm", "norm"),
            (f"{block}.mlp.fc{{i}}", f"{target}_mlp_{{i}}", "dense"),
            (f"{block}.mlp.dwconv.dwconv", f"{target}_mlp_dwconv", "depthwise"),
        ]
    model = fill(tfseg.MiT("b0"), _State(state), names)
    maps = keras.Model(model.input, [*tfseg.last_maps(model).values()])
    for height, width in ((64, 64), (96, 160)):
        pixels = images(height, width)
        for index, ours in enumerate(output(maps, pixels), 2):
            reference = torch_map(lambda encoder, image, index=index: encoder(image)[index], module, pixels)
            record("mit_b0 of smp", relative(ours, reference))
            assert relative(ours, reference) <= 1e-5


@pytest.mark.full
@pytest.mark.parametrize("upsampling", ["bilinear", "bilinear_align_corners"])
def test_hrnet_of_segmenters_enlarges_bilinearly(upsampling, record):
    """The authors' segmenters: bilinear exchange, and the four maps concatenated at the finest one's size."""
    import torch

    pair = SMALL["hrnet"]
    module = pair.public()
    for part in module.modules():
        if isinstance(part, torch.nn.Upsample):
            part.mode, part.align_corners = "bilinear", upsampling == "bilinear_align_corners"

    def concatenated(network, image):
        x = network.act1(network.bn1(network.conv1(image)))
        finest, *coarser = network.stages(network.act2(network.bn2(network.conv2(x))))
        resize = functools.partial(
            torch.nn.functional.interpolate,
            size=finest.shape[2:],
            mode="bilinear",
            align_corners=upsampling == "bilinear_align_corners",
        )
        return torch.cat([finest, *map(resize, coarser)], 1)

    filled = fill(pair.ours(include_top=True, num_classes=CLASSES), module, pair.names)
    model = pair.ours(upsampling=upsampling)
    values = {variable.path: variable for variable in filled.variables}
    for variable in model.variables:
        variable.assign(values[variable.path])
    pixels = images(96, 64)
    difference = relative(output(model, pixels), torch_map(concatenated, module, pixels))
    record(f"hrnet, {upsampling}", difference)
    assert difference <= 1e-5


@pytest.mark.full
@pytest.mark.parametrize("name", ["resnetv2_50x1_bit", "resnetv2_101x1_bit", "resnetv2_50x3_bit", "resnetv2_152x2_bit"])
def test_big_transfer_is_timms(name, record):
    """GroupNorms of few pixels add up roundings: the reference in double precision is as far from ours as from itself."""
    pair = timm_pair(functools.partial(tfseg.PreActivationResNet, name), name, resnetv2(group_norm=True))
    module = pair.public()
    model = fill(pair.ours(include_top=True, num_classes=CLASSES), module, pair.names)
    for height, width in ((128, 128), (97, 129)):
        pixels = images(height, width)
        ours, reference = output(with_last_map(model), pixels)[0], torch_map(timm_features, module, pixels)
        exact = torch_map(lambda network, image: timm_features(network, image.double()), module.double(), pixels)
        module.float()
        record(name, relative(ours, exact))
        assert relative(ours, exact) <= max(1e-5, min(1.5 * relative(reference, exact), 3e-5))


@pytest.mark.parametrize("depth", [18, pytest.param(50, marks=pytest.mark.full)])
def test_preactivation_resnet_is_qubvels(depth, record):
    """Names and values of `classification_models`, where that package is installed."""
    resnet = pytest.importorskip("classification_models.models.resnet")
    modules = {"backend": keras.backend, "layers": keras.layers, "models": keras.models, "utils": keras.utils}
    build = getattr(resnet, f"ResNet{depth}")
    reference = randomize(build(input_shape=(None, None, 3), weights=None, include_top=False, **modules))
    model = tfseg.PreActivationResNet(f"preact_resnet{depth}")
    values = {variable.path: variable for variable in reference.variables}
    assert {variable.path for variable in model.variables} == set(values)
    for variable in model.variables:
        variable.assign(values[variable.path])
    for height, width in ((64, 64), (65, 83)):
        difference = relative(output(model, images(height, width)), output(reference, images(height, width)))
        record(f"preact_resnet{depth}", difference)
        assert difference <= 1e-5


@pytest.mark.full
def test_efficientnet_has_the_names_and_values_of_keras_applications():
    """Keras pads for images of unknown size as for even ones, which is the padding for 1024 pixels."""
    whole = randomize(keras.applications.EfficientNetB0(weights=None, include_top=False))
    reference = keras.Model(whole.get_layer("stem_conv_pad").input, whole.output)
    model = tfseg.EfficientNet("tf_efficientnet_b0", padding=1024)
    values = {variable.path: variable for variable in reference.variables if "seed" not in variable.path}
    assert {variable.path for variable in model.variables if "seed" not in variable.path} == set(values)
    for path, value in values.items():
        next(variable for variable in model.variables if variable.path == path).assign(value)
    for height, width in ((64, 64), (65, 83)):
        pixels = images(height, width)
        assert relative(output(model, pixels), np.asarray(reference(pixels, training=False))) <= 1e-5
