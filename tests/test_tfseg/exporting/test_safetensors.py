"""What is written as safetensors is what every reader of that format reads."""

import ml_dtypes
import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file

from converters.reading import read
from converters.reading.safetensors import DTYPES
from tfseg.exporting.safetensors import write_safetensors
from tfseg.writing import WritingError

ARRAYS = {
    "z": np.arange(6, dtype=np.int16).reshape(2, 3),
    "byte": np.array([1, 2, 3], np.uint8),
    "a": np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
    "scalar": np.float32(7),
    "empty": np.zeros((0, 3), np.float32),
    "big": np.arange(3, dtype=">i4"),
    "flag": np.array([True, False]),
}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_round_trip(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, ARRAYS, {"family": "resnet", "ü": "ß"})
    checkpoint, official = read(path), load_file(path)
    assert list(checkpoint) == list(ARRAYS)
    for key, array in ARRAYS.items():
        for result in (checkpoint[key], official[key]):
            assert result.shape == array.shape
            assert result.dtype == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(result, array)
        assert checkpoint[key].flags.aligned
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == {"family": "resnet", "ü": "ß"}
    assert names(tmp_path) == ["x.safetensors"]


@pytest.mark.parametrize("name", DTYPES.values())
def test_every_element_type_is_written(tmp_path, name):
    array = np.arange(4).astype(getattr(ml_dtypes, name, name))
    write_safetensors(tmp_path / "x", {"w": array})
    result = read(tmp_path / "x")["w"]
    assert result.dtype == array.dtype
    assert result.tobytes() == array.tobytes()


def test_checkpoint_is_written_tensor_by_tensor(tmp_path):
    np.savez(tmp_path / "x.npz", **ARRAYS)
    write_safetensors(tmp_path / "y", read(tmp_path / "x.npz"))
    for key, array in read(tmp_path / "y").items():
        np.testing.assert_array_equal(array, ARRAYS[key])


@pytest.mark.parametrize(
    ("arrays", "metadata", "message"),
    [
        ({"w": np.array(["text"])}, None, "'w' has an element type.*Received: <U4"),
        ({"w": np.array([{}])}, None, "'w' has an element type.*Received: object"),
        ({3: np.ones(1)}, None, "expected names of tensors as keys. Received: 3"),
        ({"__metadata__": np.ones(1)}, None, "expected names of tensors"),
        ({"w": np.ones(1)}, {"epoch": 3}, "expected metadata of texts. Received: 'epoch': 3"),
    ],
)
def test_content_that_the_format_cannot_hold_is_refused(tmp_path, arrays, metadata, message):
    with pytest.raises(WritingError, match=f"x: .*{message}"):
        write_safetensors(tmp_path / "x", arrays, metadata)
    assert names(tmp_path) == []


def test_array_that_changes_while_it_is_written_is_refused(tmp_path):
    class Changing(dict):
        reads = 0

        def __getitem__(self, key):
            self.reads += 1
            return np.ones(self.reads)

    with pytest.raises(WritingError, match=r"'w' changed.*Expected float64 \(1,\). Received: float64 \(2,\)"):
        write_safetensors(tmp_path / "x", Changing(w=0))
    assert names(tmp_path) == []
