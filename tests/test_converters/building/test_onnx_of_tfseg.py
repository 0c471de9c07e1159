"""ONNX files that `tfseg.export` writes, of any size: `convert` builds the network again from the graph alone.

Their resizes and adaptive poolings are products with matrices that the graph makes of the image's size.
"""

import numpy as np
import pytest
from helpers.random_weights import randomize_weights
from helpers.references import images, relative

import converters
import tfseg

pytest.importorskip("tf2onnx")
NETWORKS = {
    "fcn_resnet18": {"width": 1 / 16},
    "fcn8s": {"width": 1 / 16},
    "deeplabv3_resnet18": {"width": 1 / 16},
    "pspnet_resnet50": {"width": 1 / 16},
}


@pytest.mark.full
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "fcn_resnet18" else pytest.mark.full) for name in NETWORKS]
)
def test_an_exported_network_is_built_again_for_any_size(tmp_path, name):
    model = randomize_weights(tfseg.build(name, num_classes=5, **NETWORKS[name]))
    folder = tfseg.export(model, tmp_path / "net", ["onnx"], preprocessing="torch")
    again, receipt = converters.convert(folder / "model.onnx")
    assert receipt.family == "ONNX graph"
    if name.startswith("fcn"):
        assert not [layer for layer in again.operations if type(layer).__name__ == "Transpose"]
    for size in ((97, 131), (160, 128)):
        image = images(*size)
        assert relative(np.asarray(again(image)), np.asarray(model(image))) <= 1e-5
