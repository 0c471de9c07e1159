"""Masks as people have them: every form is read pixel by pixel, or refused where it is truly ambiguous."""

import numpy as np
import pytest
from helpers.data_sets import photograph, save
from helpers.mask_forms import FORMS, PALETTE

from tfseg import data
from tfseg.data.loader import load

PICTURES = 12


def truth(index, classes):
    return np.random.default_rng(index).integers(0, classes, (9, 12)).astype("uint8")


@pytest.mark.parametrize("form", FORMS)
def test_forms_are_read_right(tmp_path, form):
    kind = FORMS[form]
    drawn = min(kind.classes, 200)
    for index in range(PICTURES):
        save(tmp_path / "images" / f"p{index}.png", photograph(index, (9, 12)))
        kind.save(truth(index, drawn), tmp_path / "masks" / f"p{index}")
    dataset = data.folder(tmp_path, num_classes=kind.classes, **kind.options)
    assert len(dataset.pairs) == PICTURES
    for pair in dataset.pairs:
        expected = truth(int(pair.image.stem[1:]), drawn).astype(int) + kind.first
        mask = load(pair, dataset.labels, dataset.photographs)[1]
        assert mask.dtype == ("uint16" if kind.classes == 300 else "uint8")
        np.testing.assert_array_equal(mask, expected)
    assert not data.inspect_dataset(dataset).spoils


@pytest.mark.parametrize("as_", ["gray", "indexed"])
def test_masks_of_0_and_255_alone_are_refused(tmp_path, as_):
    for index in range(3):
        ids = truth(index, 2) * np.uint8(255)
        save(tmp_path / "images" / f"p{index}.png", photograph(index, (9, 12)))
        save(tmp_path / "masks" / f"p{index}.png", ids, "P" if as_ == "indexed" else "L", [0] * 768)
    with pytest.raises(ValueError, match=r"0 and 255 alone.*--mask_values=0,255 --num_classes=2.*--void=255"):
        data.folder(tmp_path, num_classes=2)
    # Whoever says that 255 is ignored is believed; the inspection says what that means.
    inspection = data.inspect_dataset(data.folder(tmp_path, num_classes=2, void=(255,)))
    assert inspection.spoils
    assert "class 0 is the only one that occurs, beside void" in str(inspection)


def test_void_is_above_all_classes_where_these_need_255(tmp_path):
    """Classes 255 and 256 are no void; ignored pixels have an id of their own, in the loss and in the scores too."""
    ids = np.array([[0, 255, 256, 299, 65535]], "uint16")
    mask = data.read_mask(save(tmp_path / "m.png", ids), data.Labels(300))
    np.testing.assert_array_equal(mask, ids)
    assert data.Labels(300).void_id == 65535
    deep = data.read_mask(save(tmp_path / "m.tif", np.array([[0, 70000, 7]], "int32")), data.Labels(70001, void=(7,)))
    np.testing.assert_array_equal(deep, [[0, 70000, 2**31 - 1]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_values": (0, 255), "palette": PALETTE}, "say the same thing in three ways.*palette and mask_values"),
        ({"mask_values": (0, 1, 255)}, r"one raw value for each class, so 2 of them.*Received: 3 \(0, 1, 255\)"),
        ({"mask_values": (1, 1)}, "one of them twice"),
        ({"mask_values": {0: 0, 1: 2}}, r"Classes are 0 to 1.*stand for the classes 2"),
        ({"mask_values": (0, 255), "void": (255,)}, "class or ignored .void., not both. Received: 255"),
        (
            {"palette": PALETTE, "void": (0,)},
            r"colors alone tell.*give the ignored colors the class 255. Received: .*void=0",
        ),
        ({"classes": ("a", "b", "c")}, r"names of 2 classes, because of num_classes=2. Received: 3 \(a, b, c\)"),
    ],
)
def test_contradictions_are_refused(tmp_path, options, message):
    save(tmp_path / "images" / "a.png", photograph())
    save(tmp_path / "masks" / "a.png", np.zeros((24, 32), "uint8"))
    with pytest.raises(ValueError, match=message):
        data.folder(tmp_path, num_classes=2, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 3.0}, "num_classes is a whole number. Received: 3.0"),
        ({"num_classes": 3, "void": "255"}, "whole numbers, such as void=.255,.. Received: 2, 5, 5"),
        ({"num_classes": 3, "ids": {"a": 1}}, "whole numbers.*Received: 255, a, 1"),
        ({"num_classes": 3, "palette": {"red": 1}}, r"\(128, 0, 0\): 1.*Received: red"),
        ({"num_classes": 3, "palette": {(0, 0, 256): 1}}, "from 0 to 255"),
    ],
)
def test_labels_of_other_types_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        data.Labels(**options)


def test_one_class_is_refused_with_the_way():
    with pytest.raises(ValueError, match=r"nothing to learn.*num_classes=2. Received: num_classes=1"):
        data.Labels(1)


@pytest.mark.parametrize(
    ("values", "classes", "way"),
    [
        ([0, 127, 254], 3, r"mask_values=\(0, 127, 254\) \(--mask_values=0,127,254\)"),
        ([0, 1, 2, 3], 3, r"num_classes=4; if the classes count from 1, reduce_zero_label=True"),
        (range(0, 200, 3), 2, "saved as JPEG, or resized with smooth edges"),
        ([0, 1, 77, 99], 2, "name the value of each class"),
    ],
)
def test_unexpected_values_name_the_way(tmp_path, values, classes, way):
    path = save(tmp_path / "m.png", np.array([list(values)], "uint8"))
    with pytest.raises(ValueError, match=way):
        data.read_mask(path, data.Labels(classes))


def test_a_mask_in_the_transparency_is_refused(tmp_path):
    path = save(
        tmp_path / "m.png", np.dstack([np.zeros((4, 6, 3), "uint8"), np.arange(24, dtype="uint8").reshape(4, 6)])
    )
    with pytest.raises(ValueError, match=r"m.png: all pixels have one color.*getchannel\('A'\)"):
        data.read_mask(path, data.Labels(2))


@pytest.mark.parametrize(("value", "message"), [(np.nan, r"Received: NaN.*nan_to_num"), (1e20, "whole numbers")])
def test_numbers_that_are_no_classes_are_refused(tmp_path, value, message):
    path = save(tmp_path / "m.tif", np.array([[0, value]], "float32"))
    with pytest.raises(ValueError, match=message):
        data.read_mask(path, data.Labels(2))


def test_probabilities_are_no_mask(tmp_path):
    path = save(tmp_path / "m.tif", np.array([[0.1, 0.9]], "float32"))
    with pytest.raises(ValueError, match=r"whole numbers.*such as 0\.1.*Are these probabilities"):
        data.read_mask(path, data.Labels(2))


def test_a_palette_does_not_read_numbers_of_16_bits(tmp_path):
    path = save(tmp_path / "m.png", np.array([[0, 300]], "uint16"))
    with pytest.raises(ValueError, match=r"a palette needs .* colors of 8 bits.*mask_values"):
        data.read_mask(path, data.Labels(3, palette=PALETTE))
