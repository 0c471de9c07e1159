"""`tfseg.predict_files`: folders of any size, shared out, in batches, resumed; and the images that do not go through."""

import json
import os
import re
import tracemalloc

import keras
import numpy as np
import pytest
from PIL import Image

import tfseg
from tfseg.prediction import files, folders
from tfseg.prediction.model import class_maps

COLORS = [[70, 130, 180], [128, 64, 128], [0, 90, 0], [0, 0, 142], [220, 220, 0]]


@pytest.fixture(scope="module")
def model():
    """Its classes change from pixel to pixel and depend on the neighbours."""
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
    return sorted(path.name for path in folder.iterdir())


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


# ------------------------------------------------------------------------------------------------------------- results


def test_every_mask_is_what_predict_finds(model, photos, tmp_path, monkeypatch):
    batches = []

    def counted(network, images, *rest, **options):
        batches.append(images.shape[:3])
        return class_maps(network, images, *rest, **options)

    monkeypatch.setattr(files, "class_maps", counted)
    found = predict(model, photos, tmp_path / "maps", pixels=1400)
    assert found == (7, 0, [], None)
    assert sorted(batches) == [(1, 31, 33), (2, 20, 30), (2, 20, 30), (2, 30, 20)]  # of one size, at most 1400 pixels
    assert names(tmp_path / "maps") == sorted(f"{i}{end}" for i in range(7) for end in (".png", "_overlay.jpg"))
    for index in range(7):
        np.testing.assert_array_equal(
            read(tmp_path / "maps" / f"{index}.png"), tfseg.predict(model, photos / f"{index}.png")
        )


def test_batches_end_with_their_chunk(model, photos, tmp_path, monkeypatch):
    """Whoever works on a chunk sees the same batches: results are the same to the bit, wherever they are made."""
    monkeypatch.setattr(files, "CHUNK", 3)
    batches = []
    monkeypatch.setattr(
        files, "_maps", lambda _, batch, __: batches.append([job.image.stem for job, _ in batch]) or 1 / 0
    )
    found = predict(model, photos, tmp_path / "maps")
    assert batches == [["0", "2"], ["1"], ["3"], ["4"], ["5"], ["6"]]
    assert [reason for _, reason in found.failed] == ["division by zero"] * 7


def test_shards_are_disjoint_and_together_everything(model, photos, tmp_path):
    done = [set(), set(), set()]
    for index, shard in enumerate(done):
        before = set(names(tmp_path / "maps")) if index else set()
        found = predict(model, photos, tmp_path / "maps", shard=(index, 3), overlays=False)
        shard |= set(names(tmp_path / "maps")) - before
        assert (found.predicted, found.kept) == (len(shard), 0)
    assert [len(shard) for shard in done] == [3, 2, 2]
    assert set.union(*done) == {f"{index}.png" for index in range(7)}
    assert predict(model, photos, tmp_path / "maps", shard=(8, 9)) == (0, 0, [], None)
    assert folders.share(list(range(10)), (1, 4)) == [1, 5, 9]
    for shard in ((3, 3), (-1, 3), (0, 0)):
        with pytest.raises(ValueError, match=r"A shard is \(i, n\) with 0 <= i < n: .* Received: \("):
            predict(model, photos, tmp_path / "maps", shard=shard)


def test_what_exists_is_kept_and_what_failed_is_tried_again(model, photos, tmp_path):
    out = tmp_path / "maps"
    good = (photos / "3.png").read_bytes()
    (photos / "3.png").write_bytes(good[:200])
    found = predict(model, photos, out)
    assert (found.predicted, found.kept) == (6, 0)
    assert [path.name for path, _ in found.failed] == ["3.png"]
    assert json.loads(found.failures.read_text()) == {str(path): reason for path, reason in found.failed}
    written = {name: (out / name).read_bytes() for name in names(out) if name != "failures.json"}
    (out / "0.png").write_bytes(b"mine")
    (out / "1_overlay.jpg").unlink()
    (photos / "3.png").write_bytes(good)
    assert predict(model, photos, out) == (2, 5, [], None)
    again = {name: (out / name).read_bytes() for name in names(out)}
    assert again == written | {name: again[name] for name in ("3.png", "3_overlay.jpg")} | {"0.png": b"mine"}
    assert predict(model, photos, out, overwrite=True).predicted == 7
    assert {name: (out / name).read_bytes() for name in written} == written
    predict(model, photos, out, shard=(1, 2))
    (photos / "7.png").write_text("no picture")
    assert predict(model, photos, out, shard=(1, 2)).failures == out / "failures-1-of-2.json"


def test_what_killed_processes_left_is_swept(model, photos, tmp_path):
    out = tmp_path / "maps"
    out.mkdir()
    for name in (".00000077.partial.3.png", ".abc12345.partial.3_overlay.jpg", ".00000077.partial.other.png", ".notes-3.png"):
        (out / name).write_bytes(b"half")
    predict(model, photos / "3.png", out)
    assert names(out) == [".00000077.partial.other.png", ".notes-3.png", "3.png", "3_overlay.jpg"]


def test_results_that_cannot_be_written_end_the_run(model, photos, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.drawing, "write_mask", full)
    with pytest.raises(OSError, match="No space left"):
        predict(model, photos, tmp_path / "maps", overlays=False)
    assert names(tmp_path / "maps") == []


def test_progress_tells_rate_and_time_left(model, photos, tmp_path, capsys):
    tfseg.predict_files(model, photos, tmp_path / "maps", overlays=False)
    assert "7/7 images, " in (last := capsys.readouterr().err.splitlines()[-1])
    assert last.endswith("0:00:00 left")


# -------------------------------------------------------------------------------------------------------- large images


def test_a_large_image_is_seen_through_windows_and_drawn_smaller(model, tmp_path):
    (tmp_path / "photos").mkdir()
    large = pixels(60, 90, 3)
    Image.fromarray(large).save(tmp_path / "photos" / "large.png")
    assert predict(model, tmp_path / "photos", tmp_path / "maps", pixels=900).predicted == 1
    expected = tfseg.predict(model, large, window=(30, 30))
    np.testing.assert_array_equal(read(tmp_path / "maps" / "large.png"), expected)
    # Only next to the windows' borders, where this network misses neighbours, it may differ from the whole view.
    assert 0.9 < np.mean(expected == tfseg.predict(model, large)) < 1
    assert read(tmp_path / "maps" / "large_overlay.jpg").shape[1] >= 30
    assert read(tmp_path / "maps" / "large_overlay.jpg").shape[1] < 90 * 3
    predict(model, tmp_path / "photos", tmp_path / "whole", pixels=900, window=(60, 90), overlays=False)
    np.testing.assert_array_equal(read(tmp_path / "whole" / "large.png"), tfseg.predict(model, large))


def test_memory_is_bounded_by_windows(tmp_path):
    """20,000 pixels wide, 64 classes: the logits of all of it would be 328 MB."""
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    network = keras.Model(image, keras.layers.Conv2D(64, 1)(x))
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20_000, 64), (200, 10, 10)).save(tmp_path / "photos" / "wide.png")
    tfseg.predict(network, pixels(4, 4, 3), window=(2, 2))  # compiled
    tracemalloc.start()  # NumPy's memory: what is held of pixels, logits and classes
    predict(network, tmp_path / "photos", tmp_path / "maps", pixels=2**14)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
    assert read(tmp_path / "maps" / "wide.png").shape == (64, 20_000)
    assert len(np.unique(read(tmp_path / "maps" / "wide.png"))) == 1


# ----------------------------------------------------------------------------------------------------------- bad input


def test_traps_by_name(model, tmp_path):
    """What goes through, and the reason of what does not."""
    photos = tmp_path / "photos"
    photos.mkdir()
    array = pixels(12, 17, 3)
    picture = Image.fromarray(array)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(photos / "turned.jpg", exif=exif)
    picture.convert("CMYK").save(photos / "cmyk.jpg")
    picture.quantize(16).save(photos / "palette.png")
    picture.convert("RGBA").save(photos / "alpha.png")
    Image.fromarray(array[..., 0].astype("uint16") * 256).save(photos / "deep.png")
    Image.fromarray(array[:1, :1]).save(photos / "dot.png")
    good = sorted(path.stem for path in photos.iterdir())
    Image.fromarray(array[..., 0].astype("float32")).save(photos / "float.tif")
    Image.new("1", (2000, 1000)).save(photos / "bomb.png")
    (photos / "empty.png").write_bytes(b"")
    (photos / "text.jpg").write_text("no picture")
    (photos / "cut.png").write_bytes((photos / "alpha.png").read_bytes()[:150])
    found = predict(model, photos, tmp_path / "maps", overlays=False, max_pixels=10**6)
    reasons = {path.name: reason for path, reason in found.failed}
    assert sorted(reasons) == ["bomb.png", "cut.png", "empty.png", "float.tif", "text.jpg"]
    assert "2000x1000 pixels is beyond max_pixels, 1000000: raise that" in reasons["bomb.png"]
    assert "8 or 16 bits a channel: scale it" in reasons["float.tif"]
    assert all(reason and "\n" not in reason for reason in reasons.values())
    assert [name for name in names(tmp_path / "maps") if name.endswith(".png")] == [f"{stem}.png" for stem in good]
    assert read(tmp_path / "maps" / "turned.png").shape == (17, 12)
    assert read(tmp_path / "maps" / "dot.png").shape == (1, 1)


def test_a_picture_beyond_pillows_own_limit_goes_through_if_allowed(model, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels(20, 30, 3)).save(tmp_path / "photos" / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert predict(model, tmp_path / "photos", tmp_path / "maps", overlays=False).predicted == 1


def test_why_a_network_does_not_take_a_size(tmp_path):
    """One that is too small for its kernels, in TensorFlow's words; one of another size than it was made for, in ours."""
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels(5, 4, 3)).save(tmp_path / "photos" / "dot.png")
    for size, reason in (
        ((None, None), "Computed output size would be negative"),
        ((8, 9), r"takes images of \(8, 9\), height and width. Received: \(5, 4\). Resize them, or slide a window"),
    ):
        image = keras.Input((*size, 3))
        network = keras.Model(image, keras.layers.Conv2D(2, 7)(image))
        found = predict(network, tmp_path / "photos", tmp_path / "maps", preprocessing="torch")
        ((_, told),) = found.failed
        assert re.search(reason, told)


def test_what_is_wrong_with_the_model_or_the_settings_ends_the_run(model, photos, tmp_path):
    image = keras.Input((None, None, 3))
    unsaid = keras.Model(image, keras.layers.Conv2D(5, 1)(image), name="unsaid")
    classifier = keras.Model(image, keras.layers.GlobalAveragePooling2D()(unsaid(image)))
    for network, options, message in (
        (unsaid, {}, "'unsaid' does not say how its input is prepared"),
        (classifier, {"preprocessing": "torch"}, "A segmentation model turns images"),
        (model, {"preprocessing": "tf"}, "Preprocessing is a dictionary or one of"),
        (model, {"scales": (0,)}, "scales are numbers above 0"),
        (model, {"window": (64,)}, r"A window is \(height, width\)"),
        (model, {"overlap": 1.5}, "overlap is at least 0 and below 1"),
        (model, {"pixels": 0}, "pixels and max_pixels are at least 1. Received: 0 and"),
    ):
        with pytest.raises(ValueError, match=message):
            predict(network, photos, tmp_path / "maps", **options)
    with pytest.raises(TypeError, match="unexpected keyword argument 'windows'"):
        predict(model, photos, tmp_path / "maps", windows=(64, 64))
    assert not (tmp_path / "maps").exists()
    assert predict(unsaid, photos, tmp_path / "maps", preprocessing="torch", overlays=False).predicted == 7


def test_all_shards_refuse_images_of_one_stem(model, photos, tmp_path):
    os.link(photos / "5.png", photos / "5.jpg")
    for index in range(2):
        with pytest.raises(ValueError, match=r"would both become .*5.png: predict them apart"):
            predict(model, photos, tmp_path / "maps", shard=(index, 2))
