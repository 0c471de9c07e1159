"""Which images of a folder are predicted, and which files are written for them."""

import pytest

from tfseg.image_search import search
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
    return list(folders.plan(map(str, images), dict.fromkeys(map(str, images), "."), output, needed=needed, **options))


def test_a_shard_is_every_nth_image():
    assert folders.share(list(range(10)), (1, 4)) == [1, 5, 9]


@pytest.mark.parametrize("shard", [(3, 3), (-1, 3), (0, 0)])
def test_invalid_shards_are_refused(shard):
    with pytest.raises(ValueError, match=r"A shard is \(i, n\) with 0 <= i < n: .* Received: \("):
        folders.share([1, 2, 3], shard)


def test_images_of_one_stem_and_folder_are_refused(tmp_path):
    for first, second in (("x/a.jpg", "x/a.png"), ("x/a.jpg", "y/a.jpg")):
        message = rf"{first} and .*{second} would both become .*a.png: predict them into two directories"
        with pytest.raises(folders.PlanError, match=message):
            folders.check_images({str(tmp_path / first): ".", str(tmp_path / second): "."}, tmp_path / "maps")
    apart = {str(tmp_path / "x/a.jpg"): "x", str(tmp_path / "y/a.jpg"): "y"}
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


def test_tasks_are_made_when_they_are_asked_for(images, tmp_path):
    paths = [str(path) for path in images]
    tasks = folders.plan(paths, {paths[0]: ".", paths[1]: "deep/er"}, tmp_path / "maps", probabilities=True)
    assert len(tasks) == 2
    assert list(tasks) == tasks[:] == [tasks.of(paths[0]), tasks[1]]
    assert tasks[1].mask == tmp_path / "maps" / "deep" / "er" / "b.v2.png"
    written = [tmp_path / "maps" / name for name in tasks.results()]
    assert written == [result for task in tasks for result in task.results]
    assert tasks.directories() == {str(tmp_path / "maps"), str(tmp_path / "maps" / "deep" / "er")}
