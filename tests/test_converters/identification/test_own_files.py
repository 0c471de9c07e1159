"""The files of tfseg: safetensors whose header says which network they hold, and `.keras` files."""

import json

import numpy as np
import pytest
from helpers import checkpoints
from helpers.references import images, output

import converters
import tfseg
from converters import ConversionError
from converters.conversion.save import save
from converters.families import FAMILIES
from converters.weights.foreign_weights import foreign_weights
from tfseg.exporting.safetensors import write_safetensors

STATE = ("torchvision/segmentation", "fcn_resnet18")


@pytest.fixture(scope="module")
def converted():
    return converters.convert(checkpoints.state(*STATE, num_classes=11, width=1 / 8, aux=True))


def family_state(family, network):
    """Random weights of a family's network, in the form that the family gives it."""
    record = FAMILIES[family]
    options = {**record.options, **record.network(network).options, "width": 1 / 16}
    return dict(foreign_weights(checkpoints.model(network, **options), family))


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("family", "network", "options"),
    [
        (*STATE, {}),
        (*STATE, {"include_top": False}),
        (*STATE, {"output_stride": 16, "convention": "one"}),
        ("torchvision/resnet", "resnet18", {}),
        ("keras/resnet", "resnet50", {}),
        ("hszhao/semseg", "pspnet_resnet50", {}),
        ("kazuto1011/deeplab-pytorch", "deeplabv2_resnet50", {"multi_scale": (0.5,)}),
        ("timm/resnet", "resnet50d", {}),
        ("wkentaro/pytorch-fcn", "fcn8s", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_what_save_writes_convert_opens(tmp_path, family, network, options):
    model, receipt = converters.convert(family_state(family, network), family=family, network=network, **options)
    save(model, tmp_path / "m.safetensors", receipt=receipt)
    again, account = converters.convert(tmp_path / "m.safetensors")
    assert again.get_config() == model.get_config()
    assert tfseg.metadata(again) == tfseg.metadata(model)
    np.testing.assert_array_equal(output(again, images(65, 83)), output(model, images(65, 83)))
    assert (account.family, account.network) == ("tfseg/paths", network)
    assert converters.identify(tmp_path / "m.safetensors").network == network


def test_load_opens_it_with_its_classes(tmp_path, converted):
    model, receipt = converted
    save(model, tmp_path / "m.safetensors", receipt=receipt)
    loaded = tfseg.load(tmp_path / "m.safetensors")
    assert tfseg.metadata(loaded) == tfseg.metadata(model)
    identified = converters.identify(tmp_path / "m.safetensors")
    assert (identified.num_classes, identified.width, identified.include_top) == (11, 1 / 8, True)


def test_options_of_the_network_are_refused(tmp_path, converted):
    model, receipt = converted
    save(model, tmp_path / "m.safetensors", receipt=receipt)
    with pytest.raises(ConversionError, match=r"num_classes is not available here: m.safetensors holds fcn_resnet18"):
        converters.convert(tmp_path / "m.safetensors", num_classes=3)
    with pytest.raises(ConversionError, match=r"m.safetensors holds fcn_resnet18. Build the other network"):
        converters.convert(tmp_path / "m.safetensors", network="fcn_resnet34")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("os.system", "{}", "does not describe a network"),
        ("fcn_resnet18", "[1]", "does not describe a network"),
        ("fcn_resnet18", "{", "does not describe a network"),
        ("fcn_resnet18", json.dumps({"width": "wide"}), "its header states width='wide'"),
        ("fcn_resnet18", json.dumps({"width": 64}), "its header states width=64. Received: tensors of 300 numbers"),
        ("fcn_resnet18", json.dumps({"num_classes": 10**9}), "its header states num_classes=1000000000"),
        ("fcn_resnet18", "[" * 100_000, "does not describe a network"),
        ("fcn_resnet18", json.dumps({"virus": 1}), "cannot be built as its header says"),
        ("fcn_resnet18", json.dumps({"width": 1 / 16}), "do not fit the model"),
    ],
)
def test_damaged_headers_are_refused(tmp_path, name, options, message):
    header = {"tfseg_network": name, "tfseg_options": options}
    write_safetensors(tmp_path / "m.safetensors", {"a/kernel": np.ones(300, "float32")}, header)
    with pytest.raises(ConversionError, match=message):
        converters.convert(tmp_path / "m.safetensors")


def test_keras_files_of_tfseg_need_no_conversion(tmp_path, converted):
    converted[0].save(tmp_path / "m.keras")
    for function in (converters.convert, converters.identify):
        with pytest.raises(ConversionError, match=r"m.keras is a model of tfseg already. Load it with tfseg.load"):
            function(tmp_path / "m.keras")


def test_convert_names_classes_and_colors():
    state = checkpoints.state(*STATE, num_classes=2, width=1 / 8)
    model, _ = converters.convert(state, classes=["road", "sky"], colors=[(1, 2, 3), (4, 5, 6)])
    assert tfseg.metadata(model)["classes"] == ["road", "sky"]
    assert tfseg.metadata(model)["colors"] == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(ConversionError, match=r"colors has one entry for each of the 2 classes"):
        converters.convert(state, colors=[(1, 2, 3)])
