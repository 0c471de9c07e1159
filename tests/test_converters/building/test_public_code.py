"""`public=`: a file of weights and the code that its user names for it, exact or refused with the way out."""

import functools
import json

import numpy as np
import pytest
import torch
from helpers import public_code
from helpers.references import images
from helpers.run_command import run
from helpers.torchvision_cpu import import_torchvision

import converters
import tfseg

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own
PUBLIC = "helpers.public_code:segmenter(classes=4)"


def lively(make):
    """A module with weights and statistics that are far from their defaults, and small enough for deep networks."""
    torch.manual_seed(0)
    module = make().eval()
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.3)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
        for parameter in module.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return module


def saved(path, module, prefix="", beside=None, wrapper="state_dict", drop=()):
    state = {f"{prefix}{key}": value for key, value in module.state_dict().items() if key not in drop}
    torch.save({wrapper: {**state, **(beside or {})}, "epoch": 3}, path)
    return path


def difference(model, module, pixels):
    with torch.no_grad():
        expected = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2)))
    expected = expected["out"] if isinstance(expected, dict) else expected
    received = model(pixels, training=False)
    received = np.asarray(received["out"] if isinstance(received, dict) else received)
    expected = expected.numpy()
    expected = expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected
    assert received.shape == expected.shape
    return np.abs(received - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def module():
    return lively(lambda: public_code.Segmenter(4))


def test_a_file_in_lightnings_form_without_tied_weights_computes_what_its_code_does(tmp_path, module):
    path = saved(tmp_path / "net.ckpt", module, "model.", drop=("second.weight",))
    model, receipt = converters.convert(path, public=PUBLIC, preprocessing="torch", classes=list("abcd"))
    assert difference(model, module, images(67, 90)) < 1e-5
    assert receipt.family == "public code"
    assert receipt.network == PUBLIC
    assert {row["key"] for row in receipt.tensors} >= {"model.encoder.0.weight", "model.first.weight"}
    assert any("every tensor of the file is used" in note for note in receipt.notes)
    assert receipt.files[0]["sha256"]
    assert tfseg.metadata(model)["classes"] == list("abcd")


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize(
    ("public", "way"),
    [
        (
            "helpers.public_code.segmenter",
            r"public= expects module:callable.*Received: 'helpers.public_code.segmenter'",
        ),
        ("helpers.nowhere:segmenter", r"helpers has no module helpers\.nowhere. Another version of it may have it"),
        ("no_such_package:segmenter", r"there is no module no_such_package. Check its spelling, install the package"),
        ("helpers.public_code:segmentor", r"has no segmentor.*It has segmenter"),
        ("helpers.public_code:NOT_CALLABLE", r"is no callable. Expected a function or a class.*Received: int"),
        ("helpers.public_code:needs_width", r"cannot be called: TypeError.*Its arguments are \(width\). Give them in"),
        ("helpers.public_code:broken", r"cannot be called: RuntimeError: the cache has no file"),
        ("helpers.public_code:with_processor", r"makes no torch module.*Received: tuple. A function that makes one"),
        ("helpers.public_code:segmenter(classes=len('ab'))", r"must be plain values.*public=functools.partial"),
        ("helpers.public_code:RandomTable", r"draws numbers at random that no file holds: noise"),
        (
            "helpers.public_code:segmenter(classes=7)",
            r"2 have another shape: head\.weight \(\[4, 6, 1, 1\] in the file, \[7, 6, 1, 1\] there\).*The head of the "
            r'file has 4 classes: public="helpers.public_code:segmenter\(classes=4\)"',
        ),
        (
            "helpers.public_code:segmenter(4, width=8)",
            r"have another shape: encoder\.0\.weight.*, \.\.\.\. Give the callable or the arguments that built the",
        ),
        (
            "helpers.public_code:segmenter(4, aux=True)",
            r"2 of its tensors the file lacks: aux\.weight, aux\.bias\. Give the callable",
        ),
        ("torch.nn:Linear(3, 4)", r"8 tensors of the file it lacks.*\[6, 6, 1, 1\] in the file, \[4, 3\] there"),
        (torch.nn.ReLU(), r"takes what builds a network, and not a network"),
        (3, r"public= expects module:callable"),
    ],
)
def test_code_that_does_not_build_the_files_network_is_refused(tmp_path, module, public, way):
    path = saved(tmp_path / "net.pth", module)
    with pytest.raises(converters.ConversionError, match=f"(?s){way}"):
        converters.convert(path, public=public)


def test_options_of_families_and_sources_with_programs_are_refused(tmp_path, module):
    path = saved(tmp_path / "net.pth", module)
    with pytest.raises(converters.ConversionError, match=r"do not apply\. Give the callable its own arguments"):
        converters.convert(path, public=PUBLIC, num_classes=4)
    with pytest.raises(converters.ConversionError, match="a live torch module, which has its own program: leave"):
        converters.convert(module, public=PUBLIC)


def test_tensors_beside_the_network_are_refused_until_the_user_leaves_them_out(tmp_path, module):
    from converters.building.public.matching_tensors import match_tensors
    from converters.identification.sources import open_source

    path = saved(tmp_path / "net.pth", module, "net.", {"teacher.weight": torch.ones(3)})
    with pytest.raises(converters.ConversionError, match=r"1 tensors of the file it lacks: teacher\.weight.*skip="):
        converters.convert(path, public=PUBLIC)
    source = open_source(path)
    for options in ({"prefix": "net", "skip": ()}, {"prefix": None, "skip": ["^teacher"]}):
        matched = match_tensors(module, source, **options)
        assert not matched.mismatches
        assert list(matched.ignored) == ["teacher.weight"]


def test_averages_come_first_and_a_second_copy_is_named(tmp_path, module):
    from converters.building.public.matching_tensors import match_tensors
    from converters.identification.sources import open_source

    averaged = {f"ema.{key}": value + 1 for key, value in module.state_dict().items()}
    path = saved(tmp_path / "net.pth", module, "net.", averaged)
    matched = match_tensors(module, open_source(path), prefix=None, skip=())
    assert not matched.mismatches
    assert matched.prefix == "net."
    assert set(matched.ignored) == set(averaged)
    assert "also complete under 'ema.'" in " ".join(matched.notes)


def test_callables_are_kept_from_downloading(module):
    from converters.building.public.callables import find_callable

    code = find_callable("helpers.public_code:downloads")
    assert code.added == {"weights_backbone": None, "pretrained": False}
    assert isinstance(code.build(), public_code.Segmenter)
    assert find_callable(functools.partial(public_code.segmenter, 3)).build().head.out_channels == 3


def test_weights_that_are_not_finite_are_refused(tmp_path, module):
    state = module.state_dict() | {"head.bias": torch.tensor([1.0, float("nan"), 0, 0])}
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(converters.ConversionError, match=r"head\.bias is not finite.*--allow_nonfinite"):
        converters.convert(tmp_path / "net.pth", public=PUBLIC)


@pytest.mark.full
def test_command_refuses_a_text_of_another_form():
    ended = run("tfseg_cli.convert", "net.pth", "--output=net.keras", "--public=torchvision.models.resnet18")
    assert ended.code == 2
    assert "--public" in ended.err
    assert "module:callable" in ended.err


@pytest.mark.full
def test_command_converts_and_predicts_with_public_code(tmp_path, module):
    path = saved(tmp_path / "net.pth", module)
    ended = run("tfseg_cli.convert", path, f"--output={tmp_path / 'net.keras'}", f"--public={PUBLIC}")
    assert ended.code == 0, ended.err
    assert difference(tfseg.load(tmp_path / "net.keras"), module, images(33, 48)) < 1e-5
    assert difference(tfseg.load(path, public=PUBLIC), module, images(33, 48)) < 1e-5


PUBLIC_CALLABLES = {
    "torchvision.models.segmentation:lraspp_mobilenet_v3_large": lambda: (
        import_torchvision().models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    ),
    "torchvision.models:shufflenet_v2_x0_5(num_classes=7)": lambda: import_torchvision().models.shufflenet_v2_x0_5(
        num_classes=7
    ),
    "timm:create_model('ghostnet_050', num_classes=5)": lambda: pytest.importorskip("timm").create_model(
        "ghostnet_050", num_classes=5
    ),
    "segmentation_models_pytorch:Linknet('mobilenet_v2', classes=2)": lambda: pytest.importorskip(
        "segmentation_models_pytorch"
    ).Linknet("mobilenet_v2", encoder_weights=None, classes=2),
    "torchvision.models:squeezenet1_1": lambda: import_torchvision().models.squeezenet1_1(),
}


@pytest.mark.full
@pytest.mark.parametrize("public", PUBLIC_CALLABLES)
def test_public_callables(tmp_path, public):
    import_torchvision()
    module = lively(PUBLIC_CALLABLES[public])
    path = saved(tmp_path / "net.pth", module, "module.")
    model, receipt = converters.convert(path, public=public)
    assert difference(model, module, images(64, 96)) < 1e-5
    assert receipt.ignored.keys() <= {f"module.{key}" for key in module.state_dict() if "num_batches" in key}
    json.dumps(receipt.notes)


@pytest.mark.full
def test_published_names_say_their_network(tmp_path):
    models = import_torchvision().models
    path = tmp_path / models.SqueezeNet1_1_Weights.DEFAULT.url.rpartition("/")[2]
    module = lively(lambda: models.squeezenet1_1(num_classes=1000))
    torch.save(module.state_dict(), path)
    model, receipt = converters.convert(path)
    assert difference(model, module, images(64, 96)) < 1e-5
    assert receipt.family == "torchvision (its own code)"
    assert receipt.preprocessing["std"] == (0.229, 0.224, 0.225)
    assert tfseg.metadata(model)["classes"][0] == "tench"
