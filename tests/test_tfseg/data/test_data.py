"""Data sets in every form on disk, what their masks become, and batches that a seed alone decides."""

import numpy as np
import pytest
from helpers.data_sets import mask, pairs, photograph, save
from helpers.paths import SHARED_DATA

import tfseg
from tfseg import data
from tfseg.data.loader import load
from tfseg.data.pipeline import augment

CAMVID = SHARED_DATA / "camvid"


# ------------------------------------------------------------------------------------------------------------ data sets


def test_a_folder_of_pairs(tmp_path):
    dataset = data.folder(pairs(tmp_path), num_classes=3, classes=("a", "b", "c"))
    assert [pair.image.name for pair in dataset.pairs] == ["p0.png", "p1.png", "p2.png"]
    assert (dataset.num_classes, dataset.classes) == (3, ("a", "b", "c"))
    image, found = load(dataset.pairs[1], dataset.labels)
    np.testing.assert_array_equal(image, photograph(1))
    np.testing.assert_array_equal(found, mask(1))


def test_splits_are_directories_or_lists(tmp_path):
    for split in ("train", "val"):
        pairs(tmp_path, images=f"images/{split}", masks=f"masks/{split}", ending="_mask")
    assert len(data.folder(tmp_path, "val", num_classes=3).pairs) == 3
    listed = pairs(tmp_path / "listed")
    (listed / "train.txt").write_text("p2\nimages/p0.png masks/p0.png\n\n")
    dataset = data.folder(listed, "train", num_classes=3)
    assert [pair.image.stem for pair in dataset.pairs] == ["p2", "p0"]
    with pytest.raises(ValueError, match=r"no split 'test': neither directories .* nor .*test.txt"):
        data.folder(listed, "test", num_classes=3)


def test_pairs_that_are_none(tmp_path):
    pairs(tmp_path)
    (tmp_path / "masks" / "p1.png").unlink()
    with pytest.raises(ValueError, match=r"1 photographs without a mask \(p1"):
        data.folder(tmp_path, num_classes=3)
    save(tmp_path / "masks" / "p1.png", mask())
    save(tmp_path / "images" / "p1.jpg", photograph())
    with pytest.raises(ValueError, match=r"p1.jpg and .*p1.png bear one name"):
        data.folder(tmp_path, num_classes=3)
    for name in ("images", "masks"):
        (tmp_path / "empty" / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"Received: no photograph"):
        data.folder(tmp_path / "empty", num_classes=3)
    with pytest.raises(ValueError, match=r"no directory .*pictures. Received: images, masks"):
        data.folder(tmp_path / "empty", num_classes=3, images="pictures")


def test_voc_and_sbd(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    root, sbd = tmp_path / "VOC2012", tmp_path / "sbd"
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, names in {"train": ["2007_1", "2007_2"], "val": ["2007_3"]}.items():
        (lists / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            save(root / "JPEGImages" / f"{name}.jpg", photograph())
            save(root / "SegmentationClass" / f"{name}.png", mask(ids=(0, 20, 255)), "P", list(range(256)) * 3)
    (sbd / "cls").mkdir(parents=True)
    for split, names in {"train": ["2007_2", "2008_1"], "val": ["2007_3", "2008_2"]}.items():
        (sbd / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            save(sbd / "img" / f"{name}.jpg", photograph())
            scipy_io.savemat(sbd / "cls" / f"{name}.mat", {"GTcls": {"Segmentation": mask(ids=(0, 7, 20))}})
    dataset = data.voc(root)
    assert dataset.classes[20] == "tvmonitor"
    np.testing.assert_array_equal(load(dataset.pairs[0], dataset.labels)[1], mask(ids=(0, 20, 255)))
    augmented = data.voc(root, "trainaug", sbd=sbd)
    assert [pair.image.stem for pair in augmented.pairs] == ["2007_1", "2007_2", "2008_1", "2008_2"]
    np.testing.assert_array_equal(load(augmented.pairs[-1], dataset.labels)[1], mask(ids=(0, 7, 20)))
    with pytest.raises(ValueError, match="pass sbd="):
        data.voc(root, "trainaug")
    with pytest.raises(ValueError, match=r"no list .*trainval.txt"):
        data.voc(root, "trainval")
    (root / "JPEGImages" / "2007_3.jpg").unlink()
    with pytest.raises(ValueError, match=r"voc/val: 1 of 2 files are not there. Received: .*2007_3.jpg"):
        data.voc(root, "val")


def test_cityscapes(tmp_path):
    raw = np.array([[0, 7, 8, 33], [1, 24, 26, 9]], "uint8")
    save(tmp_path / "leftImg8bit/train/ulm/ulm_0_leftImg8bit.png", photograph(size=(2, 4)))
    save(tmp_path / "gtFine/train/ulm/ulm_0_gtFine_labelIds.png", raw)
    dataset = data.cityscapes(tmp_path)
    _, found = load(dataset.pairs[0], dataset.labels)
    np.testing.assert_array_equal(found, [[255, 0, 1, 18], [255, 11, 13, 255]])
    assert (dataset.classes[11], dataset.classes[13], dataset.num_classes) == ("person", "car", 19)


def test_ade20k(tmp_path):
    save(tmp_path / "images/validation/ADE_1.jpg", photograph(size=(2, 2)))
    save(tmp_path / "annotations/validation/ADE_1.png", np.array([[0, 1], [150, 2]], "uint8"))
    dataset = data.ade20k(tmp_path, "validation")
    np.testing.assert_array_equal(load(dataset.pairs[0], dataset.labels)[1], [[255, 0], [149, 1]])


def test_camvid_in_all_its_forms(tmp_path):
    ids = mask(ids=range(12))
    colors = {value: color for color, value in data.datasets.CAMVID_COLORS.palette.items()}  # the last of each class
    forms = {"segnet": ("val", "valannot"), "folders": ("images/val", "masks/val")}
    for form, (images, masks) in forms.items():
        pairs(tmp_path / form, images=images, masks=masks, ids=range(12))
    original = tmp_path / "original"
    save(original / "701_StillsRaw_full" / "p0.png", photograph())
    painted = np.array([colors[value] for value in range(12)], "uint8")[ids]
    save(original / "LabeledApproved_full" / "p0_L.png", painted)
    (original / "val.txt").write_text("p0")
    for form in (*forms, "original"):
        dataset = data.camvid(tmp_path / form, "val")
        np.testing.assert_array_equal(load(dataset.pairs[0], dataset.labels)[1], np.where(ids == 11, 255, ids))
        assert dataset.classes == tuple(tfseg.specs.CLASSES["camvid"])
    assert len(data.datasets.CAMVID_COLORS.palette) == 32
    with pytest.raises(ValueError, match=r"one of CamVid's forms: test and testannot; .* Received: folders, original"):
        data.camvid(tmp_path, "test")


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not here")
def test_the_real_camvid():
    train, val = (data.camvid(CAMVID, split) for split in ("train", "val"))
    assert (len(train.pairs), len(val.pairs)) == (367, 101)
    image, found = load(val.pairs[0], val.labels)
    assert image.shape == (*found.shape, 3) == (360, 480, 3)
    assert set(np.unique(found)) <= {*range(11), 255}


# ---------------------------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("form", ["grey", "palette", "one bit", "16 bits"])
def test_masks_are_read_by_index(tmp_path, form):
    ids = mask(ids=(0, 1))
    options = {
        "grey": (ids, "L"),
        "palette": (ids, "P", [255, 0, 0, 0, 255, 0]),
        "one bit": (ids.astype(bool), None),
        "16 bits": (ids.astype("uint16"), None),
    }
    path = save(tmp_path / "m.png", *options[form])
    labels = data.Labels(2, ids={0: 0, 255: 1}, void=()) if form == "one bit" else data.Labels(2)
    np.testing.assert_array_equal(data.read_mask(path, labels), ids)


def test_masks_that_cannot_be_read_are_told(tmp_path):
    colors = np.array([[[0, 0, 0], [128, 0, 0]]], "uint8")
    path = save(tmp_path / "m.png", colors)
    with pytest.raises(ValueError, match=r"m.png: a mask holds one number a pixel.* mode RGB.*palette="):
        data.read_mask(path, data.Labels(2))
    known = {(0, 0, 0): 0, (128, 0, 0): 1}
    np.testing.assert_array_equal(data.read_mask(path, data.Labels(2, palette=known)), [[0, 1]])
    with pytest.raises(ValueError, match=r"1 colours are not in the palette of 1. Received: \(128, 0, 0\)"):
        data.read_mask(path, data.Labels(2, palette={(0, 0, 0): 0}))
    path = save(tmp_path / "n.png", np.array([[0, 3, 9]], "uint8"))
    with pytest.raises(ValueError, match=r"n.png: expected the classes 0 to 2, or 255 where .* Received: 3, 9"):
        data.read_mask(path, data.Labels(3))
    path = save(tmp_path / "o.png", np.array([[0, 3, 60000]], "uint16"))
    with pytest.raises(ValueError, match=r"Received: 60000"):
        data.read_mask(path, data.Labels(4))
    path = save(tmp_path / "p.tif", np.array([[0, -1, 70000]], "int32"))
    with pytest.raises(ValueError, match=r"Received: -1, 70000"):
        data.read_mask(path, data.Labels(4))


def test_pairs_that_do_not_fit(tmp_path):
    image, small = save(tmp_path / "i.png", photograph()), save(tmp_path / "m.png", mask(size=(24, 31)))
    with pytest.raises(
        ValueError, match=r"m.png: a mask has the size of its photograph. Received: 31x24, and i.png is 32x24"
    ):
        load(data.Pair(image, small), data.Labels(3))
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"i.png.*not a whole picture"):
        load(data.Pair(image, small), data.Labels(3))


# -------------------------------------------------------------------------------------------------------------- batches


def taken(dataset, steps, **options):
    return [
        (images.numpy(), masks.numpy()) for images, masks in data.batches(dataset, 2, "torch", steps=steps, **options)
    ]


CROP = data.Augmentation(crop=(16, 20), jitter=0.2)


def test_a_run_that_begins_later_sees_what_it_would_have_seen(tmp_path):
    dataset = data.folder(pairs(tmp_path, 5), num_classes=3)
    whole = taken(dataset, 6, augmentation=CROP, seed=3)
    rest = taken(dataset, 2, augmentation=CROP, seed=3, start=4)
    for (images, masks), (again, masks_again) in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(masks, masks_again)
    other = taken(dataset, 6, augmentation=CROP, seed=4)
    assert any((one[1] != two[1]).any() for one, two in zip(whole, other, strict=True))
    assert whole[0][0].shape == (2, 16, 20, 3)
    assert (whole[0][0].dtype, whole[0][1].dtype) == ("float32", "uint8")


def test_every_epoch_sees_every_photograph_once(tmp_path):
    dataset = data.folder(pairs(tmp_path, 6), num_classes=3)
    orders = []
    for epoch in range(2):
        seen = np.concatenate([masks for _, masks in taken(dataset, 3, start=3 * epoch)])
        orders.append([next(i for i in range(6) if (mask(i) == one).all()) for one in seen])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(6))
    assert orders[0] != orders[1]
    straight = np.concatenate([masks for _, masks in taken(dataset, 3, shuffle=False)])
    np.testing.assert_array_equal(straight[0], mask(0))


def test_photographs_are_prepared_as_for_predict(tmp_path):
    dataset = data.folder(pairs(tmp_path, 2), num_classes=3)
    for name in ("torch", "caffe"):
        (images, _), *_ = data.batches(dataset, 2, name, steps=1, shuffle=False)
        expected = np.stack([tfseg.preprocess(photograph(index), name) for index in range(2)])
        np.testing.assert_allclose(images, expected, atol=1e-5)


def test_photograph_and_mask_are_changed_alike():
    """A picture that shows its own mask still does, wherever it was cut, however large it was made."""
    ids = np.kron(np.array([[0, 1], [2, 3]]), np.ones((40, 40))).astype("uint8")
    image = np.repeat(ids[..., None] * 60, 3, axis=-1).astype("uint8")
    mirrored = 0
    for seed in range(12):
        changed, found = augment(image, ids, data.Augmentation(crop=(50, 60)), (0, seed))
        changed, found = changed.numpy(), found.numpy()
        assert changed.shape == (50, 60, 3)
        counted = found != 255
        shown = np.round(changed[..., 0] / 60)
        assert (shown[counted] == found[counted]).mean() > 0.9  # the edges between classes are blended
        first = found[counted]
        mirrored += bool(len(first) and first[0] in (1, 3))
    assert mirrored


def test_what_the_photograph_does_not_cover_is_void():
    ids, image = np.zeros((10, 10), "uint8"), np.full((10, 10, 3), 77, "uint8")
    plain = data.Augmentation(crop=(16, 12), scale=(1, 1), flip=False)
    changed, found = augment(image, ids, plain, (0, 0))
    np.testing.assert_array_equal(found.numpy(), np.pad(ids, ((3, 3), (1, 1)), constant_values=255))
    np.testing.assert_allclose(changed.numpy(), 77)


def test_pictures_that_cannot_be_read_stop_or_are_skipped(tmp_path):
    dataset = data.folder(pairs(tmp_path, 4), num_classes=3)
    (tmp_path / "images" / "p2.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    import tensorflow as tf

    with pytest.raises(tf.errors.OpError, match=r"p2.png.*not a whole picture"):
        taken(dataset, 2)
    with pytest.warns(RuntimeWarning, match=r"skipped: .*p2.png"):
        found = taken(dataset, 2, shuffle=False, skip_unreadable=True)
    np.testing.assert_array_equal(found[1][1][0], mask(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": (0.5, 2)}, "many sizes: pass crop="),
        ({"scale": (2, 1), "crop": (8, 8)}, "a lowest and a highest factor"),
        ({"jitter": 1, "crop": (8, 8)}, "jitter is at least 0 and below 1"),
    ],
)
def test_augmentations_that_cannot_be(tmp_path, options, message):
    dataset = data.folder(pairs(tmp_path, 1), num_classes=3)
    with pytest.raises(ValueError, match=message):
        data.batches(dataset, 1, "torch", augmentation=data.Augmentation(**options))
