"""`.caffemodel.h5` files: parts of layers by the shapes of their blobs; damaged files are refused."""

import h5py
import numpy as np
import pytest

import converters
from converters import ConversionError


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


CONV = numbers(4, 3, 3, 2), numbers(4, seed=1)
DENSE = numbers(5, 24, seed=2), numbers(5, seed=3)


def hdf5(path, layers):
    with h5py.File(path, "w") as file:
        for name, blobs in layers.items():
            group = file.require_group(f"data/{name}")
            for index, blob in enumerate(blobs):
                group[str(index)] = np.asarray(blob, "float32")
    return path


def test_blobs_become_named_tensors(tmp_path):
    wide = [numbers(1, 6, 1, 1, seed=seed) for seed in range(4)]
    layers = {
        "conv1_1": CONV,
        "conv4_1_3x3": (CONV[0],),
        "conv4_1_3x3/bn": wide,
        "fc6": DENSE,
        "bn1": (wide[0].ravel(), wide[1].ravel(), [2.0]),
        "scale1": (wide[2].ravel(), wide[3].ravel()),
        "one": (numbers(1, 1, 1, 1), numbers(1)),
        "relu": (),
    }
    checkpoint = converters.read(hdf5(tmp_path / "net.caffemodel.h5", layers))
    assert checkpoint.format == "Caffe"
    assert set(checkpoint) == {
        *("conv1_1.weight", "conv1_1.bias", "conv4_1_3x3.weight", "fc6.weight", "fc6.bias", "one.weight", "one.bias"),
        *(f"conv4_1_3x3/bn.{part}" for part in ("gamma", "beta", "mean", "variance")),
        *("bn1.mean", "bn1.variance", "scale1.gamma", "scale1.beta"),
    }
    assert np.array_equal(checkpoint["conv1_1.weight"], CONV[0])
    assert np.array_equal(checkpoint["fc6.weight"], DENSE[0])
    assert np.array_equal(checkpoint["conv4_1_3x3/bn.variance"], wide[3].ravel())
    assert np.array_equal(checkpoint["bn1.variance"], wide[1].ravel() / 2)
    assert not checkpoint["bn1.variance"].flags.writeable


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({}, r"is an HDF5 file, and not one of Caffe's"),
        ({"relu": ()}, r"holds no layer with weights in its group `data`"),
        (
            {"odd": [numbers(2, 3)] * 3},
            r"the layer 'odd' has blobs of the shapes \(2, 3\), .* which no layer known here has",
        ),
        ({"bn": [numbers(6)] * 5}, r"the layer 'bn' has blobs of the shapes"),
    ],
)
def test_invalid_layers_are_refused(tmp_path, layers, message):
    with pytest.raises(ConversionError, match=message):
        converters.read(hdf5(tmp_path / "net.caffemodel", layers))


def test_truncated_file_is_refused(tmp_path):
    path = hdf5(tmp_path / "net.caffemodel.h5", {"conv1_1": CONV})
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ConversionError, match=r"is an HDF5 file that cannot be opened .*; it is truncated"):
        converters.read(path)
