"""`tfseg.predict_files`: batches, shards, resumed runs, large images, and images that fail."""

import json
import os
import re
import tracemalloc

import keras
import numpy as np
import pytest
from PIL import Image

import tfseg
from tfseg import halves
from tfseg.left_out import LeftOutWarning
from tfseg.prediction import batches
from tfseg.prediction.model import predict_batch
from tfseg.prediction.records import PREFIX

COLORS = [[70, 130, 180], [128, 64, 128], [0, 90, 0], [0, 0, 142], [220, 220, 0]]


@pytest.fixture(scope="module")
def model():
    """A segmenter whose classes change from pixel to pixel and depend on the pixels around."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"], list("abcde"), COLORS)(image)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="tanh")(x)
    return keras.Model(image, keras.layers.Conv2D(5, 1)(x), name="segmenter")


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def photos(tmp_path):
    """Seven photographs of three sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    sizes = [(20, 30), (30, 20), (20, 30), (20, 30), (31, 33), (30, 20), (20, 30)]
    for index, size in enumerate(sizes):
        Image.fromarray(pixels(*size, 3, seed=index)).save(folder / f"{index}.png")
    return folder


def predict(model, photos, out, **options):
    return tfseg.predict_files(model, photos, out, progress=False, **options)


def names(folder):
    """The names of the files, without the record of what they were made from."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(PREFIX))


def counts(outcome):
    return outcome.predicted, outcome.kept, len(outcome.failed), outcome.renewed


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


# ------------------------------------------------------------------------------------------------------------- results


def test_masks_are_what_predict_returns_in_batches_of_one_size(model, photos, tmp_path, monkeypatch):
    shapes = []

    def counted(network, images, *rest, **options):
        shapes.append(images.shape[:3])
        return predict_batch(network, images, *rest, **options)

    monkeypatch.setattr(batches, "predict_batch", counted)
    assert counts(predict(model, photos, tmp_path / "maps", pixels=1400)) == (7, 0, 0, 0)
    assert sorted(shapes) == [(1, 31, 33), (2, 20, 30), (2, 20, 30), (2, 30, 20)]  # at most 1400 pixels each
    assert names(tmp_path / "maps") == sorted(f"{i}{end}" for i in range(7) for end in (".png", "_overlay.jpg"))
    for index in range(7):
        expected = tfseg.predict(model, photos / f"{index}.png")
        np.testing.assert_array_equal(read(tmp_path / "maps" / f"{index}.png"), expected)


def test_probabilities_are_written_beside_masks_with_void(model, photos, tmp_path):
    outcome = predict(model, photos, tmp_path / "maps", pixels=700, probabilities=True, threshold=0.4)
    assert (outcome.predicted, len(names(tmp_path / "maps"))) == (7, 21)
    for index in range(7):
        probabilities = np.load(tmp_path / "maps" / f"{index}_probabilities.npy")
        options = {"window": (26, 26)} if index == 4 else {}
        expected = tfseg.predict(model, photos / f"{index}.png", return_probabilities=True, **options)
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, expected, atol=1e-6)
        void = probabilities.max(-1) < np.float32(0.4)
        assert void.any()
        np.testing.assert_array_equal(
            read(tmp_path / "maps" / f"{index}.png"), np.where(void, 255, probabilities.argmax(-1))
        )
    assert counts(predict(model, photos, tmp_path / "maps", pixels=700, threshold=0.4)) == (0, 7, 0, 0)


def test_results_lie_in_the_folders_of_their_images(model, photos, tmp_path):
    for folder in ("x", "y/z"):
        (photos / folder).mkdir(parents=True)
        Image.fromarray(pixels(20, 30, 3, seed=9)).save(photos / folder / "0.png")
    for places in (photos, f"{photos}/**/*.png"):
        outcome = predict(model, places, tmp_path / "maps", overlays=False)
        assert outcome.predicted + outcome.kept == 9
    masks = {str(path.relative_to(tmp_path / "maps")) for path in (tmp_path / "maps").rglob("*.png")}
    assert masks == {*(f"{index}.png" for index in range(7)), "x/0.png", "y/z/0.png"}
    np.testing.assert_array_equal(
        read(tmp_path / "maps" / "y" / "z" / "0.png"), tfseg.predict(model, photos / "x" / "0.png")
    )


def test_files_that_are_left_out_are_named(model, photos, tmp_path):
    for name in ("notes.txt", "IMG_0007", ".DS_Store"):
        (photos / name).write_bytes(b"")
    outcome = predict(model, photos, tmp_path / "maps", overlays=False)
    assert outcome.left_out == [photos / ".DS_Store", photos / "IMG_0007", photos / "notes.txt"]
    assert outcome.predicted == 7


def test_batches_end_with_their_chunk(model, photos, tmp_path, monkeypatch):
    """So a cluster makes the same batches as one process, and the same results to the bit."""
    monkeypatch.setattr(batches, "CHUNK", 3)
    shapes = []

    def fail(network, images, *_, **__):
        shapes.append(images.shape[:3])
        raise ValueError("no prediction")

    monkeypatch.setattr(batches, "predict_batch", fail)
    outcome = predict(model, photos, tmp_path / "maps")
    # The photographs 0 to 2, 3 to 5, and 6.
    assert shapes == [(2, 20, 30), (1, 30, 20), (1, 20, 30), (1, 31, 33), (1, 30, 20), (1, 20, 30)]
    assert [reason for _, reason in outcome.failed] == ["no prediction"] * 7


def test_shards_are_disjoint_and_together_everything(model, photos, tmp_path):
    shards = [set(), set(), set()]
    for index, shard in enumerate(shards):
        before = set(names(tmp_path / "maps")) if index else set()
        outcome = predict(model, photos, tmp_path / "maps", shard=(index, 3), overlays=False)
        shard |= set(names(tmp_path / "maps")) - before
        assert (outcome.predicted, outcome.kept) == (len(shard), 0)
    assert [len(shard) for shard in shards] == [3, 2, 2]
    assert set.union(*shards) == {f"{index}.png" for index in range(7)}


def test_a_shard_may_have_no_images(model, photos, tmp_path):
    assert counts(predict(model, photos, tmp_path / "maps", shard=(8, 9))) == (0, 0, 0, 0)


def test_an_invalid_shard_is_refused(model, photos, tmp_path):
    with pytest.raises(ValueError, match=r"A shard is \(i, n\) with 0 <= i < n: .* Received: \("):
        predict(model, photos, tmp_path / "maps", shard=(3, 3))


@pytest.mark.parametrize("cluster", [True, "ray"])
def test_cluster_that_cannot_be_called_is_refused(model, photos, tmp_path, cluster):
    with pytest.raises(ValueError, match=r"cluster is None or a tfseg.prediction.ray.Ray. Received: (True|'ray')"):
        predict(model, photos, tmp_path / "maps", cluster=cluster)
    assert not (tmp_path / "maps").exists()


def test_results_are_kept_and_failed_images_are_tried_again(model, photos, tmp_path):
    out = tmp_path / "maps"
    whole = (photos / "3.png").read_bytes()
    (photos / "3.png").write_bytes(whole[:200])
    outcome = predict(model, photos, out)
    assert (outcome.predicted, outcome.kept) == (6, 0)
    assert [path.name for path, _ in outcome.failed] == ["3.png"]
    assert json.loads(outcome.failures.read_text()) == {str(path): reason for path, reason in outcome.failed}
    first = {name: (out / name).read_bytes() for name in names(out) if name != "failures.json"}
    (out / "0.png").write_bytes(b"mine")
    (out / "1_overlay.jpg").unlink()
    (photos / "3.png").write_bytes(whole)
    outcome = predict(model, photos, out)
    assert (counts(outcome), outcome.failures) == ((2, 5, 0, 0), None)
    second = {name: (out / name).read_bytes() for name in names(out)}
    assert second == first | {name: second[name] for name in ("3.png", "3_overlay.jpg")} | {"0.png": b"mine"}
    assert predict(model, photos, out, overwrite=True).predicted == 7
    assert {name: (out / name).read_bytes() for name in first} == first


def test_each_shard_lists_its_failures(model, photos, tmp_path):
    (photos / "7.png").write_text("no image")
    outcome = predict(model, photos, tmp_path / "maps", shard=(1, 2))
    assert outcome.failures == tmp_path / "maps" / "failures-1-of-2.json"


def test_unfinished_files_of_killed_processes_are_removed(model, photos, tmp_path):
    out = tmp_path / "maps"
    out.mkdir()
    machine, place = halves._place()
    left = [
        f".{machine}.{place}.4194304.00000077.partial.{name}"  # no process has this number
        for name in ("3.png", "3_overlay.jpg", "other.png")
    ]
    for name in (*left, ".notes-3.png"):
        (out / name).write_bytes(b"half")
    predict(model, photos / "3.png", out)
    assert names(out) == sorted([left[2], ".notes-3.png", "3.png", "3_overlay.jpg"])


def test_results_that_cannot_be_written_end_the_run(model, photos, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(batches.drawing, "write_mask", full)
    with pytest.raises(OSError, match="No space left"):
        predict(model, photos, tmp_path / "maps", overlays=False)
    assert names(tmp_path / "maps") == []


def test_progress_is_shown_on_stderr(model, photos, tmp_path, capsys):
    tfseg.predict_files(model, photos, tmp_path / "maps", overlays=False)
    assert "7/7 images, " in (last := capsys.readouterr().err.splitlines()[-1])
    assert last.endswith("0:00:00 left")


def test_progress_may_be_a_function(model, photos, tmp_path, capsys):
    counts = []
    tfseg.predict_files(model, photos, tmp_path / "maps", overlays=False, progress=lambda *count: counts.append(count))
    assert counts == [(done, 7) for done in range(8)]
    assert capsys.readouterr().err == ""


# -------------------------------------------------------------------------------------------------------- large images


def test_a_large_image_is_seen_through_windows_and_drawn_smaller(model, tmp_path):
    (tmp_path / "photos").mkdir()
    large = pixels(60, 90, 3)
    Image.fromarray(large).save(tmp_path / "photos" / "large.png")
    assert predict(model, tmp_path / "photos", tmp_path / "maps", pixels=900).predicted == 1
    expected = tfseg.predict(model, large, window=(30, 30))
    np.testing.assert_array_equal(read(tmp_path / "maps" / "large.png"), expected)
    # It may differ from the whole view only next to the borders of windows, where the network sees less.
    assert 0.9 < np.mean(expected == tfseg.predict(model, large)) < 1
    assert read(tmp_path / "maps" / "large_overlay.jpg").shape[1] >= 30
    assert read(tmp_path / "maps" / "large_overlay.jpg").shape[1] < 90 * 3
    predict(model, tmp_path / "photos", tmp_path / "whole", pixels=900, window=(60, 90), overlays=False)
    np.testing.assert_array_equal(read(tmp_path / "whole" / "large.png"), tfseg.predict(model, large))


def test_memory_is_bounded_by_windows(tmp_path):
    """For 20,000 pixels of width and 64 classes, the logits of the whole image would take 328 MB."""
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    network = keras.Model(image, keras.layers.Conv2D(64, 1)(x))
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20_000, 64), (200, 10, 10)).save(tmp_path / "photos" / "wide.png")
    tfseg.predict(network, pixels(4, 4, 3), window=(2, 2))  # compiled
    tracemalloc.start()  # counts NumPy's memory: images, logits and classes
    predict(network, tmp_path / "photos", tmp_path / "maps", pixels=2**14)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
    assert read(tmp_path / "maps" / "wide.png").shape == (64, 20_000)
    assert len(np.unique(read(tmp_path / "maps" / "wide.png"))) == 1


# ----------------------------------------------------------------------------------------------------------- bad input


def save_unusual_images(folder):
    """Images that can be read, of every kind."""
    array = pixels(12, 17, 3)
    image = Image.fromarray(array)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "turned.jpg", exif=exif)
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.quantize(16).save(folder / "palette.png")
    image.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(array[..., 0].astype("uint16") * 256).save(folder / "deep.png")
    Image.fromarray(array[:1, :1]).save(folder / "dot.png")


def test_unusual_images_are_predicted(model, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    save_unusual_images(photos)
    assert predict(model, photos, tmp_path / "maps", overlays=False).failed == []
    assert names(tmp_path / "maps") == sorted(f"{path.stem}.png" for path in photos.iterdir())
    assert read(tmp_path / "maps" / "turned.png").shape == (17, 12)
    assert read(tmp_path / "maps" / "dot.png").shape == (1, 1)


def test_what_is_not_read_of_a_tiff_is_said(model, tmp_path):
    (tmp_path / "photos").mkdir()
    page = Image.fromarray(np.zeros((20, 31, 3), "uint8"))
    page.save(tmp_path / "photos" / "pages.tif", save_all=True, append_images=[page])
    with pytest.warns(LeftOutWarning, match="pages.tif: the file has several pages, of which the first is read"):
        assert predict(model, tmp_path / "photos", tmp_path / "maps").failed == []


def test_images_that_cannot_be_read_fail_with_a_reason_of_one_line(model, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(pixels(8, 8).astype("float32")).save(photos / "float.tif")
    Image.new("1", (2000, 1000)).save(photos / "bomb.png")
    (photos / "empty.png").write_bytes(b"")
    (photos / "text.jpg").write_text("no image")
    Image.fromarray(pixels(12, 17, 3)).save(photos / "good.png")
    (photos / "cut.png").write_bytes((photos / "good.png").read_bytes()[:150])
    outcome = predict(model, photos, tmp_path / "maps", overlays=False, max_pixels=10**6)
    reasons = {path.name: reason for path, reason in outcome.failed}
    assert sorted(reasons) == ["bomb.png", "cut.png", "empty.png", "float.tif", "text.jpg"]
    assert "2000x1000 pixels exceeds max_pixels, 1000000: raise that" in reasons["bomb.png"]
    assert "8 or 16 bits per channel: scale it" in reasons["float.tif"]
    assert all(reason and "\n" not in reason for reason in reasons.values())
    assert names(tmp_path / "maps") == ["failures.json", "good.png"]


def test_max_pixels_replaces_the_limit_of_pillow(model, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels(20, 30, 3)).save(tmp_path / "photos" / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert predict(model, tmp_path / "photos", tmp_path / "maps", overlays=False).predicted == 1


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (
            (None, None),
            "takes larger images: of .5, 4., height and width, a map inside it has no pixels left",
        ),  # TensorFlow's message
        ((8, 9), r"takes images of \(8, 9\), height and width. Received: \(5, 4\). Resize them, or slide a window"),
    ],
    ids=["smaller than the kernel", "another size"],
)
def test_the_reason_says_why_the_network_refuses_a_size(tmp_path, size, message):
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels(5, 4, 3)).save(tmp_path / "photos" / "dot.png")
    image = keras.Input((*size, 3))
    network = keras.Model(image, keras.layers.Conv2D(2, 7)(image))
    outcome = predict(network, tmp_path / "photos", tmp_path / "maps", preprocessing="torch")
    ((_, reason),) = outcome.failed
    assert re.search(message, reason)


@pytest.fixture(scope="module")
def unprepared():
    """A segmenter that does not say its preprocessing."""
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Conv2D(5, 1)(image), name="unprepared")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preprocessing": "tf"}, "Preprocessing is a dictionary or one of"),
        ({"scales": (0,)}, "scales are numbers above 0"),
        ({"window": (64,)}, r"A window is \(height, width\)"),
        ({"overlap": 1.5}, "overlap is at least 0 and below 1"),
        ({"pixels": 0}, "pixels and max_pixels are at least 1. Received: 0 and"),
    ],
    ids=str,
)
def test_invalid_settings_end_the_run(model, photos, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        predict(model, photos, tmp_path / "maps", **options)
    assert not (tmp_path / "maps").exists()


def test_a_model_that_is_no_segmenter_ends_the_run(unprepared, photos, tmp_path):
    classifier = keras.Sequential([unprepared, keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(ValueError, match="A segmentation model turns images"):
        predict(classifier, photos, tmp_path / "maps", preprocessing="torch")
    assert not (tmp_path / "maps").exists()


def test_a_model_without_preprocessing_needs_the_argument(unprepared, photos, tmp_path):
    with pytest.raises(ValueError, match="'unprepared' does not say how its input is prepared"):
        predict(unprepared, photos, tmp_path / "maps")
    outcome = predict(unprepared, photos, tmp_path / "maps", preprocessing="torch", overlays=False)
    assert outcome.predicted == 7


def test_all_shards_refuse_images_of_one_stem(model, photos, tmp_path):
    os.link(photos / "5.png", photos / "5.jpg")
    for index in range(2):
        with pytest.raises(ValueError, match=r"would both become .*5.png: predict them into two directories"):
            predict(model, photos, tmp_path / "maps", shard=(index, 2))


def test_photographs_of_12_bits_are_predicted_with_their_bits(model, tmp_path):
    image = pixels(24, 32)
    (tmp_path / "in").mkdir()
    Image.fromarray(image.astype("uint16") << 4).save(tmp_path / "in" / "a.png")
    tfseg.predict_files(model, tmp_path / "in", tmp_path / "out", image_bits=12, overlays=False, progress=False)
    expected = tfseg.predict(model, np.repeat(image[..., None], 3, axis=-1))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "a.png")), expected)
    with pytest.raises(ValueError, match=r"8 to 16 bits. Received: image_bits=7"):
        tfseg.predict_files(model, tmp_path / "in", tmp_path / "out", image_bits=7, progress=False)
