"""FCNs, SegNets and U-Nets of meetps, yassouali and bubbliiiing from the tensors alone, against twins of them."""

import functools

import pytest
from helpers.references import images, output, randomized_state, relative, torch_output
from helpers.repository_twins import FCN, BubbliiiingUnet, PlainUnet, SegNet
from safetensors.numpy import load_file

import converters
from converters import ConversionError

PUBLIC = "networks of meetps, yassouali and bubbliiiing without a dilated backbone (twins of them)"
TOLERANCE = 1e-5
MEETPS, YASSOUALI = "meetps/pytorch-semseg", "yassouali/pytorch-segmentation"
USUAL, UNPADDED, WHOLE = ((65, 83), (96, 128)), ((204, 236), (220, 204)), ((64, 96), (96, 160))
NETS = {
    "meetps fcn8s": (functools.partial(FCN, "meetps"), f"{MEETPS}/fcn", "fcn8s", USUAL),
    **{
        f"meetps {name} repeating": (
            functools.partial(FCN, "meetps", skips=skips, upscores=False),
            f"{MEETPS}/fcn",
            name,
            USUAL,
        )
        for skips, name in enumerate(("fcn32s", "fcn16s", "fcn8s"))
    },
    "meetps segnet": (functools.partial(SegNet, "meetps"), f"{MEETPS}/segnet", "plain_segnet", USUAL),
    "meetps unet": (functools.partial(PlainUnet, "meetps"), f"{MEETPS}/unet", "plain_unet", UNPADDED),
    "meetps unet without norms": (
        functools.partial(PlainUnet, "meetps", norms=False),
        f"{MEETPS}/unet",
        "plain_unet",
        UNPADDED,
    ),
    "yassouali fcn8": (functools.partial(FCN, "yassouali"), f"{YASSOUALI}/fcn8", "fcn8s_atonce", USUAL),
    "yassouali segnet": (functools.partial(SegNet, "yassouali"), f"{YASSOUALI}/segnet", "plain_segnet", USUAL),
    "yassouali unet": (functools.partial(PlainUnet, "yassouali"), f"{YASSOUALI}/unet", "plain_unet", USUAL),
    "bubbliiiing unet_vgg": (
        functools.partial(BubbliiiingUnet, "vgg"),
        "bubbliiiing/unet-pytorch",
        "unet_vgg16",
        WHOLE,
    ),
    "bubbliiiing unet_resnet50": (
        functools.partial(BubbliiiingUnet, "resnet50"),
        "bubbliiiing/unet-pytorch",
        "unet_resnet50",
        WHOLE,
    ),
}


def check(name, width, tmp_path, record, sizes):
    build, family, network, _ = NETS[name]
    module = randomized_state(build(width=width)).requires_grad_(False)
    model, receipt = converters.convert(dict(module.state_dict()))
    assert (receipt.family, receipt.network, receipt.untouched) == (family, network, {})
    for size in sizes:
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(name, difference)
        assert difference <= TOLERANCE
    converters.export_weights(model, tmp_path / "back.safetensors", family=family)
    back = load_file(tmp_path / "back.safetensors")
    expected = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    assert back.keys() == expected.keys()
    assert all((back[key] == value.numpy()).all() for key, value in expected.items())


@pytest.mark.quick_variants("meetps unet", "yassouali segnet")
@pytest.mark.parametrize("name", NETS)
def test_narrow_nets(name, tmp_path, record):
    check(name, 1 / 16, tmp_path, record, NETS[name][3][:1])


@pytest.mark.full
@pytest.mark.parametrize("name", NETS)
def test_every_network(name, tmp_path, record):
    check(name, 1, tmp_path, record, NETS[name][3])


@pytest.mark.full
def test_images_of_any_size_where_the_public_code_takes_multiples():
    module = randomized_state(BubbliiiingUnet("vgg", width=1 / 16))
    model, _ = converters.convert(dict(module.state_dict()))
    assert output(model, images(65, 83)).shape == (1, 65, 83, 5)


def test_what_the_file_does_not_say_is_refused():
    """A VGG16 in three parts with one adjusted pooling is no network of yassouali's."""
    state = dict(randomized_state(FCN("yassouali", width=1 / 16)).state_dict())
    del state["adj_pool3.weight"], state["adj_pool3.bias"]
    with pytest.raises(ConversionError, match=r"adj_pool3"):
        converters.convert(state)
