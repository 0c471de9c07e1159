"""Which images of a folder are predicted, and which files are written for them."""

import pathlib

import pytest

from tfseg.images import search
from tfseg.prediction import folders


@pytest.fixture
def images(tmp_path):
    """Two image files, in a directory of their own."""
    (tmp_path / "photos").mkdir()
    paths = [tmp_path / "photos" / name for name in ("a.jpg", "b.v2.png")]
    for path in paths:
        path.write_bytes(b"")
    return paths


def planned(images, output, needed=lambda image, result: False, **options):
    tasks = [folders.all_results(image, pathlib.PurePath(), output, **options) for image in images]
    return folders.plan(tasks, needed)


def test_a_shard_is_every_nth_image():
    assert folders.share(list(range(10)), (1, 4)) == [1, 5, 9]


@pytest.mark.parametrize("shard", [(3, 3), (-1, 3), (0, 0)])
def test_invalid_shards_are_refused(shard):
    with pytest.raises(ValueError, match=r"A shard is \(i, n\) with 0 <= i < n: .* Received: \("):
        folders.share([1, 2, 3], shard)


def test_images_of_one_stem_and_folder_are_refused(tmp_path):
    here = pathlib.PurePath()
    for first, second in (("x/a.jpg", "x/a.png"), ("x/a.jpg", "y/a.jpg")):
        message = rf"{first} and .*{second} would both become .*a.png: predict them into two directories"
        with pytest.raises(folders.PlanError, match=message):
            folders.check_images({tmp_path / first: here, tmp_path / second: here}, tmp_path / "maps")
    apart = {tmp_path / "x/a.jpg": pathlib.PurePath("x"), tmp_path / "y/a.jpg": pathlib.PurePath("y")}
    folders.check_images(apart, tmp_path / "maps")


def test_images_in_the_directories_of_results_are_refused(images):
    photos = images[0].parent
    with pytest.raises(folders.PlanError, match=r"a.jpg lies in the output directory"):
        folders.check_images(search(photos).folders, photos / ".." / "photos")
    with pytest.raises(folders.PlanError, match=r"a.jpg lies in the output directory"):
        folders.check_images(search(photos.parent).folders, photos.parent)


def test_only_missing_files_are_planned(images, tmp_path):
    output = tmp_path / "maps"
    output.mkdir()
    (output / "a.png").write_bytes(b"")
    a, b = planned(images, output)
    assert a == (images[0], None, output / "a_overlay.jpg", None)
    assert b == (images[1], output / "b.v2.png", output / "b.v2_overlay.jpg", None)
    assert planned(images, output, overlays=False) == [(images[1], output / "b.v2.png", None, None)]
    (output / "a_overlay.jpg").write_bytes(b"")
    assert planned(images, output) == [b]
    task = planned(images, output, probabilities=True)[0]
    assert task.results == [output / "a_probabilities.npy"]


def test_files_that_are_needed_are_planned_though_they_exist(images, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    asked = []
    tasks = planned(images, tmp_path, lambda *paths: asked.append(paths) or True)
    assert [task.mask for task in tasks] == [tmp_path / "a.png", tmp_path / "b.v2.png"]
    assert asked == [(images[0], tmp_path / "a.png")]
