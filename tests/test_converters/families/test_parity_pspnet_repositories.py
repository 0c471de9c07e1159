"""The PSPNets of meetps, yassouali, bubbliiiing and Lextal from the file alone, against twins of them with their key names."""

import pytest
import torch
from helpers.pspnet_twins import Bubbliiiing, Lextal, Meetps, Yassouali
from helpers.references import filled_module, images, output, randomized_state, relative, torch_output
from helpers.renamed_states import of_meetps, of_yassouali

import converters

PUBLIC = "the PSPNets of meetps, yassouali, bubbliiiing and Lextal (twins of them)"
TOLERANCE = 1e-5
SIZES = ((96, 144), (89, 137))  # their maps have 12 x 18 pixels


@pytest.mark.full
@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet"])
def test_both_strides_of_bubbliiiing(backbone, output_stride, record, tmp_path):
    module = filled_module(lambda: Bubbliiiing(backbone, output_stride, 1 / 16), 0, 1.0)
    state = dict(module.state_dict())
    asked = {} if output_stride == 16 else {"output_stride": output_stride}
    model, receipt = converters.convert(state, **asked)
    assert receipt.family == "bubbliiiing/pspnet-pytorch"
    assert ("do not tell the output stride" in str(receipt)) == (not asked)
    worst = max(relative(output(model, images(*size)), torch_output(module, images(*size))) for size in SIZES)
    record(f"bubbliiiing {receipt.network}", worst)
    assert worst <= TOLERANCE
    model, _ = converters.convert(state, aux=True, **asked)
    converters.export_weights(model, tmp_path / "back.pth", family=receipt.family)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back.keys() == {key for key in state if "num_batches" not in key}
    assert all(torch.equal(back[key], state[key]) for key in back)


@pytest.mark.full
@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_lextals_steps(depth, record, tmp_path):
    module = randomized_state(Lextal(depth, width=1 / 16))
    state = dict(module.state_dict())
    model, receipt = converters.convert(state)
    assert (receipt.family, receipt.network) == ("Lextal/pspnet-pytorch", f"pspnet_resnet{depth}")
    assert "log-softmax" in str(receipt)
    for size in ((96, 144), (88, 136)):
        logits = torch.from_numpy(output(model, images(*size)))
        difference = relative(logits.log_softmax(-1).numpy(), torch_output(module, images(*size)))
        record(f"Lextal {receipt.network}", difference)
        assert difference <= TOLERANCE
    converters.export_weights(model, tmp_path / "back.pth", family=receipt.family)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    unread = {key for key in state if key.startswith("classifier.") or "num_batches" in key}
    assert back.keys() == state.keys() - unread
    assert all(torch.equal(back[key], state[key]) for key in back)


REPOSITORIES = {
    "meetps/pytorch-semseg": (Meetps, of_meetps),
    "yassouali/pytorch-segmentation/pspnet": (Yassouali, of_yassouali),
}


@pytest.mark.full
@pytest.mark.parametrize(
    ("family", "depth", "width"),
    [
        ("meetps/pytorch-semseg", 50, 1 / 16),
        *(pytest.param(family, 50, 1 / 16, marks=pytest.mark.full) for family in list(REPOSITORIES)[1:]),
        *(pytest.param(family, 101, 1 / 16, marks=pytest.mark.full) for family in REPOSITORIES),
        *(("yassouali/pytorch-segmentation/pspnet", depth, 1 / 4) for depth in (18, 34)),
    ],
)
def test_pspnets(family, depth, width, record, tmp_path):
    twin, names = REPOSITORIES[family]
    module = filled_module(lambda: twin(depth, width=width), 0, 1.0)
    state = {names(key): value for key, value in module.state_dict().items()}
    assert len(state) == len(module.state_dict())
    model, receipt = converters.convert(state)
    assert (receipt.family, receipt.network) == (family, f"pspnet_resnet{depth}{'s' if depth >= 50 else ''}")
    worst = max(relative(output(model, images(*size)), torch_output(module, images(*size))) for size in SIZES)
    record(f"{family} {receipt.network}", worst)
    assert worst <= TOLERANCE
    model, _ = converters.convert(state, aux=True)
    converters.export_weights(model, tmp_path / "back.pth", family=family)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back.keys() == {key for key in state if "num_batches" not in key}
    assert all(torch.equal(back[key], state[key]) for key in back)
