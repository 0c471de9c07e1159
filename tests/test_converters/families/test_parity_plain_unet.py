"""U-Nets of milesial/Pytorch-UNet against a twin with its key names, from the tensors alone."""

import pytest
import torch
from helpers.references import filled_module, images, output, relative, torch_output
from safetensors.numpy import load_file
from torch import nn
from torch.nn import functional

import converters
from converters import ConversionError
from converters.families.pytorch.milesial import UNET

PUBLIC = "milesial/Pytorch-UNet (a twin of it)"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))
FORMS = {"transposed": False, "bilinear": True}


def named(**parts):
    """A module with these parts."""
    module = nn.Module()
    for name, part in parts.items():
        module.add_module(name, part)
    return module


def two(inside, middle, outside, biases=False):
    layers = []
    for before, after in ((inside, middle), (middle, outside)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=biases), nn.BatchNorm2d(after), nn.ReLU()]
    return named(double_conv=nn.Sequential(*layers))


class Twin(nn.Module):
    """The U-Net as its description says: `base` channels at the image, 16 times as many at stride 16."""

    def __init__(self, bilinear, base=64, channels=3, num_classes=2, biases=False):
        super().__init__()
        self.bilinear, filters = bilinear, [base * 2**step for step in range(5)]
        filters[-1] //= 2 if bilinear else 1
        self.inc = two(channels, base, base, biases)
        for step in range(1, 5):
            block = two(filters[step - 1], filters[step], filters[step], biases)
            self.add_module(f"down{step}", named(maxpool_conv=nn.Sequential(nn.MaxPool2d(2), block)))
        before = filters[-1]
        for step, beside in enumerate(filters[3::-1], 1):
            after = beside // 2 if bilinear and step < 4 else beside
            up = {} if bilinear else {"up": nn.ConvTranspose2d(before, before // 2, 2, 2)}
            inside = beside + (before if bilinear else before // 2)
            self.add_module(f"up{step}", named(**up, conv=two(inside, beside, after, biases)))
            before = after
        self.outc = named(conv=nn.Conv2d(base, num_classes, 1))

    def forward(self, image):
        maps = [self.inc.double_conv(image)]
        for step in range(1, 5):
            pooling, block = getattr(self, f"down{step}").maxpool_conv
            maps.append(block.double_conv(pooling(maps[-1])))
        x = maps.pop()
        for step in range(1, 5):
            block, beside = getattr(self, f"up{step}"), maps.pop()
            size = [2 * side for side in x.shape[2:]]
            x = functional.interpolate(x, size, mode="bilinear", align_corners=True) if self.bilinear else block.up(x)
            rows, columns = (wanted - has for wanted, has in zip(beside.shape[2:], x.shape[2:], strict=True))
            x = block.conv.double_conv(torch.cat([beside, functional.pad(x, (0, columns, 0, rows))], 1))
        return self.outc.conv(x)


def twin(form, **options):
    return filled_module(lambda: Twin(FORMS[form], **options), 0, 1.0)


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


def test_features_are_the_last_map_before_the_scores():
    model, _ = converters.convert(dict(twin("transposed", base=4).state_dict()), include_top=False)
    assert model.output_shape == (None, None, None, 4)
