"""tfseg export, as a user runs it."""

import json

import keras
import pytest
from helpers import run_command
from helpers.exported_models import small_segmenter

if keras.backend.backend() != "tensorflow":
    pytest.skip("exports come from TensorFlow", allow_module_level=True)

COMMAND = "tfseg_cli.export"


@pytest.fixture
def folder(tmp_path):
    """A folder with a model."""
    small_segmenter().save(tmp_path / "street.keras")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_export_writes_the_folder(folder):
    (folder / "receipt.json").write_text('{"source": "a checkpoint"}')
    result = run_command.run(
        COMMAND,
        f"{folder}/street.keras",
        f"--output={folder}/street",
        "--format=onnx",
        "--size=64,96",
        f"--receipt={folder}/receipt.json",
    )
    assert result.code == 0, result.err
    assert f"{folder}/street/model.onnx: 0.0 MB, onnxruntime 1." in result.out
    assert "at 64x96" in result.out
    assert result.err == ""
    assert json.loads((folder / "street" / "metadata.json").read_text())["receipt"] == '{"source": "a checkpoint"}'
    assert names(folder) == ["receipt.json", "street", "street.keras"]


@pytest.mark.full
def test_a_long_export_tells_its_formats_in_lines_of_a_log(folder):
    """Each format seems to take a minute; what is not a terminal gets no bar."""
    before = "import tfseg.progress as p; p.ProgressLine.__init__.__kwdefaults__['clock'] = iter(range(0, 6000, 60)).__next__"
    words = ["--model=street.keras", "--output=street", "--format=keras", "--format=weights_h5"]
    result = run_command.run(COMMAND, *words, before=before, cwd=folder)
    assert result.code == 0, result.err
    assert result.err.splitlines() == [
        "1/2 formats, 0.0167/s, 0:01:00 left",
        "2/2 formats, 0.0167/s, 0:00:00 left",
    ]
    assert not set("━\r\x1b") & set(result.err + result.out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=none.keras", "--output=o"], "--model=none.keras: there is no such file"),
        (["--model=street.keras", "--output=taken"], "--output=taken: expected a new directory"),
        (["--model=street.keras", "--output=o", "--size=64,x"], "--size=64,x: expected height,width in pixels"),
        (["--model=street.keras", "--output=o", "--format=litert_int8"], "--calibration is missing"),
        (["--model=street.keras", "--output=o", "--calibration=none"], "--calibration: No images"),
        (["--model=street.keras", "--output=o", "--preprocessing=touch"], "--preprocessing=touch: expected one of"),
        (["--model=street.keras", "--output=o", "--format=tflite"], "--format=tflite: expected one of saved_model"),
    ],
    ids=["model", "output", "size", "calibration_missing", "calibration", "preprocessing", "format"],
)
def test_invalid_arguments_are_refused_in_one_line(folder, arguments, message):
    (folder / "taken").mkdir()
    result = run_command.run(COMMAND, *arguments, cwd=folder)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert message in result.err
    assert "Traceback" not in result.err
    assert names(folder) == ["street.keras", "taken"]


def test_format_whose_extra_is_not_installed_is_refused_at_once(folder):
    before = "import importlib.util as u; find = u.find_spec; u.find_spec = lambda n, *a: None if n == 'onnx' else find(n, *a)"
    words = ["street.keras", "--output=o", "--format=onnx"]
    result = run_command.run(COMMAND, *words, before=before, cwd=folder)
    assert (result.code, result.out) == (2, "")
    assert result.err == 'tfseg-export: --format=onnx needs onnx, not installed here: pip install "tfseg[onnx]"\n'
