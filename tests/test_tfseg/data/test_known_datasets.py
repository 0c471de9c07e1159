"""VOC, SBD, Cityscapes, ADE20K and CamVid in the directories in which they are published."""

import numpy as np
import pytest
from helpers.data_sets import mask, pairs, photograph, save
from helpers.paths import SHARED_DATA

import tfseg
from tfseg import data
from tfseg.data.known_datasets import CAMVID_COLORS
from tfseg.data.loader import load

CAMVID = SHARED_DATA / "camvid"


@pytest.fixture
def voc_root(tmp_path):
    root = tmp_path / "VOC2012"
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, names in {"train": ["2007_1", "2007_2"], "val": ["2007_3"]}.items():
        (lists / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            save(root / "JPEGImages" / f"{name}.jpg", photograph())
            save(root / "SegmentationClass" / f"{name}.png", mask(ids=(0, 20, 255)), "P", list(range(256)) * 3)
    return root


def test_voc(voc_root):
    dataset = data.voc(voc_root)
    assert dataset.classes[20] == "tvmonitor"
    np.testing.assert_array_equal(load(dataset.pairs[0], dataset.labels)[1], mask(ids=(0, 20, 255)))


def test_voc_trainaug_adds_sbd_without_the_validation_images_of_voc(voc_root, tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    sbd = tmp_path / "sbd"
    (sbd / "cls").mkdir(parents=True)
    for split, names in {"train": ["2007_2", "2008_1"], "val": ["2007_3", "2008_2"]}.items():
        (sbd / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            save(sbd / "img" / f"{name}.jpg", photograph())
            scipy_io.savemat(sbd / "cls" / f"{name}.mat", {"GTcls": {"Segmentation": mask(ids=(0, 7, 20))}})
    dataset = data.voc(voc_root, "trainaug", sbd=sbd)
    assert [pair.image.stem for pair in dataset.pairs] == ["2007_1", "2007_2", "2008_1", "2008_2"]
    np.testing.assert_array_equal(load(dataset.pairs[-1], dataset.labels)[1], mask(ids=(0, 7, 20)))


def test_voc_trainaug_needs_sbd(voc_root):
    with pytest.raises(ValueError, match="pass sbd="):
        data.voc(voc_root, "trainaug")


def test_missing_list_of_voc_is_named(voc_root):
    with pytest.raises(ValueError, match=r"no list .*trainval.txt"):
        data.voc(voc_root, "trainval")


def test_missing_photograph_of_voc_is_named(voc_root):
    (voc_root / "JPEGImages" / "2007_3.jpg").unlink()
    with pytest.raises(ValueError, match=r"voc/val: 1 of 2 files are missing. Received: .*2007_3.jpg"):
        data.voc(voc_root, "val")


def test_cityscapes_ids_become_training_ids(tmp_path):
    raw = np.array([[0, 7, 8, 33], [1, 24, 26, 9]], "uint8")
    save(tmp_path / "leftImg8bit/train/ulm/ulm_0_leftImg8bit.png", photograph(size=(2, 4)))
    save(tmp_path / "gtFine/train/ulm/ulm_0_gtFine_labelIds.png", raw)
    dataset = data.cityscapes(tmp_path)
    _, classes = load(dataset.pairs[0], dataset.labels)
    np.testing.assert_array_equal(classes, [[255, 0, 1, 18], [255, 11, 13, 255]])
    assert (dataset.classes[11], dataset.classes[13], dataset.num_classes) == ("person", "car", 19)


def test_ade20k_has_void_at_0(tmp_path):
    save(tmp_path / "images/validation/ADE_1.jpg", photograph(size=(2, 2)))
    save(tmp_path / "annotations/validation/ADE_1.png", np.array([[0, 1], [150, 2]], "uint8"))
    dataset = data.ade20k(tmp_path, "validation")
    np.testing.assert_array_equal(load(dataset.pairs[0], dataset.labels)[1], [[255, 0], [149, 1]])


@pytest.mark.parametrize("form", ["segnet", "folders", "original"])
def test_camvid_in_each_form(tmp_path, form):
    ids = mask(ids=range(12))
    if form == "original":
        color_of = {value: color for color, value in CAMVID_COLORS.palette.items()}  # the last of each class
        save(tmp_path / "701_StillsRaw_full" / "p0.png", photograph())
        painted = np.array([color_of[value] for value in range(12)], "uint8")[ids]
        save(tmp_path / "LabeledApproved_full" / "p0_L.png", painted)
        (tmp_path / "val.txt").write_text("p0")
    else:
        images, masks = {"segnet": ("val", "valannot"), "folders": ("images/val", "masks/val")}[form]
        pairs(tmp_path, images=images, masks=masks, ids=range(12))
    dataset = data.camvid(tmp_path, "val")
    np.testing.assert_array_equal(load(dataset.pairs[0], dataset.labels)[1], np.where(ids == 11, 255, ids))
    assert dataset.classes == tuple(tfseg.specs.CLASSES["camvid"])


def test_palette_of_the_original_camvid_is_complete():
    assert len(CAMVID_COLORS.palette) == 32


def test_directory_without_a_form_of_camvid_is_refused(tmp_path):
    (tmp_path / "segnet").mkdir()
    with pytest.raises(ValueError, match=r"one of CamVid's forms: test and testannot; .* Received: segnet"):
        data.camvid(tmp_path, "test")


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not here")
def test_real_camvid():
    train, val = (data.camvid(CAMVID, split) for split in ("train", "val"))
    assert (len(train.pairs), len(val.pairs)) == (367, 101)
    image, classes = load(val.pairs[0], val.labels)
    assert image.shape == (*classes.shape, 3) == (360, 480, 3)
    assert set(np.unique(classes)) <= {*range(11), 255}
