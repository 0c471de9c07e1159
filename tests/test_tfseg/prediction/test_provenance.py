"""`tfseg.predict_files` keeps results only if they were made from the same image, by the same model, in the same way."""

import json
import os
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

import tfseg
from tfseg.prediction import batches
from tfseg.prediction.fingerprint import model_mark
from tfseg.prediction.records import PREFIX


def segmenter(seed=0):
    keras.utils.set_random_seed(seed)
    image = keras.Input((None, None, 3), name="image")
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"], name="metadata")(image)
    return keras.Model(image, keras.layers.Conv2D(5, 3, padding="same", name="logits")(x), name=f"segmenter{seed}")


@pytest.fixture(scope="module")
def model():
    return segmenter()


@pytest.fixture
def photos(tmp_path):
    """Three photographs, one of them in a folder."""
    for index, name in enumerate(("a.bmp", "b.bmp", "deep/a.bmp")):
        save(tmp_path / "photos" / name, index)
    return tmp_path / "photos"


def save(path, seed, size=(9, 11)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "maps"


def predict(model, photos, out, **options):
    return tfseg.predict_files(model, photos, out, progress=False, **{"overlays": False, **options})


def counts(outcome):
    return outcome.predicted, outcome.kept, outcome.renewed


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def assert_right(model, photos, out, **options):
    for path in photos.rglob("*.bmp"):
        mask = read(out / path.relative_to(photos).with_suffix(".png"))
        np.testing.assert_array_equal(mask, tfseg.predict(model, path, **options))


def test_the_same_is_kept(model, photos, out):
    assert counts(predict(model, photos, out)) == (3, 0, 0)
    assert counts(predict(model, photos, out)) == (0, 3, 0)
    assert counts(predict(segmenter(), f"{photos}/**/*.bmp", out, pixels=99, max_pixels=1000)) == (0, 3, 0)
    assert_right(model, photos, out)


def test_another_photograph_of_the_same_name_is_predicted(model, photos, out):
    """The files have one size, and even one time."""
    predict(model, photos, out)
    time = (photos / "a.bmp").stat().st_mtime_ns
    save(photos / "a.bmp", 7)
    os.utime(photos / "a.bmp", ns=(time, time))
    assert counts(predict(model, photos, out)) == (1, 2, 1)
    os.utime(photos / "b.bmp", ns=(time + 1, time + 1))  # what comes after the first bytes may have changed
    assert counts(predict(model, photos, out)) == (1, 2, 1)
    assert_right(model, photos, out)


def test_another_model_predicts_all(model, photos, out):
    predict(model, photos, out)
    other = segmenter(1)
    assert counts(predict(other, photos, out)) == (3, 0, 3)
    assert_right(other, photos, out)
    assert counts(predict(other, photos, out)) == (0, 3, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"flip": True},
        {"threshold": 0.5},
        *(
            pytest.param(options, marks=pytest.mark.full)
            for options in ({"scales": (0.5,)}, {"window": (4, 4)}, {"preprocessing": "caffe"})
        ),
    ],
    ids=str,
)
def test_other_settings_predict_all(model, photos, out, options):
    predict(model, photos, out)
    assert counts(predict(model, photos, out, **options)) == (3, 0, 3)
    assert_right(model, photos, out, **options)


def test_pixels_change_the_results_of_larger_images_only(model, photos, out):
    save(photos / "large.bmp", 3, (20, 30))
    predict(model, photos, out, pixels=1000)
    assert counts(predict(model, photos, out, pixels=300)) == (1, 3, 1)
    expected = tfseg.predict(model, photos / "large.bmp", window=(17, 17))
    np.testing.assert_array_equal(read(out / "large.png"), expected)


def test_files_of_others_are_never_replaced(model, photos, out):
    out.mkdir()
    (out / "a.png").write_bytes(b"drawn by hand")
    predict(model, photos, out)
    (out / "b.png").write_bytes(b"corrected by hand")
    assert predict(model, photos, out).unverified == [out / "a.png"]
    outcome = predict(segmenter(1), photos, out)
    assert (counts(outcome), outcome.unverified) == ((1, 2, 1), [out / "a.png", out / "b.png"])
    assert (out / "a.png").read_bytes() == b"drawn by hand"
    assert (out / "b.png").read_bytes() == b"corrected by hand"
    assert counts(predict(model, photos, out, overwrite=True)) == (3, 0, 0)
    assert_right(model, photos, out)


@pytest.mark.full
def test_a_copied_directory_is_known(model, photos, out, tmp_path):
    predict(model, photos, out)
    shutil.copytree(out, tmp_path / "copy", copy_function=shutil.copy)
    assert counts(predict(model, photos, tmp_path / "copy")) == (0, 3, 0)
    assert counts(predict(segmenter(1), photos, tmp_path / "copy")) == (3, 0, 3)


@pytest.mark.full
def test_shards_and_whole_runs_know_each_other(model, photos, out):
    for index in range(2):
        predict(model, photos, out, shard=(index, 2))
    assert counts(predict(model, photos, out)) == (0, 3, 0)
    other = segmenter(1)
    assert counts(predict(other, photos, out)) == (3, 0, 3)
    assert [counts(predict(other, photos, out, shard=(index, 2))) for index in range(2)] == [(0, 2, 0), (0, 1, 0)]
    assert [counts(predict(model, photos, out, shard=(index, 2))) for index in range(2)] == [(2, 0, 2), (1, 0, 1)]
    assert_right(model, photos, out)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("then", [0, 1])
def test_a_killed_run_leaves_no_result_of_another_model(model, photos, out, monkeypatch, moment, then):
    """Killed before or after the first result is in place, and before the record says so."""
    predict(model, photos, out)
    written = batches._write

    def killed(*arguments):
        if moment == "after":
            written(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(batches, "_write", killed)
        with pytest.raises(Killed):
            predict(segmenter(1), photos, out)
    outcome = predict(segmenter(then), photos, out)
    assert outcome.unverified == []
    assert_right(segmenter(then), photos, out)
    if (moment, then) == ("before", 0):
        assert counts(outcome) == (0, 3, 0)


@pytest.mark.full
def test_a_torn_or_foreign_record_is_harmless(model, photos, out):
    predict(model, photos, out)
    (record,) = out.glob(f"{PREFIX}*")
    whole = record.read_text()
    for content in (
        whole[:-20],
        "",
        "{}",
        "[1]\n" + whole,
        '["a.png", [1, 2, "x"], "y"]\n' + whole,
        "\xff\n[]\n" + whole,
    ):
        record.write_text(content)
        outcome = predict(model, photos, out)
        assert outcome.predicted + outcome.kept == 3
        assert_right(model, photos, out)


@pytest.mark.full
def test_the_record_does_not_grow(model, photos, out):
    sizes = []
    for seed in (0, 1, 0, 1, 0):
        predict(segmenter(seed), photos, out)
        (record,) = out.glob(f"{PREFIX}*")
        sizes.append(record.stat().st_size)
    assert abs(sizes[4] - sizes[1]) < 50
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert all(isinstance(line, dict | list) for line in lines)


def test_directories_of_results_are_not_searched(model, photos):
    predict(model, photos, photos / "maps")
    outcome = predict(model, photos, photos / "maps2")
    assert (counts(outcome), outcome.left_out) == ((3, 0, 0), [photos / "maps"])
    assert counts(predict(model, photos, photos / "maps")) == (0, 3, 0)


def test_the_mark_of_a_model_is_its_function(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert model_mark(loaded) == model_mark(model) == model_mark(segmenter())
    marks = {model_mark(model), model_mark(segmenter(1))}
    kernel = loaded.get_layer("logits").kernel
    kernel.assign(np.nextafter(keras.ops.convert_to_numpy(kernel), 9))
    marks.add(model_mark(loaded))
    image = keras.Input((None, None, 3), name="image")
    marks.add(model_mark(keras.Model(image, keras.layers.Conv2D(5, 3, padding="same", name="logits")(image))))
    assert len(marks) == 4


def test_a_model_without_a_configuration_has_a_mark():
    class Own(keras.layers.Layer):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def call(self, x):
            return self.function(x)

    image = keras.Input((4, 4, 3))
    network = keras.Model(image, Own(lambda x: x[..., :2])(image))
    assert model_mark(network) == model_mark(network)
