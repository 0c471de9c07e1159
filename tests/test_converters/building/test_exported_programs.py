"""Files of torch.export.save (.pt2): built for the sizes that they take, or refused with the way out."""

import json
import pickle
import re
import sys
import zipfile

import keras
import numpy as np
import pytest
import torch
from helpers.references import images, randomized_state, relative, torch_output
from torch import nn
from torch.nn import functional

import converters
from converters import ConversionError

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own
AUTO = torch.export.Dim.AUTO
FREE = ({0: AUTO, 2: AUTO, 3: AUTO},)


class Segmenter(nn.Module):
    """A small network whose last step says the size of the image."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3, 2, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.3)
        self.register_buffer("mean", torch.rand(3, 1, 1))

    def forward(self, image):
        x = self.drop(self.norm(self.conv(image - self.mean)).relu())
        return functional.interpolate(x, size=image.shape[2:], mode="bilinear")


class Classifier(nn.Module):
    """A small network none of whose steps says a size, unless it pools to more than one pixel."""

    def __init__(self, pixels=1, pool=2):
        super().__init__()
        self.parts = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.MaxPool2d(pool), nn.AdaptiveAvgPool2d(pixels), nn.Flatten()
        )
        self.head = nn.Linear(4 * pixels**2, 5)

    def forward(self, image):
        return self.head(self.parts(image))


class WholePool(nn.Module):
    """A pooling over the map, whose size stands in the program as a number."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image):
        x = self.conv(image)
        return functional.avg_pool2d(x, (x.shape[2] // 2, x.shape[3] // 2))


class Strict(nn.Module):
    """A network for sides that are multiples of 32."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, image):
        return functional.interpolate(functional.max_pool2d(self.conv(image), 32), scale_factor=32.0) + image[:, :1]


def saved(path, module, *, batch=2, size=(64, 96), train=False, **options):
    module = randomized_state(module).train(train)
    torch.export.save(torch.export.export(module, (torch.randn(batch, 3, *size),), **options), path)
    return module.eval()


@pytest.mark.quick_variants(3)
@pytest.mark.parametrize(
    ("make", "options", "shape", "note", "size"),
    [
        (Segmenter, {"dynamic_shapes": FREE}, (None, None, None, 3), "", (51, 38)),
        (Segmenter, {}, (None, 64, 96, 3), "exported for one size.*any number of images.*Dim.AUTO", (64, 96)),
        (Segmenter, {"batch": 1, "dynamic_shapes": ({2: AUTO, 3: AUTO},)}, (None, None, None, 3), "", (51, 38)),
        (Classifier, {"batch": 1}, (None, None, None, 3), "one size, and none of its steps says it", (51, 38)),
        (lambda: Classifier(3), {"batch": 1}, (None, 64, 96, 3), "exported for one size", (64, 96)),
        (WholePool, {}, (None, 64, 96, 3), "exported for one size", (64, 96)),
        (
            Strict,
            {
                "dynamic_shapes": (
                    {0: AUTO, 2: 32 * torch.export.Dim("h", max=40), 3: 32 * torch.export.Dim("w", max=40)},
                )
            },
            (None, None, None, 3),
            "multiples of 32",
            (96, 32),
        ),
    ],
)
def test_a_program_is_built_for_the_sizes_that_it_takes(tmp_path, make, options, shape, note, size):
    module = saved(tmp_path / "net.pt2", make(), **options)
    model, receipt = converters.convert(tmp_path / "net.pt2")
    assert model.input_shape == shape
    assert (receipt.family, receipt.network) == ("torch.export program", type(module).__name__)
    pixels = images(*size, batch=3)
    assert relative(model(pixels), torch_output(module, pixels)) <= 1e-5
    text = " ".join(receipt.notes)
    assert not note or re.search(note, text)


def test_layers_and_tensors_have_the_names_of_the_module_that_was_exported(tmp_path):
    module = saved(tmp_path / "net.pt2", Segmenter(), dynamic_shapes=FREE)
    model, _ = converters.convert(tmp_path / "net.pt2")
    assert [model.get_layer(name).name for name in ("conv", "norm", "drop")] == ["conv", "norm", "drop"]
    assert model.get_layer("drop").rate == 0.3
    converters.export_weights(model, tmp_path / "back.pth")
    state, back = module.state_dict(), torch.load(tmp_path / "back.pth")
    assert state.keys() == back.keys()
    assert all(torch.equal(state[key], back[key]) for key in state)
    converters.compare(model, module, images(40, 50)).assert_close(1e-5)


class NotFinite(Classifier):
    """A classifier with a NaN among its numbers."""

    def forward(self, image):
        return super().forward(image) + float("nan")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    saved(tmp_path / "net.pt2", NotFinite(), batch=1)
    with pytest.raises(ConversionError, match=r"not finite|NaN|infinit"):
        converters.convert(tmp_path / "net.pt2")


def test_options_of_families_and_training_mode_are_refused(tmp_path):
    saved(tmp_path / "net.pt2", Segmenter(), train=True)
    with pytest.raises(ConversionError, match=r"net.pt2: was exported in training mode.*module.eval\(\)"):
        converters.convert(tmp_path / "net.pt2")
    with pytest.raises(ConversionError, match=r"options for networks of the families"):
        converters.convert(tmp_path / "net.pt2", num_classes=3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Segmenter().half(), r"weights in torch.float16.*float32"),
        (lambda: Autocast(), r"autocast"),
    ],
)
def test_what_is_not_in_single_precision_is_refused(tmp_path, make, message):
    module = make().eval()
    image = torch.randn(2, 3, 64, 96, dtype=next(module.parameters()).dtype)
    torch.export.save(torch.export.export(module, (image,)), tmp_path / "net.pt2")
    with pytest.raises(ConversionError, match=message):
        converters.convert(tmp_path / "net.pt2")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            (torch.randn(2, 5), torch.randn(2, 5)),
            r"something else than images .*Received: image \[2, 5\], other \[2, 5\]",
        ),
        (
            (torch.randn(2, 3, 9, 9), torch.ones(2, 3, 9, 9, dtype=torch.int64)),
            r"something else than images .*of floats",
        ),
        (
            (torch.randn(2, 3, 9, 9), torch.randn(3, 9, 9)),
            r"first axis is not the batch of the image.*other \[3, 9, 9\]",
        ),
    ],
)
def test_programs_without_images_of_floats_are_refused(tmp_path, given, message):
    torch.export.save(torch.export.export(Sum(), given), tmp_path / "net.pt2")
    with pytest.raises(ConversionError, match=message):
        converters.convert(tmp_path / "net.pt2")


class Sum(nn.Module):
    def forward(self, image, other):
        return image + other


class Autocast(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.conv(image)


def test_without_torch_the_refusal_says_so(tmp_path, monkeypatch):
    saved(tmp_path / "net.pt2", Classifier())
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConversionError, match=r"only torch can read.*pip install"):
        converters.convert(tmp_path / "net.pt2")


class Runs:
    """A pickle that leaves a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def _edited(path, change):
    """The archive with its members changed: name and bytes in, bytes out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))


def _in_program(edit):
    def change(name, content):
        if not name.endswith("models/model.json"):
            return content
        program = json.loads(content)
        edit(program)
        return json.dumps(program)

    return change


@pytest.mark.parametrize("kind", ["size", "guard", "target", "pickle", "payload", "damaged"])
def test_a_file_runs_no_code(tmp_path, kind):
    path, mark = tmp_path / "net.pt2", tmp_path / "ran"
    saved(path, Segmenter(), dynamic_shapes=FREE)
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"

    def edit(program):
        if kind == "guard":
            program["guards_code"] = [code]
        elif kind == "target":
            program["graph_module"]["graph"]["nodes"][0]["target"] = "torch.hub.load"
        else:
            (values,) = [program["graph_module"]["graph"]["sym_int_values"]]
            next(iter(values.values()))["as_expr"]["expr_str"] = code

    if kind == "pickle":
        _edited(
            path, lambda name, content: pickle.dumps(Runs(mark)) if name.endswith("sample_inputs/model.pt") else content
        )
    elif kind == "payload":
        _edited(path, lambda name, content: content.replace(b'"use_pickle": false', b'"use_pickle": true'))
    elif kind == "damaged":
        _edited(path, lambda name, content: content[:-9] if name.endswith("model.json") else content)
    else:
        _edited(path, _in_program(edit))
    with pytest.raises(ConversionError, match=r"net.pt2"):
        converters.convert(path)
    assert not mark.exists()


def test_numbers_far_from_the_file_size_are_those_of_the_network(tmp_path):
    """A program of one size that becomes one of all sizes: the pooling's window is the module's, not the map's."""
    module = saved(tmp_path / "net.pt2", Classifier(pool=3))
    model, _ = converters.convert(tmp_path / "net.pt2")
    pixels = images(200, 31, batch=2)
    assert relative(np.asarray(model(pixels)), torch_output(module, pixels)) <= 1e-5


class Encoded(nn.Module):
    """A transformer's layer on tokens, whose attention states the number of images as a number."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 8, stride=8)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

    def forward(self, image):
        return self.encoder(self.conv(image).flatten(2).transpose(1, 2))


def test_a_program_of_one_image_says_so_when_it_gets_two(tmp_path):
    module = saved(tmp_path / "net.pt2", Encoded(), batch=1, size=(16, 24))
    model, receipt = converters.convert(tmp_path / "net.pt2")
    assert any("1 image at a time" in note for note in receipt.notes)
    model.save(tmp_path / "net.keras")
    for opened in (model, keras.saving.load_model(tmp_path / "net.keras")):
        assert relative(opened(images(16, 24)), torch_output(module, images(16, 24))) <= 1e-5
        with pytest.raises(ValueError, match=r"takes 1 image\(s\) at a time. Received: 2"):
            opened(images(16, 24, batch=2))
