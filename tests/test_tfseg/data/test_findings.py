"""What an inspection says about data that can be read and is strange anyway."""

import warnings

import numpy as np
import pytest
from helpers.data_sets import mask, pairs, photograph, save
from PIL import Image

import tfseg
from tfseg import data
from tfseg.data.loader import Loader, StrangePairWarning, load
from tfseg.data.photographs import ExifWarning
from tfseg.deep_photographs import DarkPhotographWarning

IDS = np.repeat(np.array([0, 1, 2], "uint8"), 8)[:, None] + np.zeros(32, "uint8")


def turned(root, orientation, *, drawn_on, size=(24, 32)):
    """A photograph with an EXIF orientation, and a mask drawn on the stored or on the turned picture."""
    ids = np.random.default_rng(0).integers(0, 3, size).astype("uint8")
    picture = Image.fromarray(photograph(size=size))
    exif = picture.getexif()
    exif[0x0112] = orientation
    (root / "images").mkdir(parents=True, exist_ok=True)
    picture.save(root / "images" / "a.png", exif=exif)
    upright = ids if drawn_on == "stored" else np.rot90(ids, {3: 2, 6: -1, 8: 1}[orientation])
    save(root / "masks" / "a.png", np.ascontiguousarray(upright))
    return ids, upright


@pytest.mark.parametrize("orientation", [6, 8])
@pytest.mark.parametrize("drawn_on", ["stored", "turned"])
def test_sizes_say_on_which_picture_a_mask_was_drawn(tmp_path, orientation, drawn_on, recwarn):
    _, upright = turned(tmp_path, orientation, drawn_on=drawn_on)
    dataset = data.folder(tmp_path, num_classes=3)
    image, ids = load(dataset.pairs[0], dataset.labels, dataset.photographs)
    np.testing.assert_array_equal(ids, upright)
    stored = photograph()
    expected = stored if drawn_on == "stored" else np.rot90(stored, {6: -1, 8: 1}[orientation])
    np.testing.assert_array_equal(image, expected)
    assert bool(recwarn.list) == (drawn_on == "stored")
    inspection = data.inspect_dataset(dataset)
    assert ("EXIF" in str(inspection)) == (drawn_on == "stored")
    assert not inspection.spoils


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_tiffs_are_turned_by_the_same_rules(tmp_path, mode, orientation, compression, recwarn):
    """Pillow turns TIFFs by itself, and maps plain gray ones into memory with height and width exchanged."""
    pixels = {"RGB": photograph(), "L": photograph()[..., 0], "I;16": photograph()[..., 0].astype("uint16") << 8}[mode]
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / "a.tif", tiffinfo={274: orientation}, compression=compression)
    stored = photograph() if mode == "RGB" else np.repeat(photograph()[..., :1], 3, axis=-1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    turned_picture = tfseg.read_image(tmp_path / "turned.png")
    for mask_of, rule in ((stored, "ignore"), (turned_picture, "apply"), (stored, "sizes")):
        save(tmp_path / "masks" / "a.png", np.zeros(mask_of.shape[:2], "uint8"))
        dataset = data.folder(tmp_path, num_classes=3, exif=rule)
        image, _ = load(dataset.pairs[0], dataset.labels, dataset.photographs)
        expected = turned_picture if rule == "sizes" and orientation < 5 else mask_of
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(("orientation", "size"), [(3, (24, 32)), (6, (24, 24))])
def test_where_sizes_cannot_tell_the_user_is_asked(tmp_path, orientation, size):
    turned(tmp_path, orientation, drawn_on="stored", size=size)
    dataset = data.folder(tmp_path, num_classes=3)
    with pytest.warns(ExifWarning, match=r"does not tell.*--exif=apply or --exif=ignore"):
        load(dataset.pairs[0], dataset.labels, dataset.photographs)
    assert "does not tell" in str(data.inspect_dataset(dataset))
    ignoring = data.folder(tmp_path, num_classes=3, exif="ignore")
    image, _ = load(ignoring.pairs[0], ignoring.labels, ignoring.photographs)
    np.testing.assert_array_equal(image, photograph(size=size))
    assert not data.inspect_dataset(ignoring).findings


def test_photographs_of_12_bits_are_said_and_read_with_their_bits(tmp_path):
    bright = photograph()[..., 0].astype("uint16") << 4
    save(tmp_path / "images" / "a.png", bright)
    save(tmp_path / "masks" / "a.png", IDS)
    dataset = data.folder(tmp_path, num_classes=3)
    with pytest.warns(DarkPhotographWarning, match=r"no more than 12 of them.*--image_bits=12"):
        load(dataset.pairs[0], dataset.labels, dataset.photographs)
    inspection = data.inspect_dataset(dataset)
    assert inspection.spoils
    assert "almost black" in str(inspection)
    informed = data.folder(tmp_path, num_classes=3, image_bits=12)
    image, _ = load(informed.pairs[0], informed.labels, informed.photographs)
    np.testing.assert_array_equal(image[..., 0], photograph()[..., 0])
    with pytest.raises(ValueError, match=r"a.png: expected values below 1024, because of bits=10"):
        load(informed.pairs[0], informed.labels, data.Photographs(bits=10))


def test_void_throughout_is_said(tmp_path):
    pairs(tmp_path, 2)
    save(tmp_path / "masks" / "p1.png", np.full((24, 32), 255, "uint8"))
    inspection = data.inspect_dataset(data.folder(tmp_path, num_classes=3))
    assert "note: 1 pairs: the mask is void throughout" in str(inspection)
    assert not inspection.spoils
    save(tmp_path / "masks" / "p0.png", np.full((24, 32), 255, "uint8"))
    inspection = data.inspect_dataset(data.folder(tmp_path, num_classes=3))
    assert inspection.spoils
    assert "all masks are void throughout" in str(inspection)


@pytest.mark.parametrize("copied", ["bytes", "pixels"])
def test_a_mask_among_the_photographs_is_said(tmp_path, copied):
    pairs(tmp_path, 2)
    ids = mask(1)
    save(tmp_path / "images" / "p1.png", ids if copied == "bytes" else np.repeat(ids[..., None], 3, axis=-1))
    inspection = data.inspect_dataset(data.folder(tmp_path, num_classes=3))
    assert inspection.spoils
    assert "is its own mask" in str(inspection)


def test_several_pages_and_a_fourth_channel_are_said(tmp_path):
    pairs(tmp_path, 2)
    frames = [Image.fromarray(photograph(seed)) for seed in (0, 1)]
    (tmp_path / "images" / "p0.png").unlink()
    frames[0].save(tmp_path / "images" / "p0.tif", save_all=True, append_images=frames[1:])
    save(tmp_path / "images" / "p1.png", np.concatenate([photograph(), photograph(2)[..., :1]], axis=-1))
    report = str(data.inspect_dataset(data.folder(tmp_path, num_classes=3)))
    assert "several pages, of which the first is read (p0.tif)" in report
    assert "a fourth channel, which is left out; to use it: channels=4 (--channels=4) (p1.png)" in report


def test_training_says_once_what_is_strange(tmp_path):
    pairs(tmp_path, 8)
    frames = [Image.fromarray(photograph(seed)) for seed in (0, 1)]
    for index in (0, 1):
        (tmp_path / "images" / f"p{index}.png").unlink()
        frames[0].save(tmp_path / "images" / f"p{index}.tif", save_all=True, append_images=frames[1:])
        save(tmp_path / "images" / f"p{index + 2}.png", np.concatenate([photograph(), photograph(2)[..., :1]], axis=-1))
        save(tmp_path / "masks" / f"p{index + 4}.png", np.full((24, 32), 255, "uint8"))
        (tmp_path / "images" / f"p{index + 6}.png").write_bytes((tmp_path / "masks" / f"p{index + 6}.png").read_bytes())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loader = Loader(data.folder(tmp_path, num_classes=3))
        for index in [*range(8), *range(8)]:
            loader(index)
    assert all(warning.category is StrangePairWarning for warning in caught)
    kinds = ("several pages", "a fourth channel", "void throughout", "is its own mask")
    assert [sum(kind in str(warning.message) for warning in caught) for kind in kinds] == [1, 1, 1, 1]
    assert len(caught) == 4
    assert "p0.tif" in str(caught[0].message)


def test_photographs_in_two_splits_are_said(tmp_path):
    for split in ("train", "val"):
        pairs(tmp_path, 2 if split == "train" else 1, images=f"images/{split}", masks=f"masks/{split}")
    train, val = (data.folder(tmp_path, split, num_classes=3) for split in ("train", "val"))
    inspection = data.inspect_dataset(train, others=[val])
    assert inspection.spoils
    assert "1 pairs: the photograph is in" in str(inspection)
    assert [first.image.name for first, _ in data.shared_photographs(train, val)] == ["p0.png"]


def test_a_fault_of_all_masks_is_one_line(tmp_path):
    pairs(tmp_path, 30, ids=(0, 1, 2))
    report = str(data.inspect_dataset(data.folder(tmp_path, num_classes=2)))
    assert report.count("cannot be used") == 1
    assert "And 29 more like it." in report
