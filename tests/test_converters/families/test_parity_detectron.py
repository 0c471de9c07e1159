"""MSRA's ResNets as Detectron and detectron2 keep them, against a twin of detectron2's network."""

import pickle

import pytest
import torch
from helpers.msra_twin import msra_resnet
from helpers.references import images, output, relative, torch_output
from helpers.renamed_states import msra_blobs

import converters
from converters import ConversionError
from converters.weights.foreign_weights import foreign_weights

PUBLIC = "MSRA's ResNets in Detectron's and detectron2's R-50.pkl (a twin of detectron2's)"
NAMES = {"facebookresearch/Detectron": True, "facebookresearch/detectron2/MSRA": False}


@pytest.mark.parametrize(
    ("family", "depth", "width"),
    [
        ("facebookresearch/Detectron", 50, 1 / 16),
        *(pytest.param(family, 50, 1 / 16, marks=pytest.mark.full) for family in list(NAMES)[1:]),
        *(pytest.param(family, depth, 1, marks=pytest.mark.full) for family in NAMES for depth in (50, 101)),
    ],
)
def test_the_pickle_is_msras_network(family, depth, width, tmp_path, record):
    module = msra_resnet(NAMES[family], depth=depth, width=width)
    content = msra_blobs(module, NAMES[family])
    path = tmp_path / f"R-{depth}.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    model, receipt = converters.convert(path)
    assert (receipt.family, receipt.network, receipt.untouched) == (family, f"resnet{depth}", {})
    assert receipt.preprocessing["channel_order"] == "BGR"
    for size in ((65, 83), (96, 128)):
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(f"{family} resnet{depth}", difference)
        assert difference <= 1e-5
    written = foreign_weights(model, family)
    unread = {key for key in content if key.endswith("_b") and not key.endswith(("bn_b", "fc1000_b"))}
    assert written.keys() == content.keys() - unread
    assert all((written[key] == content[key]).all() for key in written)


@pytest.mark.full
def test_a_dilated_one_keeps_its_old_pixels():
    module = msra_resnet(True, width=1 / 16)
    model, _ = converters.convert(msra_blobs(module, True), include_top=False, output_stride=16)
    plain, _ = converters.convert(msra_blobs(module, True), include_top=False)
    fine, coarse = (output(net, images(64, 96)) for net in (model, plain))
    assert relative(fine[:, ::2, ::2], coarse) <= 1e-5


@pytest.mark.full
def test_a_detector_is_refused(tmp_path):
    content = msra_blobs(msra_resnet(True, width=1 / 16), True)
    content = {key: value for key, value in content.items() if "fc1000" not in key}
    content["conv_rpn_w"] = torch.zeros(4, 4, 3, 3).numpy()
    (tmp_path / "model_final.pkl").write_bytes(pickle.dumps({"blobs": content}, protocol=2))
    with pytest.raises(ConversionError, match="Detectron"):
        converters.convert(tmp_path / "model_final.pkl")
