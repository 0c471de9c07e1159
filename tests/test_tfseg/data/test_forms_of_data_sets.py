"""Data sets as people have them: 12 pictures in every form, read right pixel by pixel; spoiled ones are said."""

import numpy as np
import pytest
from helpers import run_command
from helpers.data_set_forms import CLASSES, FORMS, Drawn
from helpers.data_sets import photograph, save

from tfseg import data
from tfseg.data.loader import load

PICTURES, SIZE = 12, (9, 12)


def truth(index):
    """A mask with runs of all three classes."""
    return np.random.default_rng(index).integers(0, 3, (3, 4)).repeat(3, axis=0).repeat(3, axis=1).astype("uint8")


def picture(index):
    return photograph(index, SIZE)


def four_channels(index):
    random = np.random.default_rng(index)
    return random.integers(1, 60000, (*SIZE, 4)).astype("uint16")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore::tfseg.data.photographs.ExifWarning")
def test_forms_are_read_right(tmp_path, form):
    kind = FORMS[form]
    if kind.needs:
        pytest.importorskip(kind.needs)
    kind.write(tmp_path, Drawn(PICTURES, picture, truth, four_channels))
    dataset = kind.opened(tmp_path)
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
