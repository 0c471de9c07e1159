"""tfseg-export, as a user runs it."""

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
        f"--model={folder}/street.keras",
        f"--output={folder}/street",
        "--format=onnx",
        "--size=64,96",
        f"--receipt={folder}/receipt.json",
    )
    assert result.code == 0, result.err
    assert f"{folder}/street/model.onnx: 0.0 MB, onnxruntime 1." in result.out
    assert "at 64x96" in result.out
    assert "opset" not in result.err  # the converters print nothing
    assert json.loads((folder / "street" / "metadata.json").read_text())["receipt"] == '{"source": "a checkpoint"}'
    assert names(folder) == ["receipt.json", "street", "street.keras"]


@pytest.mark.full
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=none.keras", "--output=o"], "There is no model"),
        (["--model=street.keras", "--output=taken"], "taken' exists: remove it"),
        (["--model=street.keras", "--output=o", "--size=64,x"], "--size is height and width"),
        (["--model=street.keras", "--output=o", "--format=tflite"], "formats is a list of some of saved_model"),
    ],
    ids=["model", "output", "size", "format"],
)
def test_invalid_arguments_are_refused_in_one_line(folder, arguments, message):
    (folder / "taken").mkdir()
    result = run_command.run(COMMAND, *arguments, cwd=folder)
    assert result.code != 0
    assert message in result.err
    assert "Traceback" not in result.err
    assert names(folder) == ["street.keras", "taken"]
