"""What a file's name says: evidence among networks with the same tensors, and notes where it contradicts them."""

import dataclasses

import pytest
from helpers import checkpoints

import converters
from converters import ConversionError
from converters.downloads import published

PADDED, CEIL = "resnet50_caffe_padded", "resnet50_caffe_ceil"


@pytest.fixture(scope="module")
def state():
    return checkpoints.state("torchvision/resnet", width=1 / 16, include_top=True, num_classes=3)


@pytest.fixture(scope="module")
def small():
    return checkpoints.state("torchvision/resnet", "resnet18", width=1 / 16, include_top=True, num_classes=3)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    "name",
    [
        "resnetaa50.pth",
        "ResNetAA50_a1h.PTH",
        "resnet-aa-50.pt",
        "my_resnetaa50-best.pth.tar",
        "resnetaa50.a1h_in1k.pth",
    ],
)
def test_a_name_chooses_among_networks_with_the_same_tensors(tmp_path, state, name):
    model, receipt = converters.convert(checkpoints.save(tmp_path / name, state))
    assert (receipt.family, receipt.network, model.name) == ("timm/resnet", "resnetaa50", "resnetaa50")
    assert not receipt.notes
    identification = converters.identify(tmp_path / name)
    assert "the tensors also fit resnet50; the file name says resnetaa50" in identification.evidence
    assert any(other.startswith("torchvision/resnet resnet50: its 3x3 convolutions") for other in identification.others)


def test_a_blur_is_heard(tmp_path, small):
    path = checkpoints.save(tmp_path / "resnetblur18.pth", small)
    assert converters.identify(path).network == "resnetblur18"


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize(
    "name", ["resnet50.pth", "best.pth", "resnet50_caffe2.pth", "resnet50_caffemodel.pth", "x_aa.pth"]
)
def test_without_such_a_name_torchvisions_network_is_taken(tmp_path, state, name):
    model, receipt = converters.convert(checkpoints.save(tmp_path / name, state))
    assert (receipt.family, receipt.network, model.name) == ("torchvision/resnet", "resnet50", "resnet50")
    for double in ("resnetaa50", "resnetblur50", PADDED, CEIL):
        assert any(other.partition(":")[0].endswith(f" {double}") for other in receipt.others), double
    assert all(len(other.split()) <= 35 for other in receipt.others)


@pytest.mark.full
@pytest.mark.parametrize("name", ["resnet50_caffe.pth", "ResNet50-Caffe.pth", "cafferesnet50.pth", "resnet50_msra.pth"])
def test_caffe_is_two_networks(tmp_path, state, name):
    path = checkpoints.save(tmp_path / name, state)
    with pytest.raises(ConversionError, match=f"network='{PADDED}' or network='{CEIL}'") as caught:
        converters.convert(path)
    assert "open-mmlab/mmcv" in str(caught.value)
    assert "ruotianluo/pytorch-resnet" in str(caught.value)
    for network in (PADDED, CEIL):
        model, receipt = converters.convert(path, network=network)
        assert (model.name, receipt.network, receipt.notes) == (network, network, [])
    _, receipt = converters.convert(path, network=f"fcn_{CEIL}", num_classes=2)
    assert receipt.network == CEIL
    with pytest.raises(ConversionError, match=f"network='fcn_{PADDED}' or network='fcn_{CEIL}'"):
        converters.convert(path, network="fcn_resnet50", num_classes=2)
    assert converters.convert(path, family="ruotianluo/pytorch-resnet").receipt.network == CEIL
    assert any("resnet50_caffe_ceil" in other for other in converters.identify(path).others)


def test_a_name_with_the_whole_name_of_a_network_is_clear(tmp_path, state):
    assert converters.identify(checkpoints.save(tmp_path / f"{CEIL}.pth", state)).network == CEIL


@pytest.mark.full
def test_what_was_asked_for_is_built_and_the_name_is_noted(tmp_path, state):
    path = checkpoints.save(tmp_path / "resnetaa50.pth", state)
    model, receipt = converters.convert(path, network="resnet50")
    assert model.name == "resnet50"
    assert any("the file name says resnetaa50" in note for note in receipt.notes)
    receipt = converters.import_weights(model, path, network="resnet50")
    assert any("the file name says resnetaa50" in note for note in receipt.notes)


def test_a_label_is_stronger_than_the_name(tmp_path, state):
    path = checkpoints.save(tmp_path / "resnetaa50.pth", {"arch": "resnet50", "state_dict": state})
    _, receipt = converters.convert(path)
    assert receipt.network == "resnet50"
    assert any("its name says resnetaa50" in note for note in receipt.notes)


def test_a_published_hash_is_stronger_than_the_name(tmp_path, state, monkeypatch):
    """An unknown hash leaves mmcv's file name unclear; the published one says what it is."""
    path = checkpoints.save(tmp_path / "resnet50_caffe-788b5fa3.pth", state)
    with pytest.raises(ConversionError, match="its SHA-256 begins with"):
        converters.convert(path)
    digits = published.digest(path, "sha256")[:8]
    rows = [
        dataclasses.replace(row, hash=f"sha256:{digits}") if "788b5fa3" in row.name else row
        for row in published.PUBLISHED
    ]
    monkeypatch.setattr(published, "PUBLISHED", tuple(rows))
    assert converters.identify(path).network == PADDED


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("name", ["resnet101-63fe2227.pth", "ResNet-101.pth", "vgg19.pth", "fcn_resnet101.pth"])
def test_a_name_of_another_network_is_noted(tmp_path, state, name):
    _, receipt = converters.convert(checkpoints.save(tmp_path / name, state))
    assert receipt.network == "resnet50"
    said = "vgg19" if "vgg" in name else "fcn_resnet101" if "fcn" in name else "resnet101"
    assert any(f"its name says {said}, but its tensors are those of resnet50" in note for note in receipt.notes)


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize(
    "name", ["fcn_resnet50_trunk.pth", "resnet50.pth", "resnet50-20231224.pth", "net-00012000.pth"]
)
def test_names_that_contradict_nothing(tmp_path, state, name):
    _, receipt = converters.convert(checkpoints.save(tmp_path / name, state))
    assert receipt.notes == []


@pytest.mark.full
def test_digits_of_a_hash_are_compared(tmp_path, state):
    path = checkpoints.save(tmp_path / "resnet50-0676ba61.pth", state)
    _, receipt = converters.convert(path)
    assert any("ends with -0676ba61, but its SHA-256 begins with" in note for note in receipt.notes)
    right = path.rename(tmp_path / f"resnet50-{published.digest(path, 'sha256')[:8]}.pth")
    _, receipt = converters.convert(right)
    if right.stem[-8:].isdecimal():
        pytest.skip("all digits of the hash are decimal, as those of a date are")
    assert receipt.notes == []
    assert any("as its name says" in sentence for sentence in converters.identify(right).evidence)


def test_a_caffe_vgg_wants_bgr(tmp_path):
    path = checkpoints.save(tmp_path / "vgg16_caffe.pth", checkpoints.state("torchvision/vgg"))
    _, receipt = converters.convert(path)
    assert (receipt.family, receipt.network) == ("wkentaro/vgg16_from_caffe", "vgg16")
    assert receipt.preprocessing["channel_order"] == "BGR"
