"""The embedded sample: a really trained network, and what PyTorch computed with it."""

import json

import numpy as np
import pytest
from helpers.paths import EXAMPLES
from PIL import Image

import converters
import tfseg
from tfseg.images import read_image
from tfseg.preprocessing import preprocess

CHECKPOINT = EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth"


@pytest.fixture(scope="module")
def model():
    return converters.convert(CHECKPOINT)[0]


def test_the_sample_is_identified():
    identification = converters.identify(CHECKPOINT)
    assert (
        identification.family,
        identification.network,
        identification.num_classes,
        identification.width,
        identification.aux,
    ) == (
        "torchvision/segmentation",
        "fcn_resnet18",
        11,
        0.5,
        False,
    )


def test_logits_and_classes_equal_pytorchs(model):
    photograph = read_image(EXAMPLES / "street.png")
    with np.load(EXAMPLES / "street_logits.npz") as file:
        logits = file["logits"]
    reference = {"logits": logits.reshape(1, *logits.shape[-3:])}
    images = preprocess(photograph, tfseg.metadata(model)["preprocessing"])[None]
    converters.compare(model, reference, images).assert_close(1e-5)
    expected = np.asarray(Image.open(EXAMPLES / "street_classes.png"))
    assert np.mean(tfseg.predict(model, photograph) == expected) >= 0.9999


def test_weights_written_back_keep_their_bits(model, tmp_path):
    converters.export_weights(model, tmp_path / "back.safetensors", dtype="float16")
    original, back = converters.read(CHECKPOINT), converters.read(tmp_path / "back.safetensors")
    for key in back:
        np.testing.assert_array_equal(back[key], original[key])
    assert {key for key in original if key not in back} == {
        key for key in original if key.endswith("num_batches_tracked")
    }


def test_the_card_matches_the_palette():
    card = json.loads((EXAMPLES / "card.json").read_text())
    assert card["classes"] == tfseg.specs.CLASSES["camvid"]
    assert card["mean"] == list(tfseg.specs.PREPROCESSING["torch"]["mean"])
    assert len(tfseg.specs.COLORS["camvid"]) == len(card["classes"])
