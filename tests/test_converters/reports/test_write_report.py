"""A report is one file that says what was recognized, shows every layer and tensor, and runs nothing."""

import re

import numpy as np
import pytest
from helpers.paths import EXAMPLES

import converters
import tfseg
from converters.proof.compare import LayerComparison, ModelComparison
from converters.reports.plot import draw_differences

SAMPLE = EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth"


@pytest.fixture(scope="module")
def conversion():
    return converters.convert(SAMPLE, classes=tfseg.specs.CLASSES["camvid"], colors=tfseg.specs.COLORS["camvid"])


def written(tmp_path, **facts):
    converters.write_report(tmp_path / "report.html", **facts)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_conversion_with_its_proof_pictures_and_every_tensor(conversion, tmp_path):
    model, receipt = conversion
    image = tfseg.read_image(EXAMPLES / "street.png")[:96, :128]
    prepared = tfseg.preprocess(image, tfseg.metadata(model)["preprocessing"])[None]
    output = np.array(model(prepared))
    reference = output.copy()
    reference[0, 5:9, 7:10, 3] += 50  # twelve pixels of another class
    comparison = converters.compare(model, {"output": reference}, prepared)
    assert (comparison.classes[0] != comparison.classes[1]).sum() in range(1, 13)
    page = written(tmp_path, receipt=receipt, comparison=comparison, model=model, image=image)
    assert "torchvision/segmentation" in page
    assert all(row["key"] in page and row["path"] in page for row in receipt.tensors)
    assert all(key in page for key in receipt.ignored)
    assert page.count("<img ") == 4  # photograph, both masks, what differs
    assert "of 12288 pixels have another class" in page
    assert re.search(r'class="verdict bad">The model diverges at', page)
    assert page.count("<circle") == len(comparison)
    assert not re.search(r"<script|https?://|<link", page)  # of its own, it asks for nothing


def test_a_receipt_alone_says_that_nothing_was_compared(conversion, tmp_path):
    page = written(tmp_path, receipt=conversion.receipt)
    assert "Nothing was compared" in page
    assert "<img " not in page
    with pytest.raises(converters.ConversionError, match="exists"):
        written(tmp_path, receipt=conversion.receipt)
    with pytest.raises(converters.ConversionError, match="receipt, a comparison, or both"):
        converters.write_report(tmp_path / "none.html")


def test_names_of_a_hostile_file_are_text(tmp_path):
    rows = [LayerComparison("<script>alert(1)</script>", "a&b", (1, 2), 0.0, 0.0)]
    page = written(tmp_path, comparison=ModelComparison(rows))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "All 1 layers agree" in page


def test_the_plot_has_every_layer_and_marks_those_that_differ():
    values = (0.0, 1e-7, 1e-4, float("nan"), float("inf"))
    rows = [LayerComparison(f"l{index}", "r", (1,), value, value) for index, value in enumerate(values)]
    drawing = draw_differences(rows, 1e-5)
    heights = [float(value) for value in re.findall(r'cy="([\d.]+)"', drawing)]
    assert re.findall(r'<circle class="(\w+)"', drawing) == ["good", "good", "bad", "bad", "bad"]
    assert heights[0] > heights[1] > heights[2] > heights[3] == heights[4]
