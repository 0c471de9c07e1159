"""Receipts: what they print and save."""

import hashlib
import json

import pytest
from helpers import checkpoints

import converters
from converters import ConversionError


def test_receipt_prints_and_saves(tmp_path):
    path = checkpoints.save(tmp_path / "resnet.pth", checkpoints.state("torchvision/resnet"))
    _, receipt = converters.convert(path)
    text = str(receipt)
    assert len(text.splitlines()) <= 14  # four networks have the same tensors
    for part in (
        "resnet.pth -> resnet50",
        "sha256",
        "torchvision/resnet",
        "267 tensors",
        "mean 0.485/0.456/0.406",
        "keras",
    ):
        assert part in text
    receipt.save(tmp_path / "receipt.json")
    saved = json.loads((tmp_path / "receipt.json").read_text())
    tensor = next(tensor for tensor in saved["tensors"] if tensor["key"] == "fc.weight")
    assert tensor == {
        "key": "fc.weight",
        "shape": [7, 256],
        "dtype": "float32",
        "path": "predictions/kernel",
        "layout": "o i -> i o",
    }
    assert saved["files"] == [
        {"path": str(path), "size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    ]
    with pytest.raises(ConversionError, match=r"exists already"):
        receipt.save(tmp_path / "receipt.json")
