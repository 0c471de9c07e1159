"""`tfseg predict`: what it writes, keeps and refuses, and how it stops."""

import json
import os
import re
import signal
import time

import numpy as np
import pytest
from helpers import run_command
from helpers.segmenters import narrow_fcn
from PIL import Image

import tfseg
from tfseg.image_search import find_images
from tfseg.prediction.records import PREFIX

COMMAND = "tfseg_cli.predict"
NAMES, COLORS = (
    ["sky", "road", "tree", "car", "sign"],
    [[70, 130, 180], [128, 64, 128], [0, 90, 0], [0, 0, 142], [220, 220, 0]],
)


def run(*arguments, **options):
    return run_command.run(COMMAND, *arguments, **options)


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
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(PREFIX))


def test_help_describes_the_command_and_every_flag():
    _, out, _ = run("--help")
    assert "class of every pixel" in out
    for flag in (
        "--model --images --output --preprocessing --[no]overlays --[no]overwrite --shard --scales --[no]flip --window "
        "--overlap --pixels --max_pixels --threshold --[no]probabilities --cluster --engine --precision --[no]explain --ray_address --workers --worker_cpus --worker_gpus"
    ).split():
        assert flag in out


def test_default_flags_are_the_default_settings():
    script = """
from absl import flags
from tfseg.prediction.batches import PredictionSettings
from tfseg_cli import predict
names = ("overlap", "pixels", "max_pixels", "flip", "window", "scales", "threshold")
print([name for name in names if flags.FLAGS[name].default != getattr(PredictionSettings("torch"), name)])
"""
    code, out, err = run_command.forked(script)  # a process has the flags of one command only
    assert (code, out) == (0, "[]\n"), err


def test_an_engine_that_is_not_installed_is_named_with_its_extra(model_file, photos, tmp_path):
    words = [photos, f"--model={model_file}", f"--output={tmp_path}/maps", "--engine=openvino"]
    code, _, err = run(*words, before="sys.modules['openvino'] = None")
    line = "tfseg-predict: The engine 'openvino' is not installed here: pip install \"tfseg[openvino]\"\n"
    assert (code, err) == (1, line)


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
    assert [line for line in err.splitlines() if "images, " not in line and "failed: " not in line] == []


def test_flags_are_passed_to_predict_files(model, model_file, photos, tmp_path):
    words = "--shard=1/2 --scales=0.75,1.25 --flip --window=32,40 --overlap=0.25 --nooverlays".split()
    code, out, err = run(photos, f"--model={model_file}", f"--output={tmp_path}/maps", *words)
    assert code == 0, err
    assert names(tmp_path / "maps") == ["b.v2.png"]
    assert "1 images predicted, 0 kept, 0 failed" in out
    with Image.open(tmp_path / "maps" / "b.v2.png") as mask:
        options = {"scales": (0.75, 1.25), "flip": True, "window": (32, 40), "overlap": 0.25}
        np.testing.assert_array_equal(mask, tfseg.predict(model, photos / "b.v2.png", **options))


def test_several_images_stand_without_a_flag(model_file, photos, tmp_path):
    words = [photos / "a.jpg", f"--model={model_file}", f"{photos}/*.png", f"--output={tmp_path}/maps", "--nooverlays"]
    code, _, err = run(*words)
    assert code == 0, err
    assert names(tmp_path / "maps") == ["a.png", "b.v2.png"]


def test_tilde_is_the_home_directory(model_file, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    os.link(model_file, tmp_path / "m.keras")
    for images in ("~/photos", "~/photos/*.jpg"):
        code, _, err = run("--model=~/m.keras", f"--images={images}", "--output=~/maps", cwd=photos)
        assert code == 0, err
    assert "a_overlay.jpg" in names(tmp_path / "maps")
    assert names(photos) == ["a.jpg", "b.v2.png"]


@pytest.mark.full
def test_results_are_kept_renewed_and_left_to_their_owner(model_file, photos, tmp_path):
    maps = tmp_path / "maps"
    words = [photos, f"--model={model_file}", f"--output={maps}"]
    (photos / "notes.txt").write_text("no image")
    (photos / "c.psd").write_bytes(b"8BPS")
    out = run(*words).out
    assert out == f"{maps}: 2 images predicted, 0 kept, 0 failed\n" + (
        left_out := f"2 files ({photos}/c.psd, {photos}/notes.txt) left out: no images by their names\n"
    )
    assert run(*words).out == f"{maps}: 0 images predicted, 2 kept, 0 failed\n" + left_out
    (maps / "b.v2.png").write_bytes(b"mine")
    code, out, _ = run(*words, "--flip", "--nooverlays")
    assert code == 0
    assert f"{maps}: 1 images predicted, 1 kept, 0 failed\n1 of them had results of another image" in out
    assert f"1 file ({maps}/b.v2.png) kept, made from something unknown: --overwrite makes them again\n" in out
    assert "2 images predicted, 0 kept" in run(*words, "--overwrite").out


@pytest.mark.full
def test_probabilities_and_void_are_written(model, model_file, photos, tmp_path):
    words = [photos, f"--model={model_file}", f"--output={tmp_path}/maps", "--probabilities", "--threshold=0.3"]
    assert run(*words, "--nooverlays").code == 0
    probabilities = np.load(tmp_path / "maps" / "a_probabilities.npy")
    np.testing.assert_allclose(
        probabilities, tfseg.predict(model, photos / "a.jpg", return_probabilities=True), atol=1e-6
    )
    with Image.open(tmp_path / "maps" / "a.png") as mask:
        expected = np.where(probabilities.max(-1) < np.float32(0.3), 255, probabilities.argmax(-1))
        np.testing.assert_array_equal(mask, expected)


def test_only_the_first_failures_are_printed(model_file, tmp_path):
    (tmp_path / "broken").mkdir()
    for index in range(23):
        (tmp_path / "broken" / f"{index:02}.jpg").write_text("no picture")
    code, _, err = run(tmp_path / "broken", f"--model={model_file}", f"--output={tmp_path}/maps")
    assert code == 1
    assert len(re.findall("failed: .*[.]jpg: ", err)) == 20
    assert err.endswith(f"\nand 3 more: {tmp_path}/maps/failures.json\n")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--shard=3", "--shard=3: expected index/count with index from 0, such as 0/4 to 3/4"),
        ("--shard=4/4", "--shard=4/4: expected index/count with index from 0, such as 0/4 to 3/4"),
        ("--window=64", "--window=64: expected height,width in pixels, such as 320,480"),
        ("--scales=1,big", "--scales=1,big: expected numbers above 0 with commas between them, such as 0.5,1,1.5"),
        ("--overlap=1", "--overlap=1: expected a number of at least 0 and below 1"),
        ("--threshold=1", "--threshold=1: expected a number of at least 0 and below 1"),
        ("--pixels=0", "--pixels=0: expected a whole number of at least 1"),
        ("--max_pixels=1e6", "--max_pixels=1e6: expected a whole number of at least 1"),
        ("--worker_cpus=0", "--worker_cpus=0: expected a whole number of at least 1"),
        ("--workers=2", "--workers is for a Ray cluster: add --cluster=ray, or leave it out"),
        (
            "--preprocessing=toch",
            "--preprocessing=toch: expected one of the ways to prepare images. Did you mean torch?",
        ),
        ("--images=no/*.jpg", "--images=no/*.jpg: expected a directory with images, a file, or a pattern of files"),
    ],
)
def test_invalid_flags_are_refused_in_one_line(model_file, photos, tmp_path, word, message):
    images = [] if word.startswith("--images") else [photos]
    code, out, err = run(*images, f"--model={model_file}", f"--output={tmp_path}/maps", word)
    assert (code, out, err) == (2, "", f"tfseg-predict: {message}\n")
    assert not (tmp_path / "maps").exists()


def test_images_in_the_output_directory_are_refused(model_file, photos):
    code, _, err = run(photos, f"--model={model_file}", f"--output={photos}")
    assert code == 2
    assert err.startswith(f"tfseg-predict: --output={photos}: {photos}/a.jpg lies in the output directory")


def test_a_missing_model_is_refused_in_one_line(photos, tmp_path):
    code, _, err = run(photos, f"--model={tmp_path}/none.keras", f"--output={tmp_path}/maps")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"tfseg-predict: --model={tmp_path}/none.keras: there is no such file")
    assert not (tmp_path / "maps").exists()


def test_a_closed_pipe_is_no_error(model_file, photos, tmp_path):
    script = "import os; reader, writer = os.pipe(); os.close(reader); os.dup2(writer, 1)"
    code, _, err = run(photos, f"--model={model_file}", f"--output={tmp_path}/maps", before=script)
    assert code == 0
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert len(names(tmp_path / "maps")) == 4


@pytest.mark.parametrize("seconds", [0.5, 1.5])
def test_ctrl_c_while_the_library_is_loaded_ends_without_words(model_file, photos, tmp_path, seconds):
    process = run_command.start(COMMAND, photos, f"--model={model_file}", f"--output={tmp_path}/maps")
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    assert run_command.finish(process) == (130, "", "")


@pytest.mark.full
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
    assert all("images, " in line for line in err.splitlines())
    done = names(output)
    assert 6 <= len(done) < 600
    for name in done:  # neither an incomplete nor a temporary file
        assert name[:3].isdigit()
        with Image.open(output / name) as image:
            image.load()
    images = find_images(photos / "[0-9]*.jpg")
    assert done == sorted(
        f"{image.stem}{end}" for image in images[: len(done) // 2] for end in (".png", "_overlay.jpg")
    )
