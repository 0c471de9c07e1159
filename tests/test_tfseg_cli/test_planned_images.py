"""`tfseg predict` without tfseg: it chooses and plans images by the rules of the library."""

import itertools
import random

import pytest

from tfseg.images import IMAGE_SUFFIXES, find_images
from tfseg.prediction import folders
from tfseg_cli import planned_images


@pytest.fixture
def tree(tmp_path):
    """Image files and others, some with names that are hard to find."""
    names = ("a.jpg", "B.JPEG", "c[1].png", "c1.png", "deep/d.tif", "deep/e.v2.webp", ".hidden.jpg", "notes.txt")
    for name in names:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "photos" / "folder.png").mkdir()
    return tmp_path / "photos"


def test_suffixes_of_images_are_those_of_the_library():
    assert planned_images.SUFFIXES == IMAGE_SUFFIXES


@pytest.mark.parametrize("place", ["", "*", "*.png", "c[1].png", "c[1]*", "**/*", "**/**/*.*", "deep", "notes.txt"])
def test_places_give_the_images_that_the_library_finds(tree, place):
    assert sorted(set(planned_images.images_at(f"{tree}/{place}"))) == find_images(f"{tree}/{place}")


@pytest.mark.parametrize("place", ["nowhere", "*.gif", "folder.png"])
def test_places_without_images_are_those_that_the_library_refuses(tree, place):
    assert planned_images.images_at(f"{tree}/{place}") == []
    with pytest.raises(ValueError, match="No images"):
        find_images(f"{tree}/{place}")


def test_all_results_exist_where_the_library_plans_nothing(tree, tmp_path):
    images = find_images(f"{tree}/**/*.[jtw]*")
    results = [f"{image.stem}{end}" for image in images for end in (".png", "_overlay.jpg")]
    draw = random.Random(0)
    plans = set()
    for trial, overlays in itertools.product(range(20), (True, False)):
        output = tmp_path / f"maps{trial}{overlays}"
        output.mkdir()
        for name in draw.choices((results, draw.sample(results, 4), results[::2]))[0]:
            (output / name).write_bytes(b"")
        for index in range(2):
            share = folders.share(images, (index, 2))
            done = planned_images.all_done(share, output, overlays=overlays)
            assert done == (not folders.plan(share, output, overlays=overlays))
            plans.add(done)
    assert plans == {True, False}
    assert not planned_images.all_done(images, tmp_path / "nowhere", overlays=False)


def test_images_that_the_library_refuses_are_refused(tree, tmp_path):
    for names, output in ((("a.jpg", "deep/a.png"), tmp_path / "maps"), (("a.jpg",), tree / "deep" / "..")):
        images = [tree / name for name in names]
        with pytest.raises(planned_images.PlanError) as light:
            planned_images.check_images(images, output)
        with pytest.raises(ValueError, match=r"predict them|choose another") as full:
            folders.check_images(images, output)
        assert str(full.value).removesuffix(".") == str(light.value)
    planned_images.check_images([tree / "a.jpg"], tmp_path / "maps")
