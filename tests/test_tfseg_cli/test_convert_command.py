"""tfseg convert, as a user runs it."""

import functools
import http.server
import json
import threading

import keras
import pytest
import torch
from helpers import checkpoints
from helpers.paths import EXAMPLES
from helpers.references import torchvision_net
from helpers.run_command import finish, run, start

import tfseg
from tfseg_cli import choices

CONVERT = "tfseg_cli.convert"
SAMPLE = EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth"


def test_convert_writes_model_and_receipt(tmp_path):
    result = finish(
        start(
            CONVERT, f"--checkpoint={SAMPLE}", "--output=m.keras", "--receipt=r.json", "--report=r.html", cwd=tmp_path
        )
    )
    assert result.code == 0, result.err
    assert "torchvision/segmentation, fcn_resnet18" in result.out
    assert result.out.endswith("written to  m.keras\nreport      r.html\n")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "backbone.conv1.weight" in page
    assert page.count("<img ") == 2  # the example's photograph, and its mask
    assert json.loads((tmp_path / "r.json").read_text())["network"] == "fcn_resnet18"
    model = keras.saving.load_model(tmp_path / "m.keras")
    assert model.output_shape == (None, None, None, 11)
    assert tfseg.metadata(model)["preprocessing"]["channel_order"] == "RGB"


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")  # torch.export's own
def test_convert_builds_a_program_of_torch_export_at_an_address(tmp_path, monkeypatch):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU()).eval()
    auto = torch.export.Dim.AUTO
    program = torch.export.export(module, (torch.zeros(2, 3, 32, 48),), dynamic_shapes=({0: auto, 2: auto, 3: auto},))
    torch.export.save(program, tmp_path / "net.pt2")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/net.pt2"
        result = run(CONVERT, address, "--output=net.keras", "--preprocessing=torch", "--verify", cwd=tmp_path)
        server.shutdown()
    assert result.code == 0, result.err
    assert "torch.export program, Sequential" in result.out
    assert "max relative difference" in result.out  # --verify has nothing to add
    model = keras.saving.load_model(tmp_path / "net.keras")
    assert model.output_shape == (None, None, None, 4)
    assert tfseg.metadata(model)["preprocessing"]["channel_order"] == "RGB"


@pytest.mark.full
def test_convert_reads_flags_from_a_file(tmp_path):
    checkpoints.save(tmp_path / "vgg.pth", checkpoints.state("torchvision/vgg"))
    flags = "--checkpoint=vgg.pth\n--network=fcn16s\n--num_classes=5\n--skip=fc7\n--skip=conv1_2\n--output=fcn16s.weights.h5\n"
    (tmp_path / "flags.txt").write_text(flags)
    result = run(CONVERT, "--flagfile=flags.txt", cwd=tmp_path)
    assert result.code == 0, result.err
    assert "a VGG16 classifier into an FCN" in result.out
    assert "skip='fc7'" in result.out
    model = tfseg.FCN16s(5, width=1 / 16)
    model.load_weights(tmp_path / "fcn16s.weights.h5")


# A command in which the public implementation diverges, as it does for no known file.
DIVERGING = """
import converters
from converters.proof.compare import LayerComparison, ModelComparison
from converters.proof.verify import DivergenceError

def diverge(model, receipt, source, image):
    rows = [LayerComparison("conv1", "output", (1, 2), 1.0, 1.0)]
    raise DivergenceError("it diverges", ModelComparison(rows))

converters.verify = diverge
"""


@pytest.mark.parametrize(
    ("before", "message", "written"), [("", "nothing to run", []), (DIVERGING, "it diverges", ["r.html"])]
)
def test_a_report_is_of_a_model_or_of_its_divergence(before, message, written, tmp_path):
    words = (SAMPLE, "--output=m.keras", "--verify", "--report=r.html")
    result = run(CONVERT, *words, before=before, cwd=tmp_path)
    assert (result.code, message in result.err) == (1, True), result.err
    assert [path.name for path in tmp_path.iterdir()] == written


@pytest.mark.full
def test_convert_verifies_with_torchvision(tmp_path):
    torch.save(torchvision_net("resnet18").state_dict(), tmp_path / "resnet18.pth")
    result = finish(start(CONVERT, "resnet18.pth", "--output=m.keras", "--verify", "--report=r.html", cwd=tmp_path))
    assert result.code == 0, result.err
    assert (tmp_path / "r.html").read_text(encoding="utf-8").count("<circle") > 20  # a dot for each layer
    assert "parity      with torchvision.models.resnet.resnet18, image 360/480" in result.out


@pytest.mark.full
def test_convert_writes_the_folder_of_export(tmp_path):
    result = run(CONVERT, SAMPLE, "--output=saved", "--dataset=camvid", cwd=tmp_path)
    assert result.code == 0, result.err
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["1", "export.json", "metadata.json"]
    metadata = json.loads((tmp_path / "saved" / "metadata.json").read_text())
    assert metadata["classes"][0] == "sky"
    assert "torchvision/segmentation, fcn_resnet18" in metadata["receipt"]


def test_convert_names_classes_and_colors(tmp_path):
    names = [f"class{index}" for index in range(11)]
    palette = [f"{20 * index} 10 30 {name}\n" for index, name in enumerate(names)]
    (tmp_path / "palette.txt").write_text("".join(palette) + "1 2 3 class0\n0 0 0 void\n")
    result = run(CONVERT, SAMPLE, "--output=a.keras", "--colors=palette.txt", cwd=tmp_path)
    assert result.code == 0, result.err
    facts = tfseg.metadata(tfseg.load(tmp_path / "a.keras"))
    assert facts["classes"] == names
    assert facts["colors"] == [[20 * index, 10, 30] for index in range(11)]
    hexadecimal = ",".join(f"{index:06x}" for index in range(11))
    result = run(
        CONVERT, SAMPLE, "--output=b.keras", f"--classes={','.join(names)}", f"--colors={hexadecimal}", cwd=tmp_path
    )
    assert result.code == 0, result.err
    facts = tfseg.metadata(tfseg.load(tmp_path / "b.keras"))
    assert facts["classes"] == names
    assert facts["colors"] == [[0, 0, index] for index in range(11)]


def test_choices_of_data_sets_are_those_of_the_library():
    assert set(choices.CLASS_NAMES) == set(tfseg.specs.CLASSES) == set(tfseg.specs.COLORS)


def flipped_bit():
    content = bytearray(SAMPLE.read_bytes())
    content[len(content) // 2] ^= 4
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("page.pth", b"<!DOCTYPE html><html><body>Sign in</body></html>", "looks like a web page"),
        ("empty.pth", b"", "the file is empty"),
        ("cut.pth", SAMPLE.read_bytes()[:1_000_000], "truncated"),
        ("flipped.pth", flipped_bit(), "damaged"),
    ],
    ids=["web_page", "empty", "truncated", "flipped_bit"],
)
def test_damaged_file_is_named_and_nothing_is_written(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    result = run(CONVERT, f"--checkpoint={name}", "--output=m.keras", cwd=tmp_path)
    assert result.code == 1
    assert message in result.err
    assert name in result.err
    assert "Traceback" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == [name]


OUTPUT = "--output=m.keras"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([OUTPUT], 2, "--checkpoint is missing"),
        ([SAMPLE, "--output=m.onnx"], 2, "`tfseg export --format=onnx` writes it"),
        ([SAMPLE, "--output=old.keras"], 2, "--output=old.keras: exists already"),
        ([SAMPLE, OUTPUT, "--receipt=old.keras"], 2, "--receipt=old.keras: exists already"),
        (["nowhere.pth", OUTPUT], 2, "there is no such file"),
        ([SAMPLE, OUTPUT, "--multi_scale=0.5,half"], 2, "--multi_scale=0.5,half: expected numbers above 0"),
        ([SAMPLE, OUTPUT, "--multi_scale=0.5"], 1, "sees the image at one size"),
        ([SAMPLE, OUTPUT, "--tint=red"], 2, "--tint is not a flag of this command"),
        ([SAMPLE, OUTPUT, "--verify", "--image=no.jpg"], 2, "--image=no.jpg: expected a file"),
        ([SAMPLE, OUTPUT, "--network=fcn_resnet19"], 2, "Did you mean fcn_resnet18"),
        ([SAMPLE, OUTPUT, "--family=torchvision/segmentations"], 2, "Did you mean torchvision/segmentation"),
        ([SAMPLE, OUTPUT, "--preprocessing=torhc"], 2, "Did you mean torch"),
        ([SAMPLE, OUTPUT, "--dataset=camvd"], 2, "Did you mean camvid"),
        ([SAMPLE, OUTPUT, "--classes=a,b,c"], 1, "classes has one entry for each of the 11 classes"),
        ([SAMPLE, OUTPUT, "--classes=a,b", "--num_classes=3"], 2, "--classes=a,b: expected 3 classes"),
        ([SAMPLE, OUTPUT, "--colors=red"], 2, "--colors=red: expected a file, or hexadecimal colors"),
        ([SAMPLE, OUTPUT, "--classes=a,b", "--colors=000000"], 2, "--colors=000000: expected 2 colors"),
    ],
    ids=lambda value: str(value[-1]).removeprefix("--") if isinstance(value, list) else "",
)
def test_invalid_arguments_are_refused_in_one_line(tmp_path, arguments, code, message):
    (tmp_path / "old.keras").write_text("old")
    result = run(CONVERT, *arguments, cwd=tmp_path)
    assert message in result.err
    assert result.code == code
    assert result.err.count("\n") == 1
    assert (tmp_path / "old.keras").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old.keras"]


def test_interrupted_save_leaves_nothing(tmp_path):
    code = (
        "import keras\n"
        "def interrupted(self, path, *_, **__):\n"
        "    open(path, 'wb').write(b'half')\n"
        "    raise KeyboardInterrupt\n"
        "keras.Model.save = interrupted"
    )
    result = run(CONVERT, f"--checkpoint={SAMPLE}", "--output=m.keras", cwd=tmp_path, before=code)
    assert result.code == 130
    assert list(tmp_path.iterdir()) == []
