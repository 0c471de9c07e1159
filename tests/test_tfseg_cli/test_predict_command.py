"""`tfseg-predict`: what it writes, keeps and refuses, and how it stops."""

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
from tfseg.images import find_images
from tfseg.prediction import folders
from tfseg.prediction.batches import PredictionSettings
from tfseg_cli import predict

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
    """Two photographs of different sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("a.jpg", (40, 50)), ("b.v2.png", (33, 47))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_help_describes_the_command_and_every_flag():
    _, out, _ = run("--help")
    assert "class of every pixel" in out
    for flag in (
        "--model --images --output --preprocessing --[no]overlays --[no]overwrite --shard --scales --[no]flip --window "
        "--overlap --pixels --max_pixels --cluster --engine --ray_address --workers --worker_cpus --worker_gpus"
    ).split():
        assert flag in out
    assert "Alias for --cluster." in out


def test_default_flags_are_the_default_settings():
    settings = PredictionSettings("torch")
    for name in ("overlap", "pixels", "max_pixels", "flip", "window"):
        assert flags.FLAGS[name].default == getattr(settings, name)


def test_the_former_flag_engine_sets_the_cluster():
    with given("--model=a.keras", "--images=.", "--output=maps", "--engine=ray"):
        assert flags.FLAGS.cluster == "ray"


def test_masks_and_overlays_are_written_and_a_broken_image_is_listed(model, model_file, photos, tmp_path):
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
    """Sets flags in this process, where commands that other tests have imported may require flags of their own."""
    others = ["--data=."] if "data" in flags.FLAGS else []
    with flagsaver.flagsaver():
        flags.FLAGS(["tfseg-predict", *others, *words])
        yield


def test_flags_are_passed_to_predict_files(model, model_file, photos, tmp_path, capsys):
    paths = [f"--model={model_file}", f"--images={photos}", f"--output={tmp_path}/maps"]
    words = "--shard=1/2 --scales=0.75,1.25 --flip --window=32,40 --overlap=0.25 --nooverlays".split()
    with given(*paths, *words):
        assert predict._predict() == 0
    assert names(tmp_path / "maps") == ["b.v2.png"]
    assert "1 images predicted, 0 kept, 0 failed" in capsys.readouterr().out
    with Image.open(tmp_path / "maps" / "b.v2.png") as mask:
        options = {"scales": (0.75, 1.25), "flip": True, "window": (32, 40), "overlap": 0.25}
        np.testing.assert_array_equal(mask, tfseg.predict(model, photos / "b.v2.png", **options))


def test_only_the_first_failures_are_printed(model_file, photos, tmp_path, monkeypatch):
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
def test_flags_without_numbers_are_refused(flag, message):
    with given("--model=none.keras", "--images=.", "--output=maps", flag), pytest.raises(ValueError, match=message):
        predict._predict()


def test_stray_arguments_are_refused(photos):
    code, _, err = run("--model=m.keras", "--output=maps", f"--images={photos}/a.jpg", photos / "b.v2.png")
    assert code == 1
    assert f"Unexpected: {photos / 'b.v2.png'}. Write values as --flag=value" in err


def test_an_error_is_one_line(photos, tmp_path):
    code, _, err = run(f"--model={tmp_path}/none.keras", f"--images={photos}", f"--output={tmp_path}/maps")
    assert code == 1
    assert err.rstrip().splitlines()[-1].endswith(f": There is no model '{tmp_path}/none.keras'.")
    assert "Traceback" not in err
    assert not (tmp_path / "maps").exists()


def test_ctrl_c_leaves_whole_files_and_no_traceback(model_file, photos, tmp_path):
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
    for name in done:  # neither an incomplete nor a temporary file
        assert name[:3].isdigit()
        with Image.open(output / name) as image:
            image.load()
    images = find_images(photos / "[0-9]*.jpg")
    assert [task.image for task in folders.plan(images, output)] == images[len(done) // 2 :]
