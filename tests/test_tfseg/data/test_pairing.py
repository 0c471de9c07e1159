"""Which mask belongs to which photograph, by names and by lists as people have them."""

import unicodedata

import numpy as np
import pytest
from helpers.data_sets import photograph, save

from tfseg import data

MASK = np.tile(np.array([0, 1], "uint8"), (24, 16))


def files(root, images, masks):
    """Writes photographs and masks at these paths."""
    for name in images:
        save(root / name, photograph())
    for name in masks:
        save(root / name, MASK)
    return root


def named(dataset, root):
    """The pairs as paths from the root."""
    return [tuple(str(path.relative_to(root)) for path in pair) for pair in dataset.pairs]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("street_L", "street_L"),
        ("a", "a_mask"),
        ("a", "a_gt"),
        ("a", "a_label"),
        ("a", "a_L"),
        ("a", "a-seg"),
        ("a", "a_gtFine_myIds"),  # an ending that no table has, the same for all
        ("img_0001", "mask_0001"),
        ("image12", "label12"),
        ("7_sat", "7_mask"),
        ("city/ulm_1_leftImg8bit", "city/ulm_1_gtFine_labelIds"),
        (unicodedata.normalize("NFC", "straße_ü"), unicodedata.normalize("NFD", "straße_ü")),
        ("seq1/0001", "seq1/0001"),
        ("2024.05.01_a", "2024.05.01_a"),
    ],
)
def test_names_that_people_use(tmp_path, image, mask):
    images, masks = f"images/{image}.png", f"masks/{mask}.png"
    assert named(data.folder(files(tmp_path, [images], [masks]), num_classes=2), tmp_path) == [(images, masks)]


def test_equal_names_come_first(tmp_path):
    files(tmp_path, ["images/a.png", "images/a_mask.png"], ["masks/a.png", "masks/a_mask.png"])
    assert [pair.mask.name for pair in data.folder(tmp_path, num_classes=2).pairs] == ["a.png", "a_mask.png"]


@pytest.mark.parametrize("root", ["images", "."])
def test_one_directory_of_both(tmp_path, root):
    files(tmp_path, ["images/a.jpg", "images/b.png"], ["images/a.png", "images/b_mask.png"])
    where = {"images": root, "masks": root}
    prefix = "images/"
    assert named(data.folder(tmp_path, num_classes=2, **where), tmp_path) == [
        (f"{prefix}a.jpg", f"{prefix}a.png"),
        (f"{prefix}b.png", f"{prefix}b_mask.png"),
    ]


def test_masks_in_a_directory_among_the_photographs(tmp_path):
    files(tmp_path, ["a.png"], ["masks/a.png"])
    assert named(data.folder(tmp_path, num_classes=2, images="."), tmp_path) == [("a.png", "masks/a.png")]


def test_a_pattern_says_how_masks_are_named(tmp_path):
    files(tmp_path, ["images/s/a.png"], ["masks/s/seg-a-v2.png", "masks/s/a.png"])
    dataset = data.folder(tmp_path, num_classes=2, mask_pattern="seg-{name}-v2.png")
    assert [pair.mask.name for pair in dataset.pairs] == ["seg-a-v2.png"]
    with pytest.raises(ValueError, match=r'has "\{name\}"'):
        data.folder(tmp_path, num_classes=2, mask_pattern="mask.png")


def test_masks_in_jpeg_are_refused_with_the_reason(tmp_path):
    files(tmp_path, ["images/a.png", "images/b.png"], ["masks/a.jpg", "masks/b_mask.jpeg"])
    with pytest.raises(ValueError, match=r"2 have a mask in JPEG, which changes the values"):
        data.folder(tmp_path, num_classes=2)


def test_a_refusal_shows_three_of_each_side(tmp_path):
    files(tmp_path, [f"images/p{i}.png" for i in range(5)], [f"masks/q{'xyzwv'[i]}.png" for i in range(5)])
    with pytest.raises(ValueError, match=r"5 photographs.*\(p0, p1, p2.*Photographs: p0.*p2.*Masks: qv.*mask_pattern"):
        data.folder(tmp_path, num_classes=2)


def test_masks_among_the_photographs_are_named(tmp_path):
    files(tmp_path, ["images/a.png"], ["masks/a.png", "images/a_mask.png"])
    with pytest.raises(ValueError, match=r"a_mask among the photographs look like masks"):
        data.folder(tmp_path, num_classes=2)


NAMES = ("a", "my photo 1", "2024.05.01_a", "seq/0001")


def test_directories_of_links_are_searched_but_not_in_circles(tmp_path):
    files(tmp_path, ["elsewhere/images/a.png"], ["elsewhere/masks/a.png"])
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "linked").symlink_to(tmp_path / "elsewhere" / kind)
        (tmp_path / kind / "back").symlink_to(tmp_path / kind)
    assert named(data.folder(tmp_path, num_classes=2), tmp_path) == [("images/linked/a.png", "masks/linked/a.png")]


def test_splits_may_stand_above_images_and_masks(tmp_path):
    for split in ("train", "val"):
        files(tmp_path, [f"{split}/images/{split}.png"], [f"{split}/masks/{split}.png"])
    dataset = data.folder(tmp_path, "val", num_classes=2)
    assert named(dataset, tmp_path) == [("val/images/val.png", "val/masks/val.png")]
    with pytest.raises(ValueError, match=r"no directory .*images, but there is one in train, val.*--split=train"):
        data.folder(tmp_path, num_classes=2)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a", "x/a, y/a are called so"),
        ("x/a.png masks/b.png", "'masks/b.png' is no mask"),
        ("x/a.png masks/c.jpg", "'masks/c.jpg' is a mask in JPEG"),
        ("image,mask", "there is no such photograph"),
    ],
)
def test_a_line_that_names_no_pair_is_told_why(tmp_path, line, why):
    files(tmp_path, ["images/x/a.png", "images/y/a.png"], ["masks/x/a.png", "masks/y/a.png", "masks/c.jpg"])
    (tmp_path / "train.txt").write_text(f"{line}\n")
    with pytest.raises(ValueError, match=rf"1 lines that name no pair \({line}: {why}.*A line of a list is"):
        data.folder(tmp_path, "train", num_classes=2)


def test_a_photograph_that_is_listed_twice_is_said(tmp_path):
    files(tmp_path, ["images/a.png", "images/b.png"], ["masks/a.png", "masks/b.png"])
    (tmp_path / "train.txt").write_text("a\nb\na\n")
    inspection = data.inspect_dataset(data.folder(tmp_path, "train", num_classes=2))
    assert "1 pairs: the photograph is listed more than once" in str(inspection)
    assert not inspection.spoils


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(NAMES),
        "\r\n".join(f"{name}.png" for name in NAMES),
        "\ufeff" + "\n".join(NAMES),
        "# a comment\n\n" + "\n".join(f"images/{name}.png" for name in NAMES) + "\n",
        "\n".join("images\\" + name.replace("/", "\\") + ".png" for name in NAMES),
        "\n".join(f"D:\\data\\images\\{name.rpartition('/')[2]}.png" for name in NAMES),
        "\n".join(f"./images/{name}.png\tmasks/{name}.png" for name in NAMES),
        "\n".join(f"images/{name}.png masks/{name}.png" for name in NAMES),
        "\n".join(f'"images/{name}.png","masks/{name}.png"' for name in NAMES),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_lists_as_people_have_them(tmp_path, content, encoding):
    files(tmp_path, [f"images/{n}.png" for n in NAMES], [f"masks/{n}.png" for n in NAMES])
    (tmp_path / "train.txt").write_bytes(
        (content if encoding == "utf-8" else content.lstrip("\ufeff")).encode(encoding)
    )
    dataset = data.folder(tmp_path, "train", num_classes=2)
    assert named(dataset, tmp_path) == [(f"images/{n}.png", f"masks/{n}.png") for n in NAMES]


def test_the_second_column_names_the_mask(tmp_path):
    files(tmp_path, ["images/a.png", "images/b.png"], ["masks/a.png", "masks/b.png"])
    (tmp_path / "train.txt").write_text("images/a.png masks/b.png\nimages/b.png masks/a.png\n")
    assert [pair.mask.stem for pair in data.folder(tmp_path, "train", num_classes=2).pairs] == ["b", "a"]
    (tmp_path / "train.txt").write_text("images/a.png masks/c.png\n")
    with pytest.raises(
        ValueError, match=r"1 lines that name no pair \(images/a.png masks/c.png: 'masks/c.png' is no mask\)"
    ):
        data.folder(tmp_path, "train", num_classes=2)


def test_a_list_in_another_encoding_is_refused(tmp_path):
    files(tmp_path, ["images/a.png"], ["masks/a.png"])
    for encoding in ("latin-1", "utf-16-le"):
        (tmp_path / "train.txt").write_bytes("straße".encode(encoding))
        with pytest.raises(ValueError, match=r"train.txt: expected a text in UTF-8"):
            data.folder(tmp_path, "train", num_classes=2)


def test_a_random_share_is_a_seeds(tmp_path):
    files(tmp_path, [f"images/p{i}.png" for i in range(10)], [f"masks/p{i}.png" for i in range(10)])
    dataset = data.folder(tmp_path, num_classes=2)
    train, val = data.split_randomly(dataset, 0.2, seed=3)
    assert (len(train.pairs), len(val.pairs)) == (8, 2)
    assert sorted(train.pairs + val.pairs) == sorted(dataset.pairs)
    assert data.split_randomly(dataset, 0.2, seed=3)[1].pairs == val.pairs
    assert any(data.split_randomly(dataset, 0.2, seed=seed)[1].pairs != val.pairs for seed in range(5))
    with pytest.raises(ValueError, match=r"val_share=0.01 of 10 pairs leaves none"):
        data.split_randomly(dataset, 0.01)


def test_frames_of_one_film_stay_together(tmp_path):
    names = [f"{film}/{frame}" for film in "abcde" for frame in range(3)]
    files(tmp_path, [f"images/{n}.png" for n in names], [f"masks/{n}.png" for n in names])
    train, val = data.split_randomly(data.folder(tmp_path, num_classes=2), 0.2, seed=1)
    films = [{pair.image.parent.name for pair in part.pairs} for part in (train, val)]
    assert films[0].isdisjoint(films[1])
    assert len(val.pairs) == 3
