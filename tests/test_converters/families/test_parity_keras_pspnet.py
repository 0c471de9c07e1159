"""Weights of PSPNet for Keras with the authors' names, against a twin of both codes that load them."""

import numpy as np
import pytest
from helpers.keras_pspnet import pspnet
from helpers.qubvel_keras import save_weights
from helpers.references import images, output, relative

import converters
from tfseg import specs

PUBLIC = "a twin in Keras"
TOLERANCE = 1e-5
OWNER, PACKAGE = "Vladkryvoruchko/PSPNet-Keras-tensorflow", "divamgupta/image-segmentation-keras/pspnet"


@pytest.mark.full
@pytest.mark.parametrize(
    ("depth", "side", "family", "preprocessing"),
    [
        (50, 473, OWNER, "caffe"),
        (101, 713, OWNER, "caffe"),
        (50, 713, PACKAGE, "caffe_rgb"),
        (50, 473, PACKAGE, "caffe_rgb"),
    ],
)
def test_pspnet(depth, side, family, preprocessing, tmp_path, record):
    twin = pspnet(depth, side, aligned=family == OWNER)
    path = save_weights(twin, tmp_path / "weights.h5")
    model, receipt = converters.convert(path, family=None if family == OWNER else family)
    assert (receipt.family, receipt.network) == (family, f"pspnet_resnet{depth}")
    assert (receipt.untouched, receipt.ignored) == ({}, {})
    assert receipt.preprocessing == specs.PREPROCESSING[preprocessing]
    assert family == PACKAGE or any("corners" in other for other in receipt.others)
    pixels = images(side, side)[:1]
    difference = relative(output(model, pixels), output(twin, pixels))
    record(f"{family}, {depth}", difference)
    assert difference <= TOLERANCE
    converters.export_weights(model, tmp_path / "back.safetensors", family=family)
    back, first = converters.read(tmp_path / "back.safetensors"), converters.read(path)
    assert set(back) == set(first)
    assert all(np.array_equal(array, back[key]) for key, array in first.items())
