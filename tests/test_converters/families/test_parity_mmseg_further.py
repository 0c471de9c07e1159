"""mmsegmentation's FCN on HRNet and its SegFormer from the file alone."""

import pytest
import torch
from helpers.mmseg_twins import HRNetFCN, SegFormer
from helpers.references import images, output, randomized_state, relative, torch_output

import converters
from converters.families.pytorch.mmseg_further import HRNET, SEGFORMER
from tfseg import specs

PUBLIC = "twins of open-mmlab/mmsegmentation"
TOLERANCE = 1e-5
SIZES = ((64, 96), (97, 133))
QUICK = "mit_b0"


def check(module, family, network, record, folder, sizes=SIZES):
    torch.save({"meta": {"epoch": 3}, "state_dict": module.state_dict()}, folder / "iter_1.pth")
    model, receipt = converters.convert(folder / "iter_1.pth")
    assert (receipt.family, receipt.network) == (family.name, network)
    worst = max(relative(output(model, images(*size)), torch_output(module, images(*size))) for size in sizes)
    record(network, worst)
    assert worst <= TOLERANCE
    converters.export_weights(model, folder / "back.pth", family=family.name)
    back, state = torch.load(folder / "back.pth", weights_only=True), module.state_dict()
    assert back.keys() == {key for key in state if "num_batches" not in key}
    assert all(torch.equal(back[key], state[key]) for key in back)


@pytest.mark.parametrize(
    "size", [pytest.param(name, marks=() if name == QUICK else pytest.mark.full) for name in specs.MITS]
)
def test_segformer(size, record, tmp_path):
    module = randomized_state(SegFormer(size)).requires_grad_(False)
    check(module, SEGFORMER, f"segformer_{size}", record, tmp_path, SIZES[: 1 if size == QUICK else 2])


@pytest.mark.full
@pytest.mark.parametrize("name", ["hrnet_w18_small_v2", "hrnet_w18", "hrnet_w48"])
def test_fcn_on_hrnet(name, record, tmp_path):
    module = randomized_state(HRNetFCN(name)).requires_grad_(False)
    check(module, HRNET, f"fcn_{name}", record, tmp_path)
