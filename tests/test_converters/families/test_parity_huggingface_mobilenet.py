"""transformers' MobileNetV2 and its DeepLabV3 from the file alone, and from a folder with its configuration."""

import json

import numpy as np
import pytest
import torch
from helpers.references import images, output, randomized_state, relative
from helpers.torchvision_cpu import import_torchvision
from torch.nn.functional import interpolate

import converters
from converters import ConversionError
from converters.families.pytorch.huggingface_mobilenet import CLASSIFIER, DEEPLABV3

PUBLIC = "transformers"
TOLERANCE = 1e-5
SIZES = ((65, 97), (96, 128))


def published(kind="MobileNetV2ForSemanticSegmentation", **options):
    import_torchvision()
    transformers = pytest.importorskip("transformers")
    module = getattr(transformers, kind)(transformers.MobileNetV2Config(**({"num_labels": 7} | options)))
    return randomized_state(module).requires_grad_(False)


def worst(model, module, sizes=SIZES):
    differences = []
    for size in sizes:
        with torch.no_grad():
            logits = module(torch.from_numpy(images(*size).transpose(0, 3, 1, 2).copy())).logits
        if logits.ndim == 4:
            logits = interpolate(logits, size, mode="bilinear").permute(0, 2, 3, 1)
        differences.append(relative(output(model, images(*size)), logits))
    return max(differences)


@pytest.mark.full
def test_the_file_alone_has_output_stride_8(record):
    module = published(output_stride=8)
    model, receipt = converters.convert(module.state_dict())
    assert (receipt.family, receipt.network) == (DEEPLABV3.name, "deeplabv3_mobilenet_v2")
    assert any("it is 8, as in Google's files" in note for note in receipt.notes)
    difference = worst(model, module, SIZES[:1])
    record("deeplabv3_mobilenet_v2", difference)
    assert difference <= TOLERANCE


def test_the_model_without_a_head_gives_its_features(tmp_path, record):
    """Its keys have no prefix, and its configuration is heard beside a file of any name."""
    module = published("MobileNetV2Model", depth_multiplier=0.35, tf_padding=False, output_stride=16)
    module.save_pretrained(tmp_path / "hub")
    path = (tmp_path / "hub" / "model.safetensors").rename(tmp_path / "hub" / "street.safetensors")
    model, receipt = converters.convert(path)
    assert (receipt.family, receipt.options["include_top"]) == (CLASSIFIER.name, False)
    assert (receipt.options["padding"], receipt.options["output_stride"]) == ("symmetric", 16)
    pixels = images(*SIZES[0])
    with torch.no_grad():
        features = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).last_hidden_state
    difference = relative(output(model, pixels), features.permute(0, 2, 3, 1))
    record("mobilenet_v2, features, width 0.35", difference)
    assert difference <= TOLERANCE


@pytest.mark.full
@pytest.mark.parametrize("kind", ["MobileNetV2ForSemanticSegmentation", "MobileNetV2ForImageClassification"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"output_stride": 16, "depth_multiplier": 0.35},
        {"depth_multiplier": 1.4, "tf_padding": False, "layer_norm_eps": 1e-4},
    ],
)
def test_a_folder_says_how_it_computes(tmp_path, kind, options, record):
    module = published(kind, **options)
    module.save_pretrained(tmp_path / "hub")
    model, receipt = converters.convert(tmp_path / "hub")
    assert receipt.family == (DEEPLABV3.name if "Semantic" in kind else CLASSIFIER.name)
    difference = worst(model, module)
    record(f"{receipt.network}, width {options.get('depth_multiplier', 1)}", difference)
    assert difference <= TOLERANCE
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    source, back = converters.read(tmp_path / "hub"), converters.read(tmp_path / "back.safetensors")
    left = ("num_batches_tracked", "conv_1x1") if "Semantic" in kind else ("num_batches_tracked",)
    assert back.keys() == {key for key in source if not any(part in key for part in left)}
    assert all(np.array_equal(back[key], source[key]) for key in back)


@pytest.mark.full
def test_a_configuration_that_cannot_be_built_is_refused(tmp_path):
    published().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, message in (
        ({"hidden_act": "relu"}, r"hidden_act='relu': it is 'relu6' here"),
        ({"output_stride": 4}, r"output_stride=4: it is one of 8, 16, 32"),
        (
            {"architectures": ["MobileNetV2Model"]},
            r"says MobileNetV2Model of transformers.* the tensors, or what was asked for, are deeplabv3_mobilenet_v2",
        ),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ConversionError, match=message):  # `convert` then runs the code of transformers
            converters.identify(tmp_path)
