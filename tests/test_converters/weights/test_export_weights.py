"""The way back: torch -> Keras -> torch, bit by bit, in every family."""

import numpy as np
import pytest
import torch
from helpers import checkpoints
from helpers.references import images, torchfcn_net, torchvision_net

import converters
import tfseg
from converters import ConversionError

PUBLIC = {
    "torchvision/vgg": lambda: torchvision_net("vgg11_bn", num_classes=5),
    "torchvision/resnet": lambda: torchvision_net("resnet18"),
    "torchvision/segmentation": lambda: torchvision_net("fcn_resnet50", aux_loss=True, num_classes=21),
    "wkentaro/pytorch-fcn": lambda: torchfcn_net("FCN16s", width=1 / 16),
}


@pytest.mark.parametrize("suffix", ["safetensors", pytest.param("pth", marks=pytest.mark.full)])
@pytest.mark.parametrize("family", PUBLIC)
def test_the_public_module_gets_its_own_bits_back(tmp_path, family, suffix):
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


def test_the_first_family_that_fits_is_taken(tmp_path):
    for family, (name, options) in checkpoints.BUILDS.items():
        receipt = converters.export_weights(checkpoints.model(name, **options), tmp_path / f"{name}.safetensors")
        assert (receipt.family, receipt.network) == (family, name)
        again, _ = converters.convert(
            tmp_path / f"{name}.safetensors", aux=True if "resnet50" in name and "fcn" in name else None
        )
        for ours, theirs in zip(again.weights, checkpoints.model(name, **options).weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_half_precision_comes_back_as_half_precision(tmp_path):
    state = {key: value.astype("float16") for key, value in checkpoints.state("torchvision/resnet").items()}
    model, _ = converters.convert(state)
    converters.export_weights(model, tmp_path / "half.safetensors", dtype="float16")
    back = converters.read(tmp_path / "half.safetensors")
    assert all(np.array_equal(back[key], value) and back[key].dtype == value.dtype for key, value in state.items())


def test_refusals(tmp_path, monkeypatch):
    model = checkpoints.model("resnet50", **checkpoints.BUILDS["torchvision/resnet"][1])
    with pytest.raises(ConversionError, match=r"No network of torchvision/vgg is like the model 'resnet50'"):
        converters.export_weights(model, tmp_path / "a.safetensors", family="torchvision/vgg")
    with pytest.raises(ConversionError, match="The families known here are"):
        converters.export_weights(model, tmp_path / "a.safetensors", family="caffe")
    with pytest.raises(ConversionError, match=r"written as .safetensors, .pth, .pt or .caffemodel"):
        converters.export_weights(model, tmp_path / "a.h5")
    (tmp_path / "old.safetensors").write_text("old")
    with pytest.raises(ConversionError, match="exists already"):
        converters.export_weights(model, tmp_path / "old.safetensors")
    assert (tmp_path / "old.safetensors").read_text() == "old"
    vgg13 = tfseg.VGG(13, width=1 / 16)
    with pytest.raises(ConversionError, match=r"10 convolutions"):
        converters.export_weights(vgg13, tmp_path / "a.safetensors", family="wkentaro/vgg16_from_caffe")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ConversionError, match=r'pip install "tfseg\[torch\]"'):
        converters.export_weights(model, tmp_path / "a.pth")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.safetensors"]
