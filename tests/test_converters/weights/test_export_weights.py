"""export_weights: torch -> Keras -> torch, bit by bit, in every family."""

import sys

import numpy as np
import pytest
import torch
from helpers import checkpoints
from helpers.references import images, torchfcn_net, torchvision_net

import converters
import tfseg
from converters import ConversionError
from converters.families import FAMILIES

PUBLIC = {
    "torchvision/vgg": lambda: torchvision_net("vgg11_bn", num_classes=5),
    "torchvision/resnet": lambda: torchvision_net("resnet18"),
    "torchvision/segmentation": lambda: torchvision_net("fcn_resnet50", aux_loss=True, num_classes=21),
    "wkentaro/pytorch-fcn": lambda: torchfcn_net("FCN16s", width=1 / 16),
}


@pytest.mark.quick_variants("torchvision/resnet-safetensors")
@pytest.mark.parametrize("suffix", ["safetensors", pytest.param("pth", marks=pytest.mark.full)])
@pytest.mark.parametrize("family", PUBLIC)
def test_public_module_gets_identical_weights_back(tmp_path, family, suffix):
    module = PUBLIC[family]()
    model, _ = converters.convert(module, aux=True if "segmentation" in family else None)
    path = tmp_path / f"back.{suffix}"
    receipt = converters.export_weights(model, path, family=family)
    if suffix == "pth":
        back = torch.load(path, weights_only=True)
    else:
        from safetensors.torch import load_file

        back = load_file(path)
    expected = {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert back.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(back[key], value), key
    assert {tensor["key"] for tensor in receipt.tensors} == set(expected)
    other = PUBLIC[family]()
    for parameter in other.parameters():
        parameter.data.zero_()
    other.load_state_dict(back, strict=True)
    pixels = images(65, 83)

    def result(net):
        with torch.no_grad():
            out = net(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
        return out["out"] if isinstance(out, dict) else out

    assert torch.equal(result(other), result(module))


@pytest.mark.full
def test_first_family_in_the_documented_order_is_written(tmp_path):
    for family, (name, options) in checkpoints.BUILDS.items():
        receipt = converters.export_weights(checkpoints.model(name, **options), tmp_path / f"{name}.safetensors")
        assert (receipt.family, receipt.network) == (family, name)
        again, _ = converters.convert(
            tmp_path / f"{name}.safetensors", aux=True if "resnet50" in name and "fcn" in name else None
        )
        for variable, original in zip(again.weights, checkpoints.model(name, **options).weights, strict=True):
            np.testing.assert_array_equal(variable, original)


def test_half_precision_round_trip(tmp_path):
    state = {key: value.astype("float16") for key, value in checkpoints.state("torchvision/resnet").items()}
    model, _ = converters.convert(state)
    converters.export_weights(model, tmp_path / "half.safetensors", dtype="float16")
    back = converters.read(tmp_path / "half.safetensors")
    assert all(np.array_equal(back[key], value) and back[key].dtype == value.dtype for key, value in state.items())


def resnet50():
    return checkpoints.model("resnet50", **checkpoints.BUILDS["torchvision/resnet"][1])


@pytest.mark.parametrize(
    ("model", "family", "message"),
    [
        (resnet50, "torchvision/vgg", r"No network of torchvision/vgg is like the model 'resnet50'"),
        (resnet50, "caffe", r"The families known here are .*tfseg/paths\. Received: family='caffe'"),
        (
            lambda: tfseg.VGG(13, width=1 / 16),
            "wkentaro/vgg16_from_caffe",
            r"Nearest: vgg16: the model conv3 has 2 convolutions instead of 3",
        ),
    ],
)
def test_model_of_another_family_is_refused(tmp_path, model, family, message):
    with pytest.raises(ConversionError, match=message):
        converters.export_weights(model(), tmp_path / "a.safetensors", family=family)
    assert list(tmp_path.iterdir()) == []


def test_export_accepts_a_family_record(tmp_path):
    receipt = converters.export_weights(resnet50(), tmp_path / "a.safetensors", family=FAMILIES["timm/resnet"])
    assert receipt.family == "timm/resnet"


def test_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ConversionError, match=r"written as .safetensors, .pth, .pt or .caffemodel"):
        converters.export_weights(resnet50(), tmp_path / "a.h5")


def test_existing_file_is_kept(tmp_path):
    path = tmp_path / "old.safetensors"
    path.write_text("old")
    with pytest.raises(ConversionError, match="exists already"):
        converters.export_weights(resnet50(), path)
    assert path.read_text() == "old"


def test_pth_without_torch_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConversionError, match=r'pip install "tfseg\[torch\]"'):
        converters.export_weights(resnet50(), tmp_path / "a.pth")
    assert list(tmp_path.iterdir()) == []


def test_the_family_is_that_of_the_function(tmp_path):
    """Two FCNs with the same tensors enlarge their logits otherwise."""
    usual, aligned = (
        tfseg.build("fcn_resnet50", num_classes=3, width=1 / 16, upsampling=upsampling)
        for upsampling in ("bilinear", "bilinear_align_corners")
    )
    assert converters.export_weights(usual, tmp_path / "a.safetensors").family == "torchvision/segmentation"
    receipt = converters.export_weights(aligned, tmp_path / "b.safetensors")
    again, _ = converters.convert(tmp_path / "b.safetensors", family=receipt.family)
    image = images(65, 65)
    np.testing.assert_allclose(again(image), aligned(image), atol=1e-6)
    with pytest.raises(ConversionError, match=rf"computes {receipt.family} .*family='torchvision/segmentation'"):
        converters.export_weights(aligned, tmp_path / "c.safetensors", family="torchvision/segmentation")
    assert not (tmp_path / "c.safetensors").exists()


def test_a_network_that_cannot_be_compared_is_not_chosen(tmp_path, monkeypatch):
    """The usual network differs, and the other one with these tensors cannot be built of its options."""
    replies = iter([["epsilon of bn is 1e-3, not 1e-5"], *[None] * 50])
    monkeypatch.setattr("converters.weights.foreign_weights.differences", lambda *_: next(replies))
    model = tfseg.build("fcn_resnet50", num_classes=3, width=1 / 16)
    assert converters.export_weights(model, tmp_path / "a.safetensors").family == "torchvision/segmentation"


@pytest.mark.full
@pytest.mark.parametrize(
    ("family", "options"), [("torchvision/efficientnet", {}), ("timm/efficientnet", {"epsilon": 1e-5})]
)
def test_the_epsilon_tells_the_family_of_an_efficientnet(tmp_path, family, options):
    model = tfseg.EfficientNet("b5", include_top=True, num_classes=3, **options)
    assert converters.export_weights(model, tmp_path / "a.safetensors").family == family
    assert converters.export_weights(model, tmp_path / "b.safetensors", family=family).family == family
    other = {"torchvision/efficientnet": "timm/efficientnet"}.get(family, "torchvision/efficientnet")
    with pytest.raises(ConversionError, match=rf"computes {family} .*epsilon of .* is .*family='{family}'"):
        converters.export_weights(model, tmp_path / "c.safetensors", family=other)
