"""SegFormer and its MiT from the file alone: as transformers and as the authors name and compute them."""

import json

import numpy as np
import pytest
import torch
from helpers import segformer_twin
from helpers.references import images, output, randomized_state, relative, torch_output
from helpers.torchvision_cpu import import_torchvision
from torch.nn.functional import interpolate

import converters
import tfseg
from converters import ConversionError
from converters.families.pytorch.segformer import MIT, NVLABS, NVLABS_MIT, SEGFORMER
from tfseg import specs

PUBLIC = "transformers, the authors' names in a twin"
TOLERANCE = 1e-5
SIZES = ((64, 97), (96, 128))
QUICK = "mit_b0"
EVERY_SIZE = [pytest.param(name, marks=() if name == QUICK else pytest.mark.full) for name in specs.MITS]


def published(kind, size=QUICK, **options):
    import_torchvision()
    transformers = pytest.importorskip("transformers")
    spec = specs.MITS[size]
    numbers = {"depths": list(spec.blocks), "hidden_sizes": list(spec.filters), "num_labels": 7}
    config = transformers.SegformerConfig(**(numbers | options))
    return randomized_state(getattr(transformers, kind)(config)).requires_grad_(False)


def enlarged(module, pixels):
    """The logits of a module at the size of the image."""
    with torch.no_grad():
        result = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
    logits = result if isinstance(result, torch.Tensor) else result.logits
    return interpolate(logits, pixels.shape[1:3], mode="bilinear").permute(0, 2, 3, 1)


def worst(model, module, sizes=SIZES):
    return max(relative(output(model, images(*size)), enlarged(module, images(*size))) for size in sizes)


@pytest.mark.parametrize("size", EVERY_SIZE)
def test_segmenters_are_transformers(size, record):
    module = published("SegformerForSemanticSegmentation", size, decoder_hidden_size=48)
    model, receipt = converters.convert(module.state_dict())
    assert (receipt.family, receipt.network) == (SEGFORMER.name, f"segformer_{size}")
    difference = worst(model, module, SIZES[: 1 if size == QUICK else 2])
    record(f"SegFormer on {size}", difference)
    assert difference <= TOLERANCE


@pytest.mark.full
@pytest.mark.parametrize("size", specs.MITS)
def test_classifiers_are_transformers(size, record):
    module = published("SegformerForImageClassification", size)
    model, receipt = converters.convert(module.state_dict())
    assert (receipt.family, receipt.network) == (MIT.name, size)
    for shape in SIZES:
        with torch.no_grad():
            expected = module(torch.from_numpy(images(*shape).transpose(0, 3, 1, 2).copy())).logits
        difference = relative(output(model, images(*shape)), expected)
        record(size, difference)
        assert difference <= TOLERANCE


@pytest.mark.full
def test_every_layer_is_transformers():
    module = published("SegformerForSemanticSegmentation")
    model, _ = converters.convert(module)
    for size in SIZES:
        comparison = converters.compare(model, module, images(*size))
        assert {row.layer for row in comparison} >= {layer.name for layer in model.layers if layer.weights}
        comparison.assert_close(TOLERANCE)


@pytest.mark.full
def test_a_folder_has_the_names_of_published_files_and_its_configuration(tmp_path):
    names = {0: "road", 1: "sky"}
    labels = {"num_labels": 2, "id2label": names, "label2id": {"road": 0, "sky": 1}}
    module = published("SegformerForSemanticSegmentation", **labels)
    module.save_pretrained(tmp_path / "hub")
    numbers = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2]}
    (tmp_path / "hub" / "preprocessor_config.json").write_text(json.dumps(numbers))
    model, receipt = converters.convert(tmp_path / "hub")
    assert (receipt.family, receipt.network) == (SEGFORMER.name, "segformer_mit_b0")
    assert tfseg.metadata(model)["classes"] == ["road", "sky"]
    assert tuple(receipt.preprocessing["mean"]) == (0.5, 0.4, 0.3)
    assert worst(model, module, SIZES[:1]) <= TOLERANCE
    source = converters.read(tmp_path / "hub")
    assert "segformer.encoder.block.0.0.attention.self.query.weight" in source
    converters.export_weights(model, tmp_path / "back.safetensors", family=SEGFORMER.name)
    back = converters.read(tmp_path / "back.safetensors")
    assert back.keys() == {key for key in source if not key.endswith("num_batches_tracked")}
    assert all(np.array_equal(back[key], source[key]) for key in back)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": [1, 2, 4, 8]}, r"num_attention_heads \[1, 2, 4, 8\].*not known here"),
        ({"hidden_act": "relu"}, r"hidden_act 'relu'.*not known here"),
        ({"reshape_last_stage": False}, "reshape_last_stage=false"),
        ({"architectures": ["SegformerForDepth"]}, "architectures="),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(tmp_path, change, message):
    published("SegformerForSemanticSegmentation").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ConversionError, match=rf"config.json says.*{message}"):
        converters.identify(tmp_path)


@pytest.mark.full
def test_the_trunk_alone_gives_the_last_map(tmp_path):
    module = published("SegformerModel")
    module.save_pretrained(tmp_path)
    model, receipt = converters.convert(tmp_path)
    assert receipt.network == "mit_b0"
    pixels = images(64, 97)
    with torch.no_grad():
        expected = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).last_hidden_state.permute(0, 2, 3, 1)
    assert relative(output(model, pixels), expected) <= TOLERANCE


@pytest.mark.full
@pytest.mark.parametrize("size", specs.MITS)
def test_the_authors_files(size, tmp_path, record):
    module = randomized_state(segformer_twin.SegFormer(size, filters=48)).requires_grad_(False)
    torch.save({"meta": {"epoch": 3}, "state_dict": module.state_dict()}, tmp_path / f"segformer.{size}.pth")
    model, receipt = converters.convert(tmp_path / f"segformer.{size}.pth")
    assert (receipt.family, receipt.network) == (NVLABS.name, f"segformer_{size}")
    difference = worst(model, module)
    record(f"the authors' SegFormer on {size}", difference)
    assert difference <= TOLERANCE
    classifier = randomized_state(segformer_twin.MiT(size)).requires_grad_(False)
    model, receipt = converters.convert(classifier.state_dict())
    assert (receipt.family, receipt.network) == (NVLABS_MIT.name, size)
    difference = relative(output(model, images(64, 97)), torch_output(classifier, images(64, 97)))
    record(f"the authors' {size}", difference)
    assert difference <= TOLERANCE


@pytest.mark.full
def test_export_of_the_authors_names_is_bit_identical(tmp_path):
    module = randomized_state(segformer_twin.SegFormer(QUICK, filters=48))
    model, _ = converters.convert(module.state_dict())
    converters.export_weights(model, tmp_path / "back.pth", family=NVLABS.name)
    back, state = torch.load(tmp_path / "back.pth", weights_only=True), module.state_dict()
    assert back.keys() == {key for key in state if "num_batches" not in key and "conv_seg" not in key}
    assert all(torch.equal(back[key], state[key]) for key in back)


@pytest.mark.full
def test_a_copy_with_another_epsilon_is_not_taken_for_the_authors():
    state = segformer_twin.SegFormer(QUICK, filters=48).state_dict()
    copy = {key: value for key, value in state.items() if "conv_seg" not in key}
    with pytest.raises(ConversionError, match=r"has no decode_head.conv_seg.weight"):
        converters.convert(copy)
