"""identify: what a file is, why, and what else it could be."""

import re

import numpy as np
import pytest
from helpers import checkpoints

import converters
from converters import ConversionError


def test_class_name_in_a_training_file_decides(tmp_path):
    # What pytorch-fcn's trainer writes: the class name beside the weights, and a NumPy scalar that torch.load refuses.
    content = {
        "epoch": 3,
        "iteration": 4000,
        "arch": "FCN8sAtOnce",
        "optim_state_dict": {"state": {}, "param_groups": []},
        "model_state_dict": checkpoints.state("wkentaro/pytorch-fcn"),
        "best_mean_iu": np.float64(0.63),
    }
    identification = converters.identify(checkpoints.save(tmp_path / "checkpoint.pth.tar", content))
    assert (identification.network, identification.num_classes) == ("fcn8s_atonce", 7)


def test_identification_says_what_and_why(tmp_path):
    identification = converters.identify(checkpoints.state("torchvision/vgg"))
    assert (identification.family, identification.network, identification.num_classes, identification.width) == (
        "torchvision/vgg",
        "vgg16",
        7,
        1 / 16,
    )
    assert identification.others == ("wkentaro/vgg16_from_caffe vgg16: its input is BGR, 0..255 minus the mean",)
    assert "torchvision/vgg: vgg16 (7 classes, width 0.0625)" in str(identification)
    assert "features.0.weight is [4, 3, 3, 3]" in str(identification)
    named = converters.identify(checkpoints.state("torchvision/vgg"), family="wkentaro/vgg16_from_caffe")
    assert named.family == "wkentaro/vgg16_from_caffe"


def test_refusal_says_that_no_name_is_known():
    message = r"no family known here: none of its tensors has a name known here"
    with pytest.raises(ConversionError, match=message) as caught:
        converters.identify({"something.weight": np.zeros((3, 3), "float32")})
    assert re.search(r"Received: 1 tensors, something.weight", str(caught.value))
