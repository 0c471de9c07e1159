"""Weights of bonlime's DeepLabs for Keras, against twins."""

import numpy as np
import pytest
from helpers import bonlime
from helpers.qubvel_keras import save_weights
from helpers.references import images, output, relative

import converters
from tfseg import specs

PUBLIC = "a twin in Keras"
TOLERANCE = 1e-5


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("mobilenet", "deeplabv3_mobilenet_v2"),
        pytest.param("xception", "deeplabv3plus_xception65", marks=pytest.mark.full),
    ],
)
def test_bonlimes_deeplabs(name, network, tmp_path, record):
    twin = getattr(bonlime, name)()
    path = save_weights(twin, tmp_path / "weights.h5")
    model, receipt = converters.convert(path)
    assert (receipt.family, receipt.network) == ("bonlime/keras-deeplab-v3-plus", network)
    assert (receipt.untouched, receipt.ignored) == ({}, {})
    assert receipt.preprocessing == specs.PREPROCESSING["inception"]
    for size in ((65, 83), (96, 128)):
        pixels = images(*size)
        difference = relative(output(model, pixels), output(twin, pixels))
        record(network, difference)
        assert difference <= TOLERANCE
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    back, first = converters.read(tmp_path / "back.safetensors"), converters.read(path)
    assert {key.removeprefix("custom_") for key in first} == set(back)
    assert all(np.array_equal(array, back[key.removeprefix("custom_")]) for key, array in first.items())
