"""DeepLabs of VainF, jfzhang95, bubbliiiing, yassouali and chenxi116 against twins of them with their key names, from the tensors alone."""

import pytest
import torch
from helpers.deeplab_twins import DeepLab
from helpers.references import filled_module, images, output, relative, torch_output
from safetensors.numpy import load_file

import converters
from converters import ConversionError

PUBLIC = "the DeepLabs of VainF, jfzhang95, bubbliiiing, yassouali and chenxi116 (twins of them)"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))
FAMILIES = {
    "vainf": "VainF/DeepLabV3Plus-Pytorch",
    "jfzhang95": "jfzhang95/pytorch-deeplab-xception",
    "bubbliiiing": "bubbliiiing/deeplabv3-plus-pytorch",
    "yassouali": "yassouali/pytorch-segmentation/deeplabv3plus",
    "chenxi116": "chenxi116/DeepLabv3.pytorch",
}
NETS = [
    *(("vainf v3", name) for name in ("resnet50", "resnet101", "mobilenet")),
    *(("vainf v3+", name) for name in ("resnet50", "resnet101", "mobilenet")),
    ("jfzhang95", "resnet101"),
    ("jfzhang95", "mobilenet"),
    ("jfzhang95", "xception"),
    ("bubbliiiing", "mobilenet"),
    ("bubbliiiing", "xception"),
    ("yassouali", "resnet50"),
]


def twin(style, backbone="mobilenet", **options):
    return filled_module(lambda: DeepLab(style, backbone, **options), 0, 1.0)


def check(module, style, source, record, sizes=SIZES, **options):
    model, receipt = converters.convert(source, **options)
    assert (receipt.family, receipt.untouched) == (FAMILIES[style.split()[0]], {})
    for size in sizes:
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(f"{style} {receipt.network}", difference)
        assert difference <= TOLERANCE
    return model, receipt


def named(style, module):
    """The tensors of a twin; yassouali's stem lies in one more sequence, and chenxi116's backbone in none."""
    state = dict(module.state_dict())
    if style == "chenxi116":
        return {key.removeprefix("backbone."): value for key, value in state.items()}
    if style != "yassouali":
        return state
    stem = (("backbone.conv1.", "backbone.layer0.0."), ("backbone.bn1.", "backbone.layer0.1."))
    return {key.replace(*stem[0]).replace(*stem[1]): value for key, value in state.items()}


@pytest.mark.full
def test_drn_has_one_output_stride(tmp_path, record):
    module = twin("jfzhang95", "drn", output_stride=8)
    model, receipt = converters.convert(dict(module.state_dict()))
    assert (receipt.family, receipt.network) == (f"{FAMILIES['jfzhang95']}/drn", "deeplabv3plus_drn_d_54")
    for size in SIZES:
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record("jfzhang95 deeplabv3plus_drn_d_54", difference)
        assert difference <= TOLERANCE
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    back, state = load_file(tmp_path / "back.safetensors"), module.state_dict()
    assert back.keys() == {key for key in state if "num_batches" not in key}
    assert all((back[key] == state[key].numpy()).all() for key in back)


@pytest.mark.full
@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(("style", "backbone"), NETS)
def test_every_network(style, backbone, output_stride, tmp_path, record):
    module = twin(style, backbone, output_stride=output_stride)
    asked = {} if output_stride == 16 else {"output_stride": output_stride}
    state = named(style, module)
    model, receipt = check(module, style, state, record, **asked)
    assert ("do not tell the output stride" in str(receipt)) == (not asked)
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    back = load_file(tmp_path / "back.safetensors")
    expected = {key: value for key, value in state.items() if "num_batches" not in key}
    if (style, backbone) == ("jfzhang95", "mobilenet"):  # every tensor has two names
        expected = {key: value for key, value in expected.items() if not key.startswith("backbone.features")}
    assert back.keys() == expected.keys()
    assert all((back[key] == value.numpy()).all() for key, value in expected.items())


@pytest.mark.full
def test_one_output_stride_and_no_decoder(tmp_path, record):
    module = twin("chenxi116", "resnet101")
    state = named("chenxi116", module)
    model, receipt = check(module, "chenxi116", state, record)
    assert receipt.network == "deeplabv3_resnet101"
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == {key for key in state if "num_batches" not in key}
    assert all((back[key] == state[key].numpy()).all() for key in back)


@pytest.mark.full
def test_the_end_of_a_files_name_is_its_output_stride(tmp_path, record):
    for stride in (8, 16):
        module = twin("vainf v3+", output_stride=stride)
        path = tmp_path / f"best_deeplabv3plus_mobilenet_voc_os{stride}.pth"
        torch.save({"model_state": module.state_dict(), "best_score": 0.7}, path)
        _, receipt = check(module, "vainf v3+", path, record, SIZES[:1])
        assert f"the name of the file says _os{stride}" in str(receipt)


@pytest.mark.full
def test_a_live_module_of_another_stride_is_not_taken_for_the_default(record):
    module = twin("vainf v3+", "resnet50", output_stride=8)
    model, _ = converters.convert(module)
    assert relative(output(model, images(64, 96)), torch_output(module, images(64, 96))) <= TOLERANCE


def test_a_head_that_is_not_whole_is_refused():
    module = twin("bubbliiiing")
    state = {key: value for key, value in module.state_dict().items() if not key.startswith("cat_conv.4")}
    with pytest.raises(ConversionError, match="Missing: 2"):
        converters.convert(state)
