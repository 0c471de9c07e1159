"""Which images of a folder are predicted, and which files are written for them."""

import pytest

from tfseg.prediction import folders


@pytest.fixture
def images(tmp_path):
    """Two image files, in a directory of their own."""
    (tmp_path / "photos").mkdir()
    paths = [tmp_path / "photos" / name for name in ("a.jpg", "b.v2.png")]
    for path in paths:
        path.write_bytes(b"")
    return paths


def test_a_shard_is_every_nth_image():
    assert folders.share(list(range(10)), (1, 4)) == [1, 5, 9]


@pytest.mark.parametrize("shard", [(3, 3), (-1, 3), (0, 0)])
def test_invalid_shards_are_refused(shard):
    with pytest.raises(ValueError, match=r"A shard is \(i, n\) with 0 <= i < n: .* Received: \("):
        folders.share([1, 2, 3], shard)


def test_images_of_one_stem_are_refused(tmp_path):
    for first, second in (("x/a.jpg", "x/a.png"), ("x/a.jpg", "y/a.jpg")):
        message = rf"{first} and .*{second} would both become .*a.png: predict them into two directories"
        with pytest.raises(ValueError, match=message):
            folders.plan([tmp_path / first, tmp_path / second], tmp_path / "maps")


def test_images_in_the_output_directory_are_refused(images):
    photos = images[0].parent
    with pytest.raises(ValueError, match=r"a.jpg lies in the output directory"):
        folders.plan(images, photos / ".." / "photos")


def test_only_missing_files_are_planned(images, tmp_path):
    output = tmp_path / "maps"
    output.mkdir()
    (output / "a.png").write_bytes(b"")
    a, b = folders.plan(images, output)
    assert a == (images[0], None, output / "a_overlay.jpg")
    assert b == (images[1], output / "b.v2.png", output / "b.v2_overlay.jpg")
    assert folders.plan(images, output, overlays=False) == [(images[1], output / "b.v2.png", None)]
    (output / "a_overlay.jpg").write_bytes(b"")
    assert folders.plan(images, output) == [b]


def test_overwrite_plans_files_that_exist(images, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    tasks = folders.plan(images, tmp_path, overwrite=True)
    assert [task.mask for task in tasks] == [tmp_path / "a.png", tmp_path / "b.v2.png"]
