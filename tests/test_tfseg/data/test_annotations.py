"""Annotations of COCO, LabelMe and CVAT become masks: pixel by pixel, or refused with the reason."""

import base64
import io
import itertools
import json
import pathlib
import unicodedata

import cv2
import numpy as np
import pytest
from helpers.data_sets import photograph, save
from PIL import Image

from tfseg import data
from tfseg.data.loader import load

pytest.importorskip("pycocotools")
SIZE = (24, 32)


def box(top, left, bottom, right):
    return [left, top, right, top, right, bottom, left, bottom]


# One scene in three formats: (label, top, left, bottom, right), the later ones over the earlier ones.
SCENE = [("road", 12, 0, 24, 32), ("car", 8, 4, 16, 20), ("sign", 2, 24, 6, 30), ("_background_", 10, 6, 12, 9)]


def expected(values, outside=0, scene=SCENE):
    mask = np.full(SIZE, outside)
    for label, top, left, bottom, right in scene:
        mask[top:bottom, left:right] = values[label]
    return mask


def write_coco(root, scene=SCENE, names=("a.jpg",), labels=("sign", "car", "road", "_background_"), **changes):
    """Category ids are 3, 13, 23 ... in the order of `labels`."""
    ids = {label: 3 + 10 * index for index, label in enumerate(labels)}
    saved = {
        "images": [
            {"id": 40 + index, "file_name": name, "height": 24, "width": 32} for index, name in enumerate(names)
        ],
        "categories": [{"id": ids[label], "name": label} for label in reversed(labels)],
        "annotations": [
            {"id": 1, "image_id": 40, "category_id": ids[label], "segmentation": [box(*place)], "iscrowd": 0}
            for label, *place in scene
        ],
    } | changes
    for name in names:
        save(root / "images" / name, photograph(size=SIZE))
    (root / "annotations.json").write_text(json.dumps(saved))
    return root


def write_labelme(root, scene=SCENE, name="a", **changes):
    shapes = [
        # With the outline: the lower right corner is inside.
        {"label": label, "shape_type": "rectangle", "points": [[left, top], [right - 1, bottom - 1]]}
        for label, top, left, bottom, right in scene
    ]
    content = {"version": "5.5", "shapes": shapes, "imagePath": f"..\\photos\\{name}.jpg", "imageData": "AAAA"}
    content |= {"imageHeight": 24, "imageWidth": 32}
    save(root / "photos" / f"{name}.jpg", photograph(size=SIZE))
    (root / "labels").mkdir(exist_ok=True)
    (root / "labels" / f"{name}.json").write_text(json.dumps(content | changes))
    return root


def write_cvat(root, scene=SCENE, shapes=None, labels=("sign", "car", "road", "_background_"), name="a.jpg"):
    listed = "".join(f"<label><name>{label}</name><color>#ff0000</color></label>" for label in labels)
    if shapes is None:  # written backwards: the z-order decides
        shapes = "".join(
            f'<box label="{label}" occluded="0" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}" z_order="{z}"/>'
            for z, (label, top, left, bottom, right) in reversed(list(enumerate(scene)))
        )
    save(root / "images" / name, photograph(size=SIZE))
    (root / "annotations.xml").write_text(
        f"<?xml version='1.0' encoding='utf-8'?><annotations><version>1.1</version><meta><task><labels>{listed}</labels>"
        f'</task></meta><image id="0" name="{name}" width="32" height="24"><tag label="car"/>{shapes}</image></annotations>'
    )
    return root


WRITTEN = {"coco_json": write_coco, "labelme": write_labelme, "cvat": write_cvat}
# Without `classes`: COCO's in order of the ids, LabelMe's sorted, CVAT's as listed; background is the first.
NAMES = {
    "coco_json": ("_background_", "sign", "car", "road"),
    "labelme": ("_background_", "car", "road", "sign"),
    "cvat": ("_background_", "sign", "car", "road"),
}
KINDS = pytest.mark.parametrize("kind", WRITTEN)


def mask_of(dataset, index=0):
    return load(dataset.pairs[index], dataset.labels)[1]


@KINDS
def test_shapes_become_classes_pixel_by_pixel(kind, tmp_path):
    dataset = getattr(data, kind)(WRITTEN[kind](tmp_path))
    assert dataset.classes == NAMES[kind]
    values = {name: index for index, name in enumerate(NAMES[kind])}
    np.testing.assert_array_equal(mask_of(dataset), expected(values))
    inspection = data.inspect_dataset(dataset)
    assert not inspection.faults
    assert inspection.pixel_counts.sum() == 24 * 32


@KINDS
def test_classes_background_and_ignored_labels_are_chosen(kind, tmp_path):
    root, open_data = WRITTEN[kind](tmp_path), getattr(data, kind)
    dataset = open_data(root, classes=["car", "road", "sign"])
    assert dataset.classes == ("background", "car", "road", "sign")
    np.testing.assert_array_equal(mask_of(dataset), expected({"car": 1, "road": 2, "sign": 3, "_background_": 0}))
    placed = open_data(root, classes=["road", "_background_"], ignore=["car"], skip=["sign"])
    assert placed.classes == ("road", "_background_")
    scene = [entry for entry in SCENE if entry[0] != "sign"]
    np.testing.assert_array_equal(
        mask_of(placed), expected({"road": 0, "car": 255, "_background_": 1}, outside=1, scene=scene)
    )
    partial = open_data(root, classes=["car", "road", "sign"], background=False, ignore=["_background_"])
    values = {"car": 0, "road": 1, "sign": 2, "_background_": 255}
    np.testing.assert_array_equal(mask_of(partial), expected(values, outside=255))


@KINDS
def test_pixels_of_several_shapes_can_be_void(kind, tmp_path):
    scene = [("car", 0, 0, 10, 10), ("car", 5, 5, 12, 12), ("road", 8, 8, 20, 20)]
    dataset = getattr(data, kind)(WRITTEN[kind](tmp_path, scene), classes=["car", "road", "sign"], overlaps="void")
    wanted = expected({"car": 1, "road": 2}, scene=scene)
    wanted[8:12, 8:12] = 255
    wanted[10:12, 10:12] = 255
    assert 1 in wanted
    np.testing.assert_array_equal(mask_of(dataset), wanted)
    with pytest.raises(ValueError, match=r"overlaps is one of last, void. Received: 'first'"):
        getattr(data, kind)(tmp_path, overlaps="first")


@KINDS
def test_a_label_that_is_no_class_is_named(kind, tmp_path):
    message = (
        r"expected the classes background, road. Received 2 other labels: .*(car|sign).*--ignore_labels.*--skip_labels"
    )
    with pytest.raises(ValueError, match=message):
        getattr(data, kind)(WRITTEN[kind](tmp_path), classes=["road"])
    with pytest.raises(ValueError, match="Received twice: car"):
        getattr(data, kind)(tmp_path, classes=["car", "car", "road", "sign"])


@KINDS
def test_names_of_ignored_labels_are_known(kind, tmp_path):
    scene = [("car", 2, 2, 9, 9), ("void", 4, 4, 6, 6)]
    written = WRITTEN[kind]
    root = written(tmp_path, scene) if kind == "labelme" else written(tmp_path, scene, labels=("car", "void"))
    dataset = getattr(data, kind)(root)
    assert dataset.classes == ("background", "car")
    np.testing.assert_array_equal(mask_of(dataset), expected({"car": 1, "void": 255}, scene=scene))


@KINDS
def test_missing_pictures_are_counted(kind, tmp_path):
    root = WRITTEN[kind](tmp_path)
    for path in root.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(
        ValueError, match=r"(1 of 1 pictures are missing \(a.jpg\)|its picture .*a.jpg is missing).*--images"
    ):
        getattr(data, kind)(root)


@KINDS
def test_a_picture_of_another_size_is_named(kind, tmp_path):
    root = WRITTEN[kind](tmp_path)
    (path,) = root.rglob("*.jpg")
    save(path, photograph(size=(24, 30)))
    with pytest.raises(ValueError, match=r"a mask has the size of its photograph. Received: 32x24, and a.jpg is 30x24"):
        mask_of(getattr(data, kind)(root))


@KINDS
def test_other_kinds_of_annotations_are_recognized(kind, tmp_path):
    other = {"coco_json": "labelme", "labelme": "coco_json", "cvat": "coco_json"}[kind]
    root = WRITTEN[other](tmp_path)
    path = root / "annotations.json" if other == "coco_json" else root / "labels" / "a.json"
    messages = {
        "coco_json": r"expected COCO's annotations.*Received: LabelMe's annotations .*--dataset=labelme",
        "labelme": r"expected LabelMe's annotations.*Received: COCO's annotations: .*--dataset=coco_json",
        "cvat": r"expected CVAT's annotations, a whole XML file",
    }
    split = {} if kind == "labelme" else {"split": path}
    with pytest.raises(ValueError, match=messages[kind]):
        getattr(data, kind)(root, **split)


# ------------------------------------------------------------------------------------------------------ boundary rules


def random_polygon(rng, count):
    """A star around its center, mostly inside the picture."""
    angles, radii = np.sort(rng.uniform(0, 2 * np.pi, count)), rng.uniform(2, 14, count)
    return [
        [16 + radius * np.cos(angle), 12 + radius * np.sin(angle)] for angle, radius in zip(angles, radii, strict=True)
    ]


def distances(points, shift):
    """How far inside a polygon each pixel is; its point is the corner, shifted by a part of a pixel."""
    contour = np.array(points, "float32")[:, None]
    return np.array(
        [[cv2.pointPolygonTest(contour, (x + shift, y + shift), True) for x in range(32)] for y in range(24)]
    )


def test_polygons_of_coco_and_cvat_are_those_of_pycocotools(tmp_path):
    from pycocotools.coco import COCO

    rng = np.random.default_rng(0)
    for trial in range(6):
        root = tmp_path / str(trial)
        points = random_polygon(rng, 3 + trial)
        flat = np.ravel(points).tolist()
        write_coco(root, [], labels=("car",))
        path = root / "annotations.json"
        saved = json.loads(path.read_text())
        saved["annotations"] = [{"id": 1, "image_id": 40, "category_id": 3, "segmentation": [flat, box(1, 1, 4, 5)]}]
        path.write_text(json.dumps(saved))
        reference = COCO(path)
        drawn = mask_of(data.coco_json(root))
        np.testing.assert_array_equal(drawn, reference.annToMask(reference.loadAnns(1)[0]))
        text = ";".join(f"{x},{y}" for x, y in points)
        write_cvat(root, shapes=f'<polygon label="car" points="{text}"/>', labels=("car",))
        cvat = mask_of(data.cvat(root, root / "annotations.xml"))
        cvat[1:4, 1:5] = 1
        np.testing.assert_array_equal(cvat, drawn)
        inside = distances(points, 0.5)
        assert (drawn[inside > 1] == 1).all()
        drawn[1:4, 1:5] = 0
        assert (drawn[inside < -1] == 0).all()


def test_polygons_of_labelme_have_their_outline(tmp_path):
    """LabelMe's own drawing, by Pillow, drops the fractions of the corners."""
    rng = np.random.default_rng(1)
    for trial in range(6):
        points = random_polygon(rng, 3 + trial)
        drawn = mask_of(data.labelme(write_labelme(tmp_path / str(trial), shapes=[{"label": "car", "points": points}])))
        corners = np.trunc(points).astype(int)
        inside = distances(corners, 0)
        assert (drawn[inside >= 0] == 1).all()
        assert (drawn[inside < -1] == 0).all()
        reference = cv2.fillPoly(np.zeros(SIZE, "uint8"), [corners], 1)
        assert np.mean(drawn != reference) < 0.02


def test_circles_and_masks_of_labelme(tmp_path):
    patch = np.random.default_rng(0).integers(0, 2, (6, 5)).astype("uint8")
    stored = io.BytesIO()
    Image.fromarray(patch * 255).save(stored, "PNG")
    shapes = [
        {"label": "ball", "shape_type": "circle", "points": [[10, 12], [10, 17]]},
        {
            "label": "spot",
            "shape_type": "mask",
            "points": [[20, 3], [24, 8]],
            "mask": base64.b64encode(stored.getvalue()).decode(),
        },
        {
            "label": "edge",
            "shape_type": "mask",
            "points": [[-2, 20], [2, 25]],
            "mask": base64.b64encode(stored.getvalue()).decode(),
        },
    ]
    drawn = mask_of(data.labelme(write_labelme(tmp_path, shapes=shapes)))
    rows, columns = np.mgrid[:24, :32]
    radius = np.hypot(columns - 10, rows - 12)
    assert (drawn[radius < 5] == 1).all()
    assert (drawn[(radius > 6) & (columns > 3) & (columns < 20)] == 0).all()
    np.testing.assert_array_equal(drawn[3:9, 20:25], patch * 3)
    np.testing.assert_array_equal(drawn[20:24, 0:3], patch[:4, 2:] * 2)


def runs(mask):
    """Lengths of the runs of a boolean array, False first."""
    counts = [len(list(group)) for _, group in itertools.groupby(mask.ravel().tolist())]
    return [0, *counts] if mask.ravel()[0] else counts


def test_run_length_codes_are_expanded(tmp_path):
    from pycocotools import mask as drawing

    area = np.random.default_rng(0).integers(0, 2, SIZE).astype("uint8")
    text = drawing.encode(np.asfortranarray(area))["counts"].decode()
    for counts in (runs(area.T), text):
        code = {"image_id": 40, "category_id": 3, "segmentation": {"size": [24, 32], "counts": counts}, "iscrowd": 1}
        root = write_coco(tmp_path, [], labels=("car",), annotations=[code])
        np.testing.assert_array_equal(mask_of(data.coco_json(root)), area)
    part = ", ".join(map(str, runs(area[:10, :20])))
    shape = f'<mask label="car" rle="{part}" left="9" top="3" width="20" height="10" z_order="0"/>'
    drawn = mask_of(data.cvat(write_cvat(tmp_path, shapes=shape, labels=("car",))))
    np.testing.assert_array_equal(drawn[3:13, 9:29], area[:10, :20])
    assert drawn.sum() == area[:10, :20].sum()


def test_boxes_and_ellipses_of_cvat_are_turned(tmp_path):
    shape = '<box label="car" xtl="6" ytl="10" xbr="26" ybr="14" rotation="90"/>'
    drawn = mask_of(data.cvat(write_cvat(tmp_path, shapes=shape, labels=("car",))))
    wanted = np.zeros(SIZE)
    wanted[2:22, 14:18] = 1
    np.testing.assert_array_equal(drawn, wanted)
    shape = '<ellipse label="car" cx="16" cy="12" rx="10" ry="4" rotation="90"/>'
    drawn = mask_of(data.cvat(write_cvat(tmp_path, shapes=shape, labels=("car",))))
    rows, columns = np.mgrid[:24, :32] + 0.5
    np.testing.assert_array_equal(drawn, ((columns - 16) / 4) ** 2 + ((rows - 12) / 10) ** 2 <= 1)


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ([], "car in a.jpg: expected the outline of the object. Received: a box alone"),
        ([[1, 1, 5, 5]], r"expected polygons \[x, y, x, y, ...\] of three points or more. Received: \[1, 1, 5, 5\]"),
        ([[1, 1, 5, 5, 9]], "expected polygons"),
        ([[1, 1, 5, 5, float("nan"), 3]], "expected polygons"),
        ({"counts": [1]}, "expected a run-length code with size and counts"),
        ({"size": [24, 32], "counts": [5, 5]}, "as long together as its area has pixels, 768. Received: 10"),
        ({"size": [32, 24], "counts": [768]}, r"the size of its picture, 24 x 32. Received: \[32, 24\]"),
        ({"size": [24, 32], "counts": "garbage~~"}, "a shape .runs. cannot be drawn"),
    ],
)
def test_invalid_outlines_of_coco_are_named(tmp_path, code, message):
    annotation = {"image_id": 40, "category_id": 3, "segmentation": code, "bbox": [1, 1, 4, 4]}
    with pytest.raises(ValueError, match=message):
        mask_of(data.coco_json(write_coco(tmp_path, [], labels=("car",), annotations=[annotation])))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"annotations": [{"image_id": 41, "category_id": 3}]},
            "1 annotations have image_id of no entry in the file. Received: 41",
        ),
        (
            {"annotations": [{"image_id": 40, "category_id": 4}]},
            "1 annotations have category_id of no entry in the file. Received: 4",
        ),
        ({"annotations": [{"image_id": [40], "category_id": 3}]}, r"image_id of no entry in the file. Received: .40."),
        ({"annotations": [1]}, r"a list of annotations. Received: .1."),
        ({"annotations": {}}, "a list of annotations. Received: {}"),
        ({"categories": [{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]}, "an id for each of the categories"),
        ({"images": [{"id": 40, "file_name": "a.jpg"}], "annotations": []}, "the height and the width of the picture"),
        ({"images": [{"id": 40}]}, r"COCO's images and categories. Received: KeyError\('file_name'\)"),
    ],
)
def test_inconsistent_files_of_coco_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        data.coco_json(write_coco(tmp_path, [], labels=("car",), **changes))


@pytest.mark.parametrize("content", ["[]", "{", '[{"image_id": 1, "category_id": 2}]', "null", "\xff"])
def test_other_files_of_json_are_refused(tmp_path, content):
    (tmp_path / "annotations.json").write_text(content)
    with pytest.raises(ValueError, match=r"annotations.json: expected COCO's annotations"):
        data.coco_json(tmp_path)
    with pytest.raises(ValueError, match=r"annotations.json: expected LabelMe's annotations"):
        data.labelme(tmp_path)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"shape_type": "line", "points": [[1, 1], [5, 5]]}, "line of car: expected a shape that encloses pixels"),
        ({"shape_type": "point", "points": [[1, 1]]}, r"point of car: .*skip= \(--skip_labels\)"),
        ({"points": [[1, 1], [5, 5]]}, "polygon of car: another number of points. Received: 2"),
        ({"points": [[1, 1], [5, "x"], [7, 7]]}, "expected points"),
        ({"shape_type": "mask", "points": [[1, 1], [5, 5]], "mask": "AAAA"}, "expected a picture in base64"),
        ({"shape_type": "cube", "points": [[1, 1], [5, 5]]}, "expected a polygon, rectangle, circle or mask"),
    ],
)
def test_shapes_of_labelme_that_enclose_nothing_are_named(tmp_path, shape, message):
    with pytest.raises(ValueError, match=message):
        data.labelme(write_labelme(tmp_path, shapes=[{"label": "car", **shape}]))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ('<polyline label="car" points="1,1;5,5"/>', "polyline of car: expected a shape that encloses pixels"),
        ('<points label="car" points="1,1"/>', "points of car"),
        ('<polygon label="car" points="1,1;5,5"/>', "expected points x,y;x,y;x,y. Received: '1,1;5,5'"),
        ('<polygon label="car" points="1,1,2;5,5;6,6"/>', "expected points"),
        ('<box label="car" xtl="1" ytl="x" xbr="2" ybr="3"/>', "expected a number ytl. Received: 'x'"),
        ('<mask label="car" rle="4, 4" left="0" top="0" width="3" height="3"/>', "area has pixels, 9. Received: 8"),
        ('<ellipse label="car" cx="3" cy="3" rx="0" ry="2"/>', "expected radii above 0"),
        (
            "<box xtl='1' ytl='1' xbr='2' ybr='3'/>",
            "box of no label: expected polygon, box, ellipse, mask with a label",
        ),
    ],
)
def test_shapes_of_cvat_that_cannot_be_drawn_are_named(tmp_path, shapes, message):
    with pytest.raises(ValueError, match=message):
        mask_of(data.cvat(write_cvat(tmp_path, shapes=shapes, labels=("car",))))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotations><track id='0'/></annotations>", "CVAT for images 1.1. Received: tracks of a film"),
        ("<annotation><object/></annotation>", "Received: the element annotation"),
        ("<annotations/>", "expected pictures. Received: none"),
        ("<annotations>", "a whole XML file"),
    ],
)
def test_other_files_of_xml_are_refused(tmp_path, content, message):
    (tmp_path / "annotations.xml").write_text(content)
    with pytest.raises(ValueError, match=message):
        data.cvat(tmp_path)


def test_without_pycocotools_the_error_says_what_to_install(tmp_path, monkeypatch):
    import sys

    dataset = data.coco_json(write_coco(tmp_path))
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(ValueError, match=r'its shapes need pycocotools: pip install "tfseg\[coco\]"'):
        mask_of(dataset)


# ------------------------------------------------------------------------------------------------- where the files are


def test_pictures_of_coco_are_found_in_usual_places(tmp_path):
    for place in ("train", "images/train", "images", "JPEGImages", ""):
        root = tmp_path / (place.replace("/", "_") or "root")
        write_coco(root, names=("C:\\photos\\x\\a.jpg",) if place == "images" else ("a.jpg",))
        for path in root.rglob("*a.jpg"):
            (root / place).mkdir(parents=True, exist_ok=True)
            path.rename(root / place / "a.jpg")
        (root / "annotations").mkdir()
        (root / "annotations.json").rename(root / "annotations" / "instances_train.json")
        options = {"images": place} if place == "JPEGImages" else {}
        for split in ("train", root / "annotations" / "instances_train.json"):
            (pair,) = data.coco_json(root, split, **options).pairs
            assert pair.image == root / place / "a.jpg"
        (pair,) = data.coco_json(root, **options).pairs
        assert pair.image.is_file()


def test_pictures_of_one_name_in_two_folders_are_not_mixed_up(tmp_path):
    write_coco(tmp_path, names=("x/a.jpg", "y/a.jpg"))
    names = [str(pair.image.relative_to(tmp_path)) for pair in data.coco_json(tmp_path).pairs]
    assert names == ["images/x/a.jpg", "images/y/a.jpg"]
    save(tmp_path / "images" / "a.jpg", photograph(size=SIZE))
    for folder in "xy":
        (tmp_path / "images" / folder / "a.jpg").unlink()
    with pytest.raises(ValueError, match=r"a picture for every name. Received: several names for"):
        data.coco_json(tmp_path)


def test_accents_of_names_may_be_stored_in_two_ways(tmp_path):
    stored, stated = (unicodedata.normalize(form, "B\u00fccher/\u00e9.jpg") for form in ("NFD", "NFC"))
    assert stored != stated
    for kind, written in (("coco_json", write_coco), ("cvat", write_cvat)):
        root = tmp_path / kind
        options = {"names": (stored,)} if kind == "coco_json" else {"name": stored}
        written(root, **options)
        (path,) = root.glob("annotations.*")
        path.write_text(
            path.read_text().replace(json.dumps(stored)[1:-1], json.dumps(stated)[1:-1]).replace(stored, stated)
        )
        (pair,) = getattr(data, kind)(root).pairs
        assert pair.image == root / "images" / stored


def test_several_files_without_a_name_are_ambiguous(tmp_path):
    root = write_coco(tmp_path)
    (root / "annotations.json").rename(root / "a.json")
    assert len(data.coco_json(root).pairs) == 1
    (root / "b.json").write_text("{}")
    with pytest.raises(ValueError, match=r"Received several: a.json, b.json. Name the file: split= \(--split\)"):
        data.coco_json(root)


def test_splits_of_labelme_are_directories_or_lists(tmp_path):
    for name in ("a", "b", "c d"):
        write_labelme(tmp_path, name=name)
    (tmp_path / "train.txt").write_text("labels/a.json\nphotos\\c d.jpg\n")
    assert [pair.image.name for pair in data.labelme(tmp_path, "train").pairs] == ["a.jpg", "c d.jpg"]
    assert len(data.labelme(tmp_path, "labels").pairs) == 3
    (tmp_path / "val.txt").write_text("e\n")
    with pytest.raises(ValueError, match=r"a JSON file for every name of the split 'val'. Received: e"):
        data.labelme(tmp_path, "val")


def test_old_files_of_labelme_have_the_size_of_their_picture(tmp_path):
    """LabelMe shows it turned as its EXIF orientation says."""
    root = write_labelme(tmp_path, imageHeight=None, imageWidth=None)
    np.testing.assert_array_equal(
        mask_of(data.labelme(root)), expected({"_background_": 0, "car": 1, "road": 2, "sign": 3})
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photograph(size=(32, 24))).save(root / "photos" / "a.jpg", exif=exif)
    image, mask = load(data.labelme(root).pairs[0], data.labelme(root).labels)
    assert image.shape[:2] == mask.shape == SIZE


def test_subsets_of_cvat_are_splits(tmp_path):
    root = write_cvat(tmp_path)
    path = root / "annotations.xml"
    entry = '<image id="1" subset="val" name="b.jpg" width="32" height="24"/>'
    path.write_text(path.read_text().replace("</annotations>", f"{entry}</annotations>"))
    save(root / "images" / "val" / "b.jpg", photograph(size=SIZE))
    assert [pair.image.name for pair in data.cvat(root).pairs] == ["a.jpg", "b.jpg"]
    (pair,) = data.cvat(root, "val").pairs
    assert pair.image == root / "images" / "val" / "b.jpg"
    with pytest.raises(ValueError, match=r"expected pictures of the subset test. Received: none"):
        data.cvat(root, "test")


def test_masks_of_many_classes_keep_their_void(tmp_path):
    labels = (*(f"class{index}" for index in range(300)), "void")
    scene = [("class299", 0, 0, 4, 4), ("void", 8, 8, 12, 12), ("class254", 8, 20, 12, 24)]
    dataset = data.coco_json(write_coco(tmp_path, scene, labels=labels))
    assert dataset.num_classes == 301
    values = {"class299": 300, "void": dataset.labels.void_id, "class254": 255}
    np.testing.assert_array_equal(mask_of(dataset), expected(values, scene=scene))


def test_paths_may_be_the_pictures_and_the_file(tmp_path):
    root = write_coco(tmp_path)
    assert len(data.coco_json(root / "images", root / "annotations.json").pairs) == 1
    assert isinstance(data.coco_json(root).pairs[0].mask, data.MaskSource)
    assert isinstance(data.coco_json(root).pairs[0].image, pathlib.Path)


@pytest.mark.parametrize("option", ["classes", "ignore", "skip"])
def test_a_text_is_no_list_of_labels(option, tmp_path):
    """A single name became the list of its letters, of which none is a label."""
    for reader in (data.coco_json, data.labelme, data.cvat):
        with pytest.raises(ValueError, match=rf"{option} is a list of names, such as .*Received: 'road'"):
            reader(tmp_path, **{option: "road"})


@pytest.mark.parametrize("size", [(0, 32), (-3, 5), (10**6, 10**6)])
def test_sizes_that_no_picture_has_are_refused(size, tmp_path):
    height, width = size
    images = [{"id": 40, "file_name": "a.jpg", "height": height, "width": width}]
    write_coco(tmp_path / "coco", images=images)
    with pytest.raises(ValueError, match=r"a.jpg: expected the height and the width of"):
        data.coco_json(tmp_path / "coco")
    root = write_cvat(tmp_path / "cvat")
    path = next(root.rglob("*.xml"))
    path.write_text(
        path.read_text().replace('width="32"', f'width="{width}"').replace('height="24"', f'height="{height}"')
    )
    with pytest.raises(ValueError, match=r"a.jpg: expected the height and the width of"):
        data.cvat(root)
