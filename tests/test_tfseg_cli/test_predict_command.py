"""`tfseg-predict`: what it writes, what it keeps, what it refuses, how it stops."""

import contextlib
import json
import signal
import time

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from helpers import run_command
from helpers.segmenters import narrow_fcn
from PIL import Image

import tfseg
from tfseg.prediction import folders
from tfseg.writing import atomic
from tfseg_cli import predict
from tfseg_cli.common import load_model

COMMAND = "tfseg_cli.predict"
NAMES, COLORS = (
    ["sky", "road", "tree", "car", "sign"],
    [[70, 130, 180], [128, 64, 128], [0, 90, 0], [0, 0, 142], [220, 220, 0]],
)


def run(*arguments):
    return run_command.run(COMMAND, *arguments)


@pytest.fixture(scope="module")
def model():
    network = narrow_fcn()
    tfseg.set_metadata(network, classes=NAMES, colors=COLORS)
    return network


@pytest.fixture(scope="module")
def model_file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "street.keras"
    model.save(path)
    return path


@pytest.fixture
def photos(tmp_path):
    """Two photographs of different sizes and a file that only claims to be one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("a.jpg", (40, 50)), ("b.v2.png", (33, 47))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ------------------------------------------------------------------------------------------------- the command itself


def test_help_tells_what_it_does_and_every_flag():
    _, out, _ = run("--help")
    assert "class of every pixel" in out
    for flag in (
        "--model --images --output --preprocessing --[no]overlays --[no]overwrite --shard --scales --[no]flip --window "
        "--overlap --pixels --max_pixels --engine --ray_address --workers --worker_cpus --worker_gpus"
    ).split():
        assert flag in out


def test_masks_and_overlays_of_all_images_but_the_broken_one(model, model_file, photos, tmp_path):
    (photos / "c.jpg").write_bytes((photos / "a.jpg").read_bytes()[:700])
    (tmp_path / "flags").write_text(f"--model={model_file}\n--images={photos}\n--output={tmp_path}/maps/new\n")
    code, out, err = run(f"--flagfile={tmp_path}/flags")
    output = tmp_path / "maps" / "new"
    assert names(output) == ["a.png", "a_overlay.jpg", "b.v2.png", "b.v2_overlay.jpg", "failures.json"]
    assert list(json.loads((output / "failures.json").read_text())) == [str(photos / "c.jpg")]
    for stem, photo in (("a", "a.jpg"), ("b.v2", "b.v2.png")):
        with Image.open(output / f"{stem}.png") as mask, Image.open(output / f"{stem}_overlay.jpg") as picture:
            np.testing.assert_array_equal(mask, tfseg.predict(model, photos / photo))
            np.testing.assert_array_equal(np.reshape(mask.getpalette(), (-1, 3))[:5], COLORS)
            assert picture.width >= mask.width
            assert picture.height > mask.height
    assert code == 1
    assert "2 images predicted, 0 kept, 1 failed" in out
    assert f"failed: {photos / 'c.jpg'}: " in err
    assert "3/3 images" in err
    assert "Traceback" not in err


@contextlib.contextmanager
def given(*words):
    """These flags, in this process, where other tests may have brought in commands that want flags of their own."""
    others = ["--data=."] if "data" in flags.FLAGS else []
    with flagsaver.flagsaver():
        flags.FLAGS(["tfseg-predict", *others, *words])
        yield


def test_the_command_sees_what_python_sees(model, model_file, photos, tmp_path, capsys):
    paths = [f"--model={model_file}", f"--images={photos}", f"--output={tmp_path}/maps"]
    options = "--shard=1/2 --scales=0.75,1.25 --flip --window=32,40 --overlap=0.25 --nooverlays".split()
    with given(*paths, *options):
        assert predict._predict() == 0
    assert names(tmp_path / "maps") == ["b.v2.png"]
    assert "1 images predicted, 0 kept, 0 failed" in capsys.readouterr().out
    with Image.open(tmp_path / "maps" / "b.v2.png") as mask:
        seen = {"scales": (0.75, 1.25), "flip": True, "window": (32, 40), "overlap": 0.25}
        np.testing.assert_array_equal(mask, tfseg.predict(model, photos / "b.v2.png", **seen))


def test_many_failures_are_told_in_part(model_file, photos, tmp_path, monkeypatch):
    for name in ("c.jpg", "d.jpg", "e.jpg"):
        (photos / name).write_text("no picture")
    monkeypatch.setattr(predict, "_SHOWN", 2)
    with given(f"--model={model_file}", f"--images={photos}", f"--output={tmp_path}/maps"):
        lines = predict._predict().splitlines()
    assert lines[1].startswith(f"failed: {photos}/d.jpg: ")
    assert lines[2:] == [f"and 1 more: {tmp_path}/maps/failures.json"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--shard=3", r"--shard: Which images: 0/4 the first of four shares, 3/4 the last. Received: 3"),
        ("--window=64", r"--window: Height and width .* Received: \['64'\]"),
        ("--scales=1,big", r"--scales: Sizes .* Received: \['1', 'big'\]"),
    ],
)
def test_flags_that_are_no_numbers(flag, message):
    with given("--model=none.keras", "--images=.", "--output=maps", flag), pytest.raises(ValueError, match=message):
        predict._predict()


def test_stray_arguments_are_refused(photos):
    code, _, err = run("--model=m.keras", "--output=maps", f"--images={photos}/a.jpg", photos / "b.v2.png")
    assert code == 1
    assert f"Unexpected: {photos / 'b.v2.png'}. Values go with their flag" in err


def test_an_error_is_one_line(photos, tmp_path):
    code, _, err = run(f"--model={tmp_path}/none.keras", f"--images={photos}", f"--output={tmp_path}/maps")
    assert code == 1
    assert err.rstrip().splitlines()[-1].endswith(f": There is no model '{tmp_path}/none.keras'.")
    assert "Traceback" not in err
    assert not (tmp_path / "maps").exists()


def test_ctrl_c_leaves_whole_files_and_no_words(model_file, photos, tmp_path):
    with Image.open(photos / "a.jpg") as image:
        picture = image.resize((600, 400))
    for index in range(300):
        picture.save(photos / f"{index:03}.jpg")
    output = tmp_path / "maps"
    process = run_command.start(COMMAND, f"--model={model_file}", f"--images={photos}/[0-9]*.jpg", f"--output={output}")
    deadline = time.monotonic() + 90
    while not (output / "002.png").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    code, _, err = run_command.finish(process)
    assert code == 130
    assert "Traceback" not in err
    done = names(output)
    assert 6 <= len(done) < 600
    for name in done:  # neither half a picture nor a temporary file
        assert name[:3].isdigit()
        with Image.open(output / name) as image:
            image.load()
    images = folders.find_images(photos / "[0-9]*.jpg")
    assert [job.image for job in folders.plan(images, output)] == images[len(done) // 2 :]


# ------------------------------------------------------------------------------------------------------------- images


def test_a_directory_gives_its_pictures(photos):
    for name in ("notes.txt", ".hidden.jpg", "B.JPEG"):
        (photos / name).write_bytes(b"")
    (photos / "folder.png").mkdir()
    assert [path.name for path in folders.find_images(photos)] == ["B.JPEG", "a.jpg", "b.v2.png"]


def test_a_pattern_gives_all_it_matches_once(photos):
    (photos / "deep" / "deeper").mkdir(parents=True)
    (photos / "deep" / "deeper" / "c.jpg").write_bytes(b"")
    assert folders.find_images(f"{photos}/*.png") == [photos / "b.v2.png"]
    assert folders.find_images(f"{photos}/**/**/*.jpg") == [photos / "a.jpg", photos / "deep" / "deeper" / "c.jpg"]


def test_a_name_with_brackets_is_a_name(photos):
    (photos / "a.jpg").rename(photos / "a[1].jpg")
    assert folders.find_images(photos / "a[1].jpg") == [photos / "a[1].jpg"]


@pytest.mark.parametrize("where", ["nowhere", "*.gif", "."])
def test_no_images(tmp_path, where):
    with pytest.raises(ValueError, match=r"No images: '.*' is neither a directory with pictures .* nor a pattern"):
        folders.find_images(tmp_path / where)


# --------------------------------------------------------------------------------------------------------------- plan


def test_images_of_one_stem_are_refused(tmp_path):
    for first, second in (("x/a.jpg", "x/a.png"), ("x/a.jpg", "y/a.jpg")):
        with pytest.raises(ValueError, match=rf"{first} and .*{second} would both become .*a.png: predict them apart"):
            folders.plan([tmp_path / first, tmp_path / second], tmp_path / "maps")


def test_the_output_may_not_be_where_the_images_are(photos):
    with pytest.raises(ValueError, match=r"a.jpg lies in the output directory"):
        folders.plan(folders.find_images(photos), photos / ".." / "photos")


def test_only_what_is_missing_is_planned(photos, tmp_path):
    images, output = folders.find_images(photos), tmp_path / "maps"
    output.mkdir()
    (output / "a.png").write_bytes(b"")
    a, b = folders.plan(images, output)
    assert a == (images[0], None, output / "a_overlay.jpg")
    assert b == (images[1], output / "b.v2.png", output / "b.v2_overlay.jpg")
    assert folders.plan(images, output, overlays=False) == [(images[1], output / "b.v2.png", None)]
    assert [job.mask for job in folders.plan(images, output, overwrite=True)] == [output / "a.png", output / "b.v2.png"]
    (output / "a_overlay.jpg").write_bytes(b"")
    assert folders.plan(images, output) == [b]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    (tmp_path / "a.png").write_text("old")
    with contextlib.suppress(RuntimeError), atomic(tmp_path / "a.png", overwrite=True) as half:
        half.write_text("ne")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.png", "old")]


# -------------------------------------------------------------------------------------------------------------- models


def test_a_keras_file_loads_as_it_was(model, model_file, photos):
    loaded = load_model(model_file)
    assert tfseg.metadata(loaded) == tfseg.metadata(model)
    np.testing.assert_array_equal(tfseg.predict(loaded, photos / "a.jpg"), tfseg.predict(model, photos / "a.jpg"))


@pytest.mark.full  # every export is reopened in a process of its own
@pytest.mark.parametrize("format", ["saved_model", "keras"])
def test_an_exported_folder_predicts_what_its_model_did(model, photos, tmp_path, format):
    tfseg.export(model, tmp_path / "exported", formats=(format,))
    loaded = load_model(tmp_path / "exported")
    assert tfseg.metadata(loaded) == tfseg.metadata(model)
    assert loaded.name == model.name
    for options in ({}, {"window": (20, 20), "flip": True}):
        for photo in folders.find_images(photos):
            np.testing.assert_array_equal(
                tfseg.predict(loaded, photo, **options), tfseg.predict(model, photo, **options)
            )


@pytest.mark.full
def test_an_exported_folder_of_one_size_says_so(model, photos, tmp_path):
    loaded = load_model(tfseg.export(model, tmp_path / "exported", size=(33, 47)))
    np.testing.assert_array_equal(tfseg.predict(loaded, photos / "b.v2.png"), tfseg.predict(model, photos / "b.v2.png"))
    with pytest.raises(ValueError, match=r"'fcn32s' takes images of \(33, 47\), .* Received: \(40, 50\)"):
        tfseg.predict(loaded, photos / "a.jpg")
    assert tfseg.predict(loaded, photos / "a.jpg", window=(33, 47)).shape == (40, 50)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.keras", r"There is no model '.*none.keras'"),
        ("saved", r"A model is a .keras file.*saved', a directory: perhaps a SavedModel"),
        ("exported", r"The exported model '.*exported' does not load: .* It holds model.keras or a SavedModel"),
        ("model.weights.h5", r"model.weights.h5', weights alone, or a model of Keras 2"),
        ("model.pth", r"model.pth', which tfseg-convert may turn into one"),
        ("model.keras", r"The model '.*model.keras' does not load: "),
    ],
)
def test_what_is_no_model_says_so(tmp_path, name, message):
    for folder in ("saved", "exported"):
        (tmp_path / folder).mkdir()
    (tmp_path / "exported" / "metadata.json").write_text("{}")
    for file in ("model.weights.h5", "model.pth", "model.keras"):
        (tmp_path / file).write_bytes(b"no model")
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path / name)
