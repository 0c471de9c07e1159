"""Converted networks compute what segmentation_models.pytorch's decoders do, from the tensors alone."""

import re

import numpy as np
import pytest
import torch
from helpers.references import filled_module, images, output, relative, torch_output
from helpers.torchvision_cpu import import_torchvision

import converters
from converters import ConversionError
from converters.families.pytorch.smp import SMP
from converters.families.pytorch.smp_decoders import DECODERS

PUBLIC = "segmentation_models_pytorch"
TOLERANCE = 1e-5
NARROW = (32, 16, 16, 8, 8)
# Options of the public class that its tensors tell.
OPTIONS = [
    ("Unet", {}),
    ("Unet", {"decoder_channels": (48, 32, 16, 16, 16), "decoder_attention_type": "scse"}),
    ("Unet", {"decoder_channels": NARROW, "in_channels": 1, "aux_params": {"classes": 3}}),
    ("UnetPlusPlus", {}),
    ("UnetPlusPlus", {"decoder_channels": (48, 32, 16, 16, 16), "decoder_attention_type": "scse"}),
    ("Linknet", {}),
    ("FPN", {}),
    ("FPN", {"decoder_merge_policy": "cat", "decoder_pyramid_channels": 64, "decoder_segmentation_channels": 32}),
    ("MAnet", {}),
    ("MAnet", {"decoder_channels": NARROW, "decoder_pab_channels": 12}),
    ("PAN", {"decoder_channels": 16}),
    ("UPerNet", {"decoder_channels": 32}),
    ("Segformer", {"decoder_segmentation_channels": 32}),
]
TITLES = {decoder.public: title for title, decoder in DECODERS.items()}


def net(decoder, encoder="resnet18", **options):
    import_torchvision()
    smp = pytest.importorskip("segmentation_models_pytorch")
    return filled_module(
        getattr(smp, decoder), 0, 1.0, encoder_name=encoder, encoder_weights=None, **{"classes": 5} | options
    )


def check(decoder, encoder, options, record):
    module = net(decoder, encoder, **options)
    model, receipt = converters.convert(dict(module.state_dict()))
    assert (receipt.family, receipt.network) == (SMP.name, f"{TITLES[decoder]}_{encoder}")
    assert model.output_shape[-1] == 5
    module.classification_head = None
    for size in ((128, 160), (192, 128)):
        pixels = images(*size, channels=options.get("in_channels", 3))
        difference = relative(output(model, pixels), torch_output(module, pixels))
        record(f"{decoder} on {encoder}", difference)
        assert difference <= TOLERANCE


@pytest.mark.quick_variants("FPN-options6")
@pytest.mark.parametrize(("decoder", "options"), OPTIONS)
def test_every_decoder_on_the_smallest_encoder(decoder, options, record):
    check(decoder, "resnet18", options, record)


@pytest.mark.full
@pytest.mark.parametrize("encoder", ["resnet34", "resnet50", "resnet101", "resnext50_32x4d", "resnext101_32x8d"])
@pytest.mark.parametrize("decoder", TITLES)
def test_every_encoder(decoder, encoder, record):
    check(decoder, encoder, {}, record)


@pytest.mark.full
@pytest.mark.parametrize("encoder", ["vgg11", "vgg16_bn"])
@pytest.mark.parametrize("decoder", [title for title in TITLES if title != "PAN"])
def test_every_decoder_on_vgg(decoder, encoder, record):
    check(decoder, encoder, {}, record)


@pytest.mark.full
@pytest.mark.parametrize("decoder", TITLES)
def test_export_is_bit_identical(tmp_path, decoder):
    module = net(decoder)
    model, _ = converters.convert(dict(module.state_dict()))
    converters.export_weights(model, tmp_path / "back.pth", family=SMP.name)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    expected = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[key], value) for key, value in expected.items())
    again, _ = converters.convert(tmp_path / "back.pth")
    for ours, reference in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, reference)


@pytest.mark.full
def test_a_live_module_is_compared_and_layers_too():
    module = net("Unet")
    model, receipt = converters.convert(module)
    assert (receipt.family, receipt.network) == (SMP.name, "unet_resnet18")
    comparison = converters.compare(model, module, images(64, 96))
    assert {row.layer for row in comparison} == {layer.name for layer in model.layers if layer.weights} | set(
        model.output_names
    )
    comparison.assert_close(TOLERANCE)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("decoder", "options", "message"),
    [
        ("Unet", {"decoder_use_norm": False}, r"Missing: \d+\s+decoder.blocks.0.conv1.1.weight"),
        ("Unet", {"encoder_depth": 4, "decoder_channels": NARROW[1:]}, r"Unet has 5 steps on this backbone"),
        ("FPN", {"encoder_depth": 4}, r"Wrong shape: 3\s+decoder.p5.weight"),
    ],
)
def test_what_is_not_built_is_refused(decoder, options, message):
    state = dict(net(decoder, **options).state_dict())
    with pytest.raises(ConversionError, match=re.compile(message, re.DOTALL)):
        converters.convert(state)


def test_what_the_tensors_do_not_tell_is_said_unless_something_else_tells(tmp_path):
    said = "the tensors do not tell how the decoder enlarges maps"
    module = net("Unet", decoder_channels=NARROW)
    module.save_pretrained(tmp_path)
    assert said in str(converters.convert(dict(module.state_dict()))[1])
    for source in (tmp_path, module):
        assert said not in str(converters.convert(source)[1])


@pytest.mark.full
def test_a_live_module_with_another_interpolation_is_not_taken_for_the_default(record):
    module = net("Unet", decoder_channels=NARROW, decoder_interpolation="bilinear")
    model, _ = converters.convert(module)
    difference = relative(output(model, images(64, 96)), torch_output(module, images(64, 96)))
    record("Unet, bilinear, on resnet18", difference)
    assert difference <= TOLERANCE


def test_the_trunk_alone_has_no_decoder():
    state = {key: value for key, value in net("Unet").state_dict().items() if key.startswith("encoder.")}
    candidates = converters.identify(state)
    assert not candidates.network.startswith(tuple(DECODERS))
