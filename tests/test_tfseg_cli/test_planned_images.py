"""`tfseg predict` without tfseg: it finds images by the rules of the library."""

import os

import pytest

from tfseg import stored_channels
from tfseg.image_search import find_images
from tfseg_cli import planned_images


@pytest.fixture
def tree(tmp_path):
    """Image files and others, some with names that are hard to find."""
    names = (
        "a.jpg", "B.JPEG", "c[1].png", "c1.png", "deep/d.tif", "deep/er/e.v2.webp", ".hidden.jpg", "notes.txt",
        "texts/a.txt", ".thumbnails/a.jpg",
    )  # fmt: skip
    for name in names:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "photos" / "folder.png").mkdir()
    os.symlink(tmp_path / "photos", tmp_path / "photos" / "deep" / "back")
    return tmp_path / "photos"


def test_suffixes_of_images_are_those_of_the_library():
    assert planned_images.SUFFIXES == stored_channels.SUFFIXES


@pytest.mark.parametrize("place", ["", "*", "*.png", "c[1].png", "c[1]*", "**/*", "**/*.*", "deep", "notes.txt"])
def test_places_with_images_are_those_of_the_library(tree, place):
    assert planned_images.has_images(f"{tree}/{place}")
    assert find_images(f"{tree}/{place}")


@pytest.mark.parametrize("place", ["nowhere", "*.gif", "folder.png", "texts"])
def test_places_without_images_are_those_that_the_library_refuses(tree, place):
    assert not planned_images.has_images(f"{tree}/{place}")
    with pytest.raises(ValueError, match="No images"):
        find_images(f"{tree}/{place}")
