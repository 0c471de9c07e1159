"""torchvision's ResNets under detectron2's names: exact, and nothing else is taken for them."""

import pickle

import pytest
import torch
from helpers.references import images, output, relative, torch_output, torchvision_net
from helpers.renamed_states import detectron2_names

import converters
from converters import ConversionError
from converters.weights.foreign_weights import foreign_weights

PUBLIC = "torchvision's ResNets in detectron2's R-50.pkl"


def _saved(path, content):
    path.write_bytes(pickle.dumps(content, protocol=4))
    return path


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_the_pickle_is_torchvisions_network(tmp_path, name, record):
    module = torchvision_net(name, num_classes=7)
    content = detectron2_names(module.state_dict())
    model, receipt = converters.convert(_saved(tmp_path / "R-50.pkl", content))
    assert (receipt.family, receipt.network) == ("facebookresearch/detectron2", name)
    for size in ((65, 83), (96, 128)):
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(name, difference)
        assert difference <= 1e-5
    written = foreign_weights(model, "facebookresearch/detectron2")
    assert all((written[key] == value).all() for key, value in content["model"].items())


def test_a_backbone_that_detectron2_trained_is_refused(tmp_path):
    """It may have its strides in the 1x1 convolutions, and its tensors do not tell."""
    state = detectron2_names(torchvision_net("resnet18", num_classes=7).state_dict())["model"]
    content = {f"backbone.bottom_up.{key}": torch.from_numpy(value) for key, value in state.items() if ".fc" not in key}
    torch.save({"model": content}, tmp_path / "model_final.pth")
    with pytest.raises(ConversionError, match="looks like a ResNet of detectron2"):
        converters.convert(tmp_path / "model_final.pth")
