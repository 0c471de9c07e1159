"""Google's Big Transfer: `.npz` files that timm's own loader opens, too."""

import numpy as np
import pytest
import torch
from helpers.references import images, output, relative, timm_net, torch_output
from helpers.renamed_states import google_names
from safetensors.numpy import load_file

import converters
from converters.families.tensorflow.big_transfer import BIT

PUBLIC = "timm"
SIZES = ((65, 83), (96, 128))
# The others have up to 3.7 GB each. The block of the largest depth has more than 29 units.
NAMES = ("resnetv2_50x1_bit", "resnetv2_101x1_bit")


def written(name, path):
    """A file with the tensors of one network, and another one into which timm loads it."""
    np.savez(path, **google_names(timm_net(name, num_classes=7).state_dict()))
    module = timm_net(name, seed=1, num_classes=7)
    with torch.no_grad():
        module.load_pretrained(str(path))
    return module


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_archives_are_what_timm_loads(name, tmp_path, record):
    module = written(name, tmp_path / "BiT-M.npz")
    model, receipt = converters.convert(tmp_path / "BiT-M.npz")
    assert (receipt.family, receipt.network, receipt.untouched) == (BIT.name, name, {})
    for size in SIZES:
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(name, difference)
        assert difference <= 1e-5
    converters.export_weights(model, tmp_path / "back.safetensors", family=BIT.name)
    back, given = load_file(tmp_path / "back.safetensors"), np.load(tmp_path / "BiT-M.npz")
    assert set(back) == set(given.files)
    assert all(np.array_equal(back[key], given[key]) for key in back)


def test_units_are_counted_with_two_digits():
    (network,) = [network for network in BIT.networks if network.name == "resnetv2_152x4_bit"]
    for unit in (1, 9, 10, 19, 20, 30, 36):
        key, path = f"resnet/block3/unit{unit:02d}/b/group_norm/gamma", f"stage3_unit{unit}_gn2/gamma"
        assert network.table.path(key) == path
        assert network.table.backward(path)[0] == key
