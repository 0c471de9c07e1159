"""The commands of training, called one after the other in separate processes, as a user calls them."""

import json
import re

import keras
import numpy as np
import pytest
import torch
from helpers import public_code, run_command
from helpers.data_sets import scenes

import converters
import tfseg


def run(command, *flags):
    done = run_command.run(f"tfseg_cli.{command}", *flags)
    assert done.code == 0, done
    return done.out + done.err


def test_inspect_train_and_evaluate_commands(tmp_path):
    scenes(tmp_path / "data")
    (tmp_path / "data" / "val.txt").write_text("s1\ns2\n")
    data_flags = [f"--data={tmp_path / 'data'}", "--classes=dark,bright"]
    text = run("inspect_data", *data_flags, f"--contact_sheet={tmp_path / 'sheet.png'}")
    assert "4 of 4 pairs can be used, 2 classes" in text
    assert (tmp_path / "sheet.png").stat().st_size > 1000

    options = ["--model=fcn32s", "--options=width=0.0625,padding=same", "--crop=16,16", "--batch_size=2"]
    folder = tmp_path / "run"
    text = run("train", *data_flags, "--split=", "--val_split=val", *options, "--epochs=2", f"--run={folder}")
    assert "epoch 2  step 4" in text
    assert {path.name for path in folder.iterdir()} >= {"config.json", "log.csv", "best.keras", "last.keras"}

    outputs = [f"--json={tmp_path / 'a.json'}", f"--worst={tmp_path / 'worst'}", f"--confusion={tmp_path / 'c.png'}"]
    pytest.importorskip("matplotlib")
    text = run("evaluate", *data_flags, f"--model={folder / 'best.keras'}", "--split=val", "--flip", *outputs)
    assert "mean iou" in text
    assert json.loads((tmp_path / "a.json").read_text())["photographs"] == 2
    assert len(list((tmp_path / "worst").iterdir())) == 2
    assert (tmp_path / "c.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model=nonsense"], "--model=nonsense: expected one of the networks"),
        (["--model=fcn_resnet18", "--options=widht=0.1"], "fcn_resnet18 has no option 'widht'. Did you mean width?"),
        (["--model=fcn_resnet18", "--options=width=abc"], "--options=width=abc: expected a number"),
        (
            ["--model=fcn_resnet18", "--options=num_classes=2"],
            "--options=num_classes=2: the number of classes has a flag",
        ),
        (["--model=fcn_resnet18", "--options=output_stride=5"], "--options: fcn_resnet18 cannot be built"),
        (["--model=unet"], "--options=backbone= is missing: unet reads a backbone, such as --options=backbone="),
        pytest.param(
            ["--model=unet", "--options=backbone=resnet43"],
            "--options=backbone=resnet43: unet reads no backbone of that name. Did you mean resnet",
            marks=pytest.mark.full,
        ),
        (["--model=fcn_resnet18", "--crop=48x48"], "--crop=48x48: expected height,width in pixels"),
        (["--model=fcn_resnet18", "--split=nowhere"], "--split=nowhere: there is no such split"),
        (["--model=fcn_resnet18", "--val_split=nowhere", "--split="], "--val_split=nowhere: there is no such split"),
        (["--options=width=0.5"], "--model is missing"),
        (["--model=fcn8s", "--loss=hinge"], "loss is one of cross_entropy, focal,"),
        (["--model=fcn8s", "--patience=3"], "--patience and --val_window are about validation: add --val_split"),
        (["--model=fcn8s", "--public=a:b"], "--public builds the network of a file of weights: add --weights"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_invalid_arguments_are_refused_in_one_line_and_leave_no_run(tmp_path, flags, message):
    scenes(tmp_path / "data")
    done = run_command.run(
        "tfseg_cli.train", tmp_path / "data", "--classes=dark,bright", f"--run={tmp_path / 'run'}", *flags
    )
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.full
def test_failed_step_is_one_line_and_the_corrected_command_runs(tmp_path):
    scenes(tmp_path / "data")
    before = (
        "import tensorflow as tf, tfseg.training.loop as loop\n"
        "text = 'Graph execution error:\\n\\nDetected at node Conv2D defined at (most recent call last):\\n'\n"
        "text += '  File \"x.py\", line 1\\n\\n{{function_node __inference_1}} OOM when allocating [Op:__inference_2]'\n"
        "def fail(*_): raise tf.errors.ResourceExhaustedError(None, None, text)\n"
        "loop.make_step = lambda *_, **__: fail"
    )
    words = [f"--data={tmp_path / 'data'}", "--classes=dark,bright", f"--run={tmp_path / 'run'}", "--crop=16,16"]
    words += ["--model=fcn32s", "--options=width=0.0625,padding=same", "--batch_size=4"]
    done = run_command.run("tfseg_cli.train", *words, "--epochs=1", before=before)
    assert done.code == 1
    sentence = "ResourceExhaustedError: OOM when allocating (TFSEG_VERBOSE=1 shows where)"
    assert done.err == f"tfseg-train: {sentence}\n"
    assert not (tmp_path / "run").exists()
    assert "epoch 2" in run("train", *words, "--epochs=2")


@pytest.mark.full
def test_a_decoder_on_a_named_backbone_starts_from_a_classifier(tmp_path):
    scenes(tmp_path / "data", size=(64, 64))
    trunk = tfseg.ResNet(18, width=1 / 16, include_top=True, num_classes=10)
    checkpoint = tmp_path / "resnet18.safetensors"
    converters.export_weights(trunk, checkpoint, family="torchvision/resnet")
    words = [f"--data={tmp_path / 'data'}", "--classes=dark,bright", "--split=", "--freeze=conv.*"]
    words += ["--model=unet", "--options=backbone=resnet18,width=0.0625,filters=(16,8,8,8,4)", "--crop=64,64"]
    text = run("train", *words, f"--weights={checkpoint}", "--epochs=1", f"--run={tmp_path / 'run'}")
    assert "resnet18.safetensors -> unet_resnet18" in text
    model = tfseg.load(tmp_path / "run" / "last.keras")
    assert model.name == "unet_resnet18"
    np.testing.assert_array_equal(model.get_layer("conv1_conv").kernel, trunk.get_layer("conv1_conv").kernel)


@pytest.mark.full
def test_train_command_starts_from_a_checkpoint(tmp_path):
    scenes(tmp_path / "data")
    vgg = tfseg.VGG(16, width=1 / 32, include_top=True, num_classes=10)
    checkpoint = tmp_path / "vgg16.safetensors"
    converters.export_weights(vgg, checkpoint, family="torchvision/vgg")
    data_flags = [f"--data={tmp_path / 'data'}", "--classes=dark,bright", "--split="]
    options = ["--crop=32,32", "--batch_size=2", "--epochs=1", "--freeze=conv.*", f"--run={tmp_path / 'run'}"]
    text = run("train", *data_flags, "--model=fcn8s", f"--weights={checkpoint}", *options)
    assert "transplant  a VGG16 classifier into an FCN" in text
    model = tfseg.load(tmp_path / "run" / "last.keras")
    np.testing.assert_array_equal(model.get_layer("conv3_1").kernel, vgg.get_layer("conv3_1").kernel)
    assert (np.array(model.get_layer("fc7").kernel).ravel() != np.array(vgg.get_layer("fc7").kernel).ravel()).any()


@pytest.mark.full
def test_train_command_starts_from_a_file_and_the_code_of_its_network(tmp_path):
    """The file is of no family: --public names what builds its network."""
    scenes(tmp_path / "data")
    torch.manual_seed(0)
    module = public_code.Segmenter(2).eval()
    torch.save(module.state_dict(), tmp_path / "net.pth")
    words = [f"--data={tmp_path / 'data'}", "--classes=dark,bright", "--split=", f"--weights={tmp_path / 'net.pth'}"]
    words += ["--crop=16,16", "--batch_size=2", "--epochs=1", f"--run={tmp_path / 'run'}", "--preprocessing=torch"]
    other = run_command.run("tfseg_cli.train", *words, "--public=helpers.public_code:segmenter(classes=3)")
    assert other.code == 1
    assert 'public="helpers.public_code:segmenter(classes=2)"' in other.err
    public = "--public=helpers.public_code:segmenter(classes=2)"
    text = run("train", *words, public, "--freeze=.*")
    assert "public code" in text
    model = tfseg.load(tmp_path / "run" / "last.keras")
    np.testing.assert_array_equal(model.get_layer("head").kernel, module.head.weight.detach().permute(2, 3, 1, 0))
    wrong = run_command.run("tfseg_cli.train", *words, public, "--model=fcn8s")
    assert (wrong.code, wrong.out) == (2, "")
    assert "--public and --model both say which network it is" in wrong.err


@pytest.mark.full
def test_train_command_starts_from_a_network_that_is_built_from_its_program(tmp_path):
    """A Keras file of no family: its head stays for as many classes, and is replaced for others."""
    scenes(tmp_path / "data")
    image = keras.Input((24, 32, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(image)
    keras.Model(image, keras.layers.Conv2D(2, 1, name="mine")(x)).save(tmp_path / "net.h5")
    words = [f"--data={tmp_path / 'data'}", "--split=", f"--weights={tmp_path / 'net.h5'}", "--crop=16,16"]
    words += ["--batch_size=2", "--epochs=1", f"--run={tmp_path / 'run'}", "--preprocessing=torch"]
    assert "Keras model" in run("train", *words, "--classes=dark,bright", "--freeze=.*")
    model = tfseg.load(tmp_path / "run" / "last.keras")
    original = tfseg.load(tmp_path / "net.h5")
    np.testing.assert_array_equal(model.get_layer("mine").kernel, original.get_layer("mine").kernel)
    words[-2] = f"--run={tmp_path / 'other'}"
    assert "head for 2 classes replaced by one for 3: mine" in run("train", *words, "--classes=dark,bright,other")


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")  # torch.export's own
def test_train_command_starts_from_a_program_of_torch_export(tmp_path):
    scenes(tmp_path / "data")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1)).eval()
    auto = torch.export.Dim.AUTO
    program = torch.export.export(module, (torch.zeros(2, 3, 32, 48),), dynamic_shapes=({0: auto, 2: auto, 3: auto},))
    torch.export.save(program, tmp_path / "net.pt2")
    words = [f"--data={tmp_path / 'data'}", "--split=", f"--weights={tmp_path / 'net.pt2'}", "--crop=16,16"]
    words += ["--batch_size=2", "--epochs=1", f"--run={tmp_path / 'run'}", "--classes=dark,bright"]
    assert "torch.export program" in run("train", *words, "--preprocessing=torch")
    assert tfseg.metadata(tfseg.load(tmp_path / "run" / "last.keras"))["preprocessing"]["divisor"] == 255


@pytest.mark.full
def test_a_model_of_ones_own_gets_other_classes_and_the_run_stays_its_own(tmp_path):
    """The head is replaced, another network in the folder is refused, more epochs prolong it."""
    scenes(tmp_path / "data")
    own_model = tfseg.build("fcn_resnet18", num_classes=5, width=1 / 16)
    own_model.save(tmp_path / "mine.keras")
    words = [f"--data={tmp_path / 'data'}", "--classes=dark,bright", f"--run={tmp_path / 'run'}", "--crop=16,16"]
    words += ["--batch_size=2", "--loss=cross_entropy+dice", "--rotate=10", "--no_flip", "--ema=0.5"]
    weights = f"--weights={tmp_path / 'mine.keras'}"
    text = run("train", *words, weights, "--epochs=1")
    assert "fcn_resnet18: head for 5 classes replaced by one for 2: logits" in text
    assert "recipe poly: sgd at 0.007 (head: 0.07), falling to 0, after a warm-up in 2 % of the steps" in text
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["recipe"]["loss"], config["recipe"]["ema"]) == ("cross_entropy+dice", 0.5)
    assert (config["recipe"]["augmentation"]["rotate"], config["recipe"]["augmentation"]["flip"]) == (10, False)
    done = run_command.run("tfseg_cli.train", *words, "--model=fcn_resnet18", "--epochs=1")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert 'model.name is null there and "fcn_resnet18" here' in done.err
    assert "recipe" not in done.out
    text = run("train", *words, weights, "--epochs=2")
    assert "prolonged from 2 steps to 4" in text
    assert "epoch 2" in text
    text = run("train", *words, weights, "--epochs=2")
    assert "is finished: 2 epochs, 4 steps" in text
    assert "recipe" not in text


@pytest.mark.full
def test_find_rate_proposes_a_rate_and_writes_nothing(tmp_path):
    scenes(tmp_path / "data")
    words = [f"--data={tmp_path / 'data'}", "--classes=dark,bright", "--crop=16,16", "--batch_size=2"]
    text = run("train", *words, "--model=fcn_resnet18", "--options=width=0.0625", "--find_rate")
    assert re.search(r"proposal: --learning_rate=[\d.e-]+\n", text)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
