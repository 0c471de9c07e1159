"""Images of many channels on the command line: inspected, trained on, measured, and predicted."""

import json

import numpy as np
import pytest
from helpers import run_command
from helpers.channel_images import MEAN, STD, channels, pixelwise_segmenter, write_geotiff
from helpers.command_trials import LIBRARY_REACHED, try_command_lines
from helpers.data_sets import mask, save

import tfseg
from tfseg_cli import channel_flags


@pytest.fixture
def fields(tmp_path):
    for index in range(4):
        write_geotiff(tmp_path / "fields" / "images" / f"f{index}.tif", channels(index, (24, 32)))
        save(tmp_path / "fields" / "masks" / f"f{index}.png", mask(index))
    return tmp_path / "fields"


def run(command, *flags, code=0):
    done = run_command.run(f"tfseg_cli.{command}", *flags)
    assert done.code == code, done
    return done.out + done.err


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_contradictions_end_in_one_line(tmp_path, command):
    (tmp_path / "directory").mkdir()
    (tmp_path / "no.json").write_text("{}")
    (tmp_path / "file.png").touch()
    given = {
        "train": ["--data=directory", "--num_classes=2", "--run=new", "--model=fcn8s"],
        "evaluate": ["--data=directory", "--num_classes=2", "--model=file.png"],
        "predict": ["--model=file.png", "--images=file.png", "--output=new"],
    }[command]
    wrong = {
        ("--mean=1,2",): "--std is missing",
        ("--std=1,2",): "--mean is missing",
        ("--mean=1,2", "--std=1"): "--std=1.0: expected 2 numbers",
        ("--mean=1", "--std=1", "--statistics=no.json"): "--statistics says the mean and the std",
        ("--statistics=no.json",): "--statistics=no.json: expected a file of `tfseg inspect-data --json`",
        ("--mean=1", "--std=0"): "--std=0: expected numbers above 0",
    }
    lines = [[*given, *flags] for flags in wrong]
    for message, ended in zip(
        wrong.values(), try_command_lines(f"tfseg_cli.{command}", lines, str(tmp_path)), strict=True
    ):
        assert (ended.code, ended.err.count("\n")) == (2, 1), ended
        assert message in ended.err
    (fine,) = try_command_lines(f"tfseg_cli.{command}", [[*given, "--mean=-1,2", "--std=1,2"]], str(tmp_path))
    assert fine.code == LIBRARY_REACHED


def test_flags_of_channels_are_for_data_sets_of_ones_own(tmp_path):
    (tmp_path / "directory").mkdir()
    wrong = {
        ("--dataset=voc", "--channels=4"): "--channels is for a folder or annotations",
        ("--num_classes=2", "--channels=4", "--image_bits=12"): "--image_bits is for photographs",
    }
    lines = [["--data=directory", *flags] for flags in wrong]
    endings = try_command_lines("tfseg_cli.inspect_data", lines, str(tmp_path))
    for message, ended in zip(wrong.values(), endings, strict=True):
        assert ended.code == 2
        assert message in ended.err


def test_the_inspection_writes_what_training_takes(tmp_path, fields):
    text = run("inspect_data", fields, "--num_classes=3", "--channels=4", f"--json={tmp_path / 'f.json'}")
    assert "4 channels: --mean=" in text
    saved = json.loads((tmp_path / "f.json").read_text())
    assert (np.abs(np.subtract(saved["mean"], MEAN)) < np.array(STD) / 5).all()


@pytest.mark.parametrize(("order", "mean"), [("RGB", (10, 20, 30)), ("BGR", (30, 20, 10))])
def test_means_of_photographs_are_those_of_red_green_and_blue(monkeypatch, order, mean):
    monkeypatch.setattr(channel_flags, "given", lambda: channel_flags.Statistics((10, 20, 30), (1, 2, 4)))
    model = tfseg.build("resnet18" if order == "RGB" else "fcn8s", width=1 / 32)
    prepared = channel_flags.preprocessing(model)
    assert (prepared["channel_order"], tuple(prepared["mean"])) == (order, mean)
    pixel = tfseg.preprocess(np.array([[[11, 24, 38]]]), prepared)[0, 0]
    np.testing.assert_array_equal(pixel, [1, 2, 2] if order == "RGB" else [2, 2, 1])
    assert channel_flags.preprocessing(pixelwise_segmenter(count=3))["channel_order"] == "stored"


@pytest.mark.full
def test_evaluate_and_predict(tmp_path, fields):
    model = pixelwise_segmenter()
    model.save(tmp_path / "m.keras")
    # The model says how many channels the images have.
    table = run("evaluate", tmp_path / "m.keras", f"--data={fields}", "--num_classes=3", "--split=")
    assert "mean iou" in table
    text = run("predict", fields / "images", f"--model={tmp_path / 'm.keras'}", f"--output={tmp_path / 'out'}")
    assert "4 images predicted, 0 kept, 0 failed" in text
    assert (tmp_path / "out" / "f0.tif").exists()
    # One that does not say its mean and deviation is told.
    tfseg.set_metadata(model, preprocessing=None)
    model.save(tmp_path / "m.keras")
    flags = [f"--data={fields}", "--num_classes=3", "--split=", f"--model={tmp_path / 'm.keras'}"]
    assert "does not say how its input is prepared" in run("evaluate", *flags, code=1)
    mean, std = (",".join(map(str, values)) for values in (MEAN, STD))
    assert run("evaluate", *flags, f"--mean={mean}", f"--std={std}").splitlines()[-6:-1] == table.splitlines()[-6:-1]
    assert "expected 4 numbers" in run("evaluate", *flags, "--mean=1,2", "--std=1,2", code=2)


@pytest.mark.full
@pytest.mark.parametrize("weights", [False, True])
def test_train_on_many_channels(tmp_path, fields, weights):
    flags = [f"--data={fields}", "--num_classes=3", "--channels=4", "--crop=16,16", "--batch_size=2", "--epochs=1"]
    if weights:
        tfseg.build("fcn_resnet18", num_classes=3, width=1 / 16).save(tmp_path / "photographs.keras")
        flags += [f"--weights={tmp_path / 'photographs.keras'}", "--first_conv=copy"]
    else:
        run("inspect_data", *flags[:3], f"--json={tmp_path / 'f.json'}")
        flags += ["--model=fcn_resnet18", "--options=width=0.0625", f"--statistics={tmp_path / 'f.json'}"]
    text = run("train", *flags, f"--run={tmp_path / 'run'}")
    assert ("first convolution for 4 channels instead of 3" in text) == weights
    assert ("measured on 4 images" in text) == weights
    model = tfseg.load(tmp_path / "run" / "last.keras")
    assert model.input_shape[-1] == 4
    measured = tfseg.metadata(model)["preprocessing"]["mean"]
    assert (np.abs(np.subtract(measured, MEAN)) < np.array(STD) / 5).all()
    assert tfseg.predict(model, fields / "images" / "f0.tif").shape == (24, 32)
