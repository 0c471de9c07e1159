"""Data sets as people have them: 12 pictures in every form, read right pixel by pixel; spoiled ones are said."""

import base64
import io
import json
import unicodedata

import numpy as np
import pytest
from helpers import run_command
from helpers.channel_images import write_geotiff
from helpers.data_sets import photograph, save
from PIL import Image

from tfseg import data
from tfseg.data.loader import load
from tfseg.data.named_files import MASK_ENDINGS

PICTURES, SIZE = 12, (9, 12)
CLASSES = ("background", "road", "tree")


def truth(index):
    """A mask with runs of all three classes."""
    return np.random.default_rng(index).integers(0, 3, (3, 4)).repeat(3, axis=0).repeat(3, axis=1).astype("uint8")


def picture(index):
    return photograph(index, SIZE)


def in_folders(root, **options):
    return data.folder(root, num_classes=3, **options)


def equal_names(root, image="images/p{}.png", mask="masks/p{}.png"):
    for index in range(PICTURES):
        save(root / image.format(index), picture(index))
        save(root / mask.format(index), truth(index))
    return in_folders(root)


def endings(root):
    for index, ending in zip(range(PICTURES), MASK_ENDINGS, strict=False):
        save(root / "images" / f"p{index}.png", picture(index))
        save(root / "masks" / f"p{index}{ending}.png", truth(index))
    return in_folders(root)


def second_column(root):
    lines = []
    for index in range(PICTURES):
        save(root / "images" / f"p{index}.png", picture(index))
        save(root / "masks" / f"p{(index + 5) % PICTURES}.png", truth(index))
        lines.append(f"images/p{index}.png\tmasks/p{(index + 5) % PICTURES}.png")
    (root / "all.txt").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    return in_folders(root, split="all")


def decomposed_names(root):
    """A photograph's name from Linux, a mask's from macOS."""
    equal_names(root, "images/straße ü{}.png", unicodedata.normalize("NFD", "masks/straße ü{}.png"))
    return in_folders(root)


def links(root):
    for index in range(PICTURES):
        for kind, array in (("images", picture(index)), ("masks", truth(index))):
            target = save(root / "elsewhere" / f"{kind}{index}.png", array)
            (root / kind).mkdir(exist_ok=True)
            (root / kind / f"p{index}.png").symlink_to(target)
    return in_folders(root)


def turned(root, drawn_on):
    """Photographs that a camera stored on their side, with masks of one of the two pictures."""
    for index in range(PICTURES):
        upright = picture(index) if drawn_on == "upright" else np.rot90(picture(index), -1)
        stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright)))
        exif = stored.getexif()
        exif[0x0112] = 6
        (root / "images").mkdir(exist_ok=True)
        stored.save(root / "images" / f"p{index}.png", exif=exif)
        save(root / "masks" / f"p{index}.png", truth(index))
    return in_folders(root)


def runs(flat):
    """Lengths of the runs of zeros and ones in turn, zeros first."""
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    edges = np.concatenate([[0], changes, [len(flat)]])
    lengths = np.diff(edges).tolist()
    return lengths[:-1] if len(lengths) > 1 and lengths[-1] == 0 else lengths


def coco_json(root):
    pytest.importorskip("pycocotools")
    images, annotations = [], []
    for index in range(PICTURES):
        save(root / "images" / f"p{index}.png", picture(index))
        images.append({"id": index + 7, "file_name": f"p{index}.png", "height": SIZE[0], "width": SIZE[1]})
        for category in (1, 2):
            counts = runs((truth(index) == category).ravel(order="F").astype(int))
            code = {"size": list(SIZE), "counts": counts}
            annotations.append({"image_id": index + 7, "category_id": 10 * category, "segmentation": code})
    categories = [{"id": 20, "name": "tree"}, {"id": 10, "name": "road"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(content))
    return data.coco_json(root)


def labelme(root):
    for index in range(PICTURES):
        save(root / f"p{index}.png", picture(index))
        shapes = []
        for value in (1, 2):
            stream = io.BytesIO()
            Image.fromarray(((truth(index) == value) * 255).astype("uint8")).save(stream, format="PNG")
            code = base64.b64encode(stream.getvalue()).decode()
            corners = [[0, 0], [SIZE[1] - 1, SIZE[0] - 1]]
            shapes.append({"label": CLASSES[value], "shape_type": "mask", "points": corners, "mask": code})
        content = {"imagePath": f"p{index}.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1], "shapes": shapes}
        (root / f"p{index}.json").write_text(json.dumps(content))
    return data.labelme(root)


def cvat(root):
    entries = []
    for index in range(PICTURES):
        save(root / "images" / f"p{index}.png", picture(index))
        masks = [
            f'<mask label="{CLASSES[value]}" left="0" top="0" width="{SIZE[1]}" height="{SIZE[0]}" '
            f'rle="{", ".join(map(str, runs((truth(index) == value).ravel().astype(int))))}" z_order="0"/>'
            for value in (1, 2)
        ]
        size = f'width="{SIZE[1]}" height="{SIZE[0]}"'
        entries.append(f'<image id="{index}" name="p{index}.png" {size}>{"".join(masks)}</image>')
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{''.join(entries)}</annotations>")
    return data.cvat(root)


def four_channels(index):
    random = np.random.default_rng(index)
    return random.integers(1, 60000, (*SIZE, 4)).astype("uint16")


def geotiff(root):
    pytest.importorskip("rasterio")
    for index in range(PICTURES):
        write_geotiff(root / "images" / f"p{index}.tif", four_channels(index))
        save(root / "masks" / f"p{index}.png", truth(index))
    return in_folders(root, channels=4)


def npy(root):
    for index in range(PICTURES):
        (root / "images").mkdir(exist_ok=True)
        np.save(root / "images" / f"p{index}.npy", four_channels(index))
        save(root / "masks" / f"p{index}.png", truth(index))
    return in_folders(root, channels=4)


FORMS = {
    "equal names": equal_names,
    "endings": endings,
    "upper-case suffixes": lambda root: equal_names(root, "images/P{}.PNG", "masks/P{}.PNG"),
    "nested folders": lambda root: equal_names(root, "images/a/b/p{}.png", "masks/a/b/p{}.png"),
    "decomposed names": decomposed_names,
    "links": links,
    "second column": second_column,
    "EXIF 6, drawn upright": lambda root: turned(root, "upright"),
    "EXIF 6, drawn as stored": lambda root: turned(root, "stored"),
    "COCO JSON": coco_json,
    "LabelMe": labelme,
    "CVAT": cvat,
    "GeoTIFF": geotiff,
    ".npy": npy,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore::tfseg.data.photographs.ExifWarning")
def test_forms_are_read_right(tmp_path, form):
    dataset = FORMS[form](tmp_path)
    assert len(dataset.pairs) == PICTURES
    assert dataset.classes in (None, CLASSES)
    numbers = set()
    for pair in dataset.pairs:
        image, ids = load(pair, dataset.labels, dataset.photographs)
        number = int("".join(letter for letter in pair.image.stem if letter.isdigit()))
        expected = four_channels(number) if dataset.photographs.channels else picture(number)
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(ids, truth(number))
        numbers.add(number)
    assert len(numbers) == PICTURES
    assert not data.inspect_dataset(dataset).spoils


# --------------------------------------------------------------------------------------------------- spoiled data sets


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil(root, how):
    """A data set of four pictures, of which one thing is wrong; and the flags with which it is inspected."""
    for index in range(4):
        save(root / "images" / f"p{index}.png", picture(index))
        save(root / "masks" / f"p{index}.png", truth(index))
    image, mask = root / "images" / "p1.png", root / "masks" / "p1.png"
    flags = ["--num_classes=3"]
    if how == "half a photograph":
        truncated(image)
    elif how == "half a mask":
        truncated(mask)
    elif how == "an empty file":
        image.write_bytes(b"")
    elif how == "another size":
        save(mask, truth(1)[:, :-1])
    elif how == "values of no class":
        save(mask, truth(1) + np.uint8(7))
    elif how == "a mask in colors":
        save(mask, picture(1))
    elif how == "nothing but void":
        for path in (root / "masks").iterdir():
            save(path, np.full(SIZE, 255, "uint8"))
    elif how == "one class beside void":
        for index, path in enumerate((root / "masks").iterdir()):
            save(path, ((truth(index) == 1) * 255).astype("uint8"))
        flags += ["--void=255"]
    elif how == "one class":
        for path in (root / "masks").iterdir():
            save(path, np.zeros(SIZE, "uint8"))
    elif how == "a mask among the photographs":
        image.write_bytes(mask.read_bytes())
    elif how == "12 bits in 16":
        save(image, (picture(1)[..., 0].astype("uint16") << 4))
    elif how == "NaN":
        flags += ["--channels=4"]
        for index in range(4):
            (root / "images" / f"p{index}.png").unlink()
            values = four_channels(index).astype("float32")
            values[0, 0, 0] = np.nan
            np.save(root / "images" / f"p{index}.npy", values)
    elif how == "photographs in two splits":
        (root / "train.txt").write_text("p0\np1\np2\n")
        (root / "val.txt").write_text("p2\np3\n")
        flags += ["--split=train"]
    return flags


SPOILED = {
    "half a photograph": "p1.png: not a whole picture",
    "half a mask": "p1.png: not a whole picture",
    "an empty file": "an empty file",
    "another size": "a mask has the size of its photograph",
    "values of no class": "expected the classes 0 to 2",
    "a mask in colors": "a mask holds one number per pixel",
    "nothing but void": "all masks are void throughout",
    "one class beside void": "is the only one that occurs, beside void",
    "one class": "class 0 is the only one that occurs",
    "a mask among the photographs": "is its own mask",
    "12 bits in 16": "almost black",
    "NaN": "NaN or infinite",
    "photographs in two splits": "is in",
}


@pytest.mark.parametrize("how", SPOILED)
def test_spoiled_sets_are_said(tmp_path, how):
    flags = dict(flag.removeprefix("--").split("=") for flag in spoil(tmp_path, how))
    options = {"num_classes": 3, "split": flags.get("split"), "channels": int(flags.get("channels", 0)) or None}
    dataset = data.folder(tmp_path, **options, void=(255,) if "void" in flags else None)
    others = [data.folder(tmp_path, "val", num_classes=3)] if "split" in flags else []
    inspection = data.inspect_dataset(dataset, others=others)
    assert inspection.spoils
    assert SPOILED[how] in str(inspection)


# One quick one of each kind of spoiled set: a pair that cannot be read, the whole, and two splits.
QUICK = ("half a photograph", "one class", "photographs in two splits")


@pytest.mark.parametrize("how", [pytest.param(how, marks=[] if how in QUICK else pytest.mark.full) for how in SPOILED])
def test_inspect_data_ends_with_1_for_a_spoiled_set(tmp_path, how):
    flags = spoil(tmp_path, how)
    ended = run_command.run("tfseg_cli.inspect_data", tmp_path, *flags)
    assert ended.code == 1, ended
    assert SPOILED[how] in ended.out
    assert "Traceback" not in ended.err


def test_inspect_data_ends_with_0_for_a_good_set(tmp_path):
    ended = run_command.run("tfseg_cli.inspect_data", tmp_path, *spoil(tmp_path, "nothing"))
    assert ended.code == 0, ended
