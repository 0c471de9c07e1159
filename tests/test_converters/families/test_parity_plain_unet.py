"""U-Nets of milesial/Pytorch-UNet against a twin with its key names, from the tensors alone."""

import pytest
from helpers.milesial_twin import MilesialUnet
from helpers.references import filled_module, images, output, relative, torch_output
from safetensors.numpy import load_file

import converters
from converters import ConversionError
from converters.families.pytorch.milesial import UNET

PUBLIC = "milesial/Pytorch-UNet (a twin of it)"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))
FORMS = {"transposed": False, "bilinear": True}


def twin(form, **options):
    return filled_module(lambda: MilesialUnet(FORMS[form], **options), 0, 1.0)


def check(module, form, tmp_path, record, sizes=SIZES):
    model, receipt = converters.convert(dict(module.state_dict()))
    assert (receipt.family, receipt.network, receipt.untouched) == (UNET.name, "plain_unet", {})
    for size in sizes:
        pixels = images(*size, channels=model.input_shape[-1])
        difference = relative(output(model, pixels), torch_output(module, pixels))
        record(f"U-Net, {form}", difference)
        assert difference <= TOLERANCE
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    back = load_file(tmp_path / "back.safetensors")
    expected = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    assert back.keys() == expected.keys()
    assert all((back[key] == value.numpy()).all() for key, value in expected.items())
    return receipt


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("form", FORMS)
def test_narrow_nets(form, tmp_path, record):
    receipt = check(twin(form, base=8, channels=1), form, tmp_path, record, SIZES[:1])
    assert ("do not tell how maps are enlarged" in str(receipt)) == (form == "bilinear")


@pytest.mark.full
@pytest.mark.parametrize("options", [{}, {"biases": True, "num_classes": 1}])
@pytest.mark.parametrize("form", FORMS)
def test_every_form(form, options, tmp_path, record):
    check(twin(form, **options), form, tmp_path, record, (*SIZES, (17, 31)))


@pytest.mark.full
@pytest.mark.parametrize("form", FORMS)
def test_a_live_module_is_of_the_family(form):
    _, receipt = converters.convert(twin(form, base=8))
    assert receipt.family == UNET.name
    assert "its result is the model's" in str(receipt)


def test_a_net_with_other_widths_is_refused():
    state = dict(twin("bilinear", base=8).state_dict())
    state["up1.conv.double_conv.0.weight"] = state["up1.conv.double_conv.0.weight"][:32]
    with pytest.raises(ConversionError, match=r"up1.conv.double_conv.0.weight of 3x3x128x32 instead of 3x3x128x64"):
        converters.convert(state)


@pytest.mark.full
def test_features_are_the_last_map_before_the_scores():
    model, _ = converters.convert(dict(twin("transposed", base=4).state_dict()), include_top=False)
    assert model.output_shape == (None, None, None, 4)
