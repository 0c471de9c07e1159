"""ONNX files: whatever exporters make of torchvision's networks is read, named, and computes the same."""

import keras
import numpy as np
import pytest
import torch
from helpers.onnx_files import anonymize, edit, export, net, shuffle
from helpers.references import SIZES, images, output, relative, torch_output

import converters
import tfseg
from converters.identification.onnx_names import EPSILON, IDENTITY
from converters.identification.sources import open_source

onnx = pytest.importorskip("onnx")

PUBLIC = "torchvision, by way of ONNX"
TOLERANCE = 1e-5
FOLDED = "BatchNorm folded into the convolutions: identity here"
COMPARED = "the graph of the file is this network, compared at "
TRAINING = "the graph was exported for training"
UNNAMED = "the file does not name the modules"


def check(name, form, folder, record, *, sizes=SIZES[:2], **options):
    """The file's network computes what the torch module does; returns the receipt."""
    module = net(name, **options)
    path = export(module, folder / "net.onnx", form, (224, 224) if name.startswith("vgg") else (64, 64))
    segmenter = "_res" in name and not name.startswith("wide")
    model, receipt = converters.convert(path, **({"aux": True} if segmenter else {}))
    for size in sizes:
        pixels = images(*size)
        ours = output(model, pixels)
        expected = [torch_output(module, pixels)] if not segmenter else _segmented(module, pixels)
        difference = max(map(relative, ours if segmenter else [ours], expected))
        record(f"{name}, {form}", difference)
        assert difference <= TOLERANCE
    assert all(entry["path"].startswith(str(folder)) for entry in receipt.files)
    return receipt


def _segmented(module, pixels):
    import torch

    with torch.no_grad():
        results = module(torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))))
    return [results[key].permute(0, 2, 3, 1).numpy() for key in ("out", "aux")]


CASES = {  # the network, how it is exported: what it is taken for, how many BatchNorms are made up, whether by place
    ("resnet18", "unfolded"): ("resnet18", 0, False),
    ("resnet18", "dynamo"): ("resnet18", 20, False),
    ("vgg11", "anonymous"): ("vgg11", 0, True),
    ("vgg11_bn", "folded"): ("vgg11_bn", 8, False),
}
FULL_CASES = {
    ("resnet18", "folded"): ("resnet18", 20, False),
    ("resnet50", "anonymous"): ("resnet50", 53, True),
    ("deeplabv3_resnet50", "anonymous"): ("deeplabv3_resnet50", 61, True),
    ("vgg11_bn", "anonymous"): ("vgg11", 0, True),  # which it has become
    ("resnet18", "anonymous"): ("resnet18", 20, True),
    ("resnet18", "training"): ("resnet18", 0, False),
    ("fcn_resnet50", "folded"): ("fcn_resnet50", 55, False),
    ("resnet18", "dynamo, not optimized"): ("resnet18", 0, False),
    ("fcn_resnet50", "anonymous"): ("fcn_resnet50", 55, True),
    ("fcn_resnet50", "dynamo"): ("fcn_resnet50", 55, False),
    ("deeplabv3_resnet50", "dynamo"): ("deeplabv3_resnet50", 61, False),
    ("fcn_resnet101", "unfolded"): ("fcn_resnet101", 0, False),
    ("vgg16_bn", "unfolded"): ("vgg16_bn", 0, False),
    ("vgg16", "dynamo"): ("vgg16", 0, False),
}


def check_case(name, form, folder, record, facts, **options):
    network, folded, unnamed = facts
    receipt = check(name, form, folder, record, **options)
    assert receipt.network == network
    expected = [COMPARED, *[TRAINING] * (form == "training")]
    expected += [f"{FOLDED} ({folded} layers)"] * bool(folded) + [UNNAMED] * unnamed
    assert len(receipt.notes) == len(expected)
    assert all(note.startswith(start) for note, start in zip(receipt.notes, expected, strict=True))
    assert all(f"note        {note}" in str(receipt) for note in receipt.notes)


@pytest.mark.quick_variants("resnet18-unfolded")
@pytest.mark.parametrize(("name", "form"), CASES)
def test_exported_networks(name, form, tmp_path, record):
    check_case(name, form, tmp_path, record, CASES[name, form])


@pytest.mark.full
@pytest.mark.parametrize(("name", "form"), FULL_CASES)
def test_further_exports(name, form, tmp_path, record):
    check_case(name, form, tmp_path, record, FULL_CASES[name, form])


@pytest.mark.full
@pytest.mark.parametrize("form", ["folded", "anonymous", "unfolded"])
@pytest.mark.parametrize("name", ["resnext50_32x4d", "wide_resnet50_2", "fcn_resnet50", "resnet34"])
def test_exports_at_full_width(name, form, tmp_path, record):
    folded = {"resnet34": 36, "fcn_resnet50": 55}.get(name, 53) if form != "unfolded" else 0
    check_case(name, form, tmp_path, record, (name, folded, form == "anonymous"), width=1)


@pytest.mark.full
def test_onnxruntime_computes_the_same(tmp_path, record):
    runtime = pytest.importorskip("onnxruntime")
    path = export(net("fcn_resnet50"), tmp_path / "net.onnx", "anonymous")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    model, _ = converters.convert(path, aux=True)
    for size in SIZES[:2]:
        pixels = images(*size)
        expected = session.run(None, {"image": pixels.transpose(0, 3, 1, 2)})
        for ours, reference in zip(output(model, pixels), expected, strict=True):
            difference = relative(ours, reference.transpose(0, 2, 3, 1))
            record("fcn_resnet50, onnxruntime", difference)
            assert difference <= TOLERANCE


@pytest.mark.full
def test_the_order_in_which_a_file_lists_its_nodes_says_nothing(tmp_path):
    path = export(net("resnet50"), tmp_path / "net.onnx", "anonymous")
    before = {key: np.array(value) for key, value in open_source(path).items()}
    after = open_source(shuffle(path))
    assert list(after) == list(before)
    assert all(np.array_equal(after[key], value) for key, value in before.items())


@pytest.mark.parametrize(("channels", "bound"), [(64, 0), (71, 1.2e-7)])  # a rest is computed otherwise, by one bit
def test_the_made_up_batchnorm_changes_nothing(channels, bound):
    layer = keras.layers.BatchNormalization(epsilon=EPSILON)
    pixels = images(9, 11, channels=channels) * 1000
    layer.build(pixels.shape)
    layer.set_weights([np.full(channels, value) for value in IDENTITY.values()])
    assert np.abs(output(layer, pixels) / pixels - 1).max() <= bound


def test_export_of_a_file_with_names_is_bit_identical(tmp_path):
    path = export(net("resnet18"), tmp_path / "net.onnx", "unfolded")
    model, _ = converters.convert(path)
    converters.export_weights(model, tmp_path / "net.safetensors", family="torchvision/resnet")
    expected = {entry.name: onnx.numpy_helper.to_array(entry) for entry in onnx.load(path).graph.initializer}
    ours, read = converters.read(tmp_path / "net.safetensors"), converters.read(path)
    assert set(ours) == set(expected) == set(read)
    for key, value in expected.items():
        assert value.tobytes() == ours[key].tobytes() == read[key].tobytes()


@pytest.mark.full
def test_a_product_of_matrices_and_a_sum_are_a_fully_connected_layer(tmp_path):
    """Other exporters write it so, with the weight by input and output."""

    def split(model):
        (gemm,) = (node for node in model.graph.node if node.op_type == "Gemm")
        (weight,) = (entry for entry in model.graph.initializer if entry.name == gemm.input[1])
        turned = onnx.numpy_helper.to_array(weight).T.copy()
        weight.CopyFrom(onnx.numpy_helper.from_array(turned, "turned"))
        made = onnx.helper
        product = made.make_node("MatMul", [gemm.input[0], "turned"], ["product"])
        addition = made.make_node("Add", ["product", gemm.input[2]], gemm.output)
        model.graph.node.remove(gemm)
        model.graph.node.extend([product, addition])

    module = net("resnet18")
    for form in ("anonymous", "unfolded"):
        path = edit(export(module, tmp_path / "net.onnx", form), split)
        assert np.array_equal(open_source(path)["fc.weight"], module.fc.weight.numpy())
        assert np.array_equal(open_source(path)["fc.bias"], module.fc.bias.numpy())


# -------------------------------------------------------------------------------------------- what the file says besides


@pytest.mark.full
@pytest.mark.parametrize("form", ["folded", "anonymous"])
def test_a_dilated_classifier_is_imported_at_its_output_stride(form, tmp_path):
    module = net("resnet50", replace_stride_with_dilation=[False, True, True])
    path = export(module, tmp_path / "net.onnx", form)
    with pytest.raises(
        converters.ConversionError,
        match=r"(?s)computes something else\. .*layer3\.0\.conv2: stride 1; in the network 2.* output_stride=",
    ):
        converters.convert(path, network="resnet50")
    model, _ = converters.convert(path, output_stride=8)
    assert relative(output(model, images(65, 83)), torch_output(module, images(65, 83))) <= TOLERANCE


@pytest.mark.full
def test_strides_in_the_first_convolution_of_a_block_are_another_network(tmp_path):
    """Microsoft's own ResNets, and the model zoo's."""
    module = net("resnet50")
    for stage in (module.layer2, module.layer3, module.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    path = export(module, tmp_path / "net.onnx", "anonymous")
    model = tfseg.build("fcn_resnet50", width=1 / 8)
    before = [np.array(weight) for weight in model.get_weights()]
    for attempt in (
        lambda: converters.convert(path, network="fcn_resnet50"),
        lambda: converters.import_weights(model, path),
    ):
        with pytest.raises(
            converters.ConversionError, match=r"(?s)something else\. .*layer2\.0\.conv1: stride 2; in the network 1"
        ):
            attempt()
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.full
def test_a_classifier_goes_into_a_dilated_segmenter(tmp_path):
    module = net("resnet50")
    path = export(module, tmp_path / "net.onnx", "anonymous")
    model = tfseg.build("fcn_resnet50", width=1 / 8)
    receipt = converters.import_weights(model, path)
    assert receipt.transplant
    assert receipt.notes[0].startswith("the graph of the file is the usual form of the file's network")
    assert f"{FOLDED} (53 layers)" in receipt.notes


@pytest.mark.full
def test_other_operations_on_the_graph_are_refused(tmp_path):
    """Such as a scaling of the image that was exported with the network."""

    def scale(model):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([0.5]), "factor"))
        model.graph.node[0].input[0] = "scaled"
        model.graph.node.insert(0, onnx.helper.make_node("Mul", ["image", "factor"], ["scaled"]))

    path = edit(export(net("resnet18"), tmp_path / "net.onnx", "unfolded"), scale)
    with pytest.raises(converters.ConversionError, match=r"The graph begins with multiplication of the image"):
        converters.convert(path, network="resnet18")
    assert converters.convert(path).receipt.parity["max relative difference"] <= 1e-5  # the graph as it is


@pytest.mark.full
def test_other_networks_are_of_no_family_known(tmp_path):
    path = export(net("squeezenet1_1", width=1), tmp_path / "net.onnx", "folded")
    for form in (lambda path: path, anonymize):
        form(path)
        with pytest.raises(converters.ConversionError, match=r"net\.onnx is of no family known here"):
            converters.identify(path)
        receipt = converters.convert(path).receipt  # from the graph alone
        assert receipt.family == "ONNX graph"
        assert receipt.parity["max relative difference"] <= 1e-5


class Wrapper(torch.nn.Module):
    """A user's module around a network."""

    def __init__(self, net, after=None):
        super().__init__()
        self.m, self.after = net, after
        self.eval()

    def forward(self, image):
        return self.m(image) if self.after is None else self.after(self.m(image))


@pytest.mark.quick_variants("BASIC-unfolded")
@pytest.mark.parametrize("form", ["folded", "unfolded", "dynamo"])
@pytest.mark.parametrize("level", [None, "BASIC", "EXTENDED"])
def test_wrapped_and_optimized_files_compute_the_same(form, level, tmp_path, record):
    runtime = pytest.importorskip("onnxruntime")
    module = net("resnet18")
    path = export(Wrapper(module), tmp_path / "net.onnx", form)
    if level:
        options = runtime.SessionOptions()
        options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        path = tmp_path / "optimized.onnx"
    model, receipt = converters.convert(path)
    difference = relative(output(model, images(64, 64)), torch_output(module, images(64, 64)))
    record(f"resnet18 wrapped, {form}, {level}", difference)
    assert difference <= TOLERANCE
    assert "the names of the file begin with 'm.', which is left out" in receipt.notes


def test_file_for_one_processor_is_refused(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    path = export(net("resnet18"), tmp_path / "net.onnx")
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    if not any(node.domain == "com.microsoft.nchwc" for node in onnx.load(tmp_path / "optimized.onnx").graph.node):
        pytest.skip("onnxruntime blocks no channels on this processor")
    with pytest.raises(converters.ConversionError, match="graph_optimization_level=ORT_ENABLE_EXTENDED"):
        converters.convert(tmp_path / "optimized.onnx")


@pytest.mark.full
def test_softmax_at_the_end_is_refused_with_the_way_out(tmp_path):
    module = Wrapper(net("resnet18"), lambda scores: scores.softmax(1))
    for form in ("folded", "anonymous"):
        path = export(module, tmp_path / "net.onnx", form)
        with pytest.raises(
            converters.ConversionError, match=r"(?s)The graph ends in a softmax; .* without the softmax"
        ):
            converters.convert(path, network="resnet18")
        model, receipt = converters.convert(path)
        assert receipt.family == "ONNX graph"
        np.testing.assert_allclose(np.sum(model(np.zeros((1, 64, 64, 3), "float32"))), 1, rtol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("operator", ["Sub", "Mul", "Max"])
def test_other_joins_of_a_skip_connection_are_refused(operator, tmp_path):
    def change(model):
        next(node for node in model.graph.node if node.op_type == "Add").op_type = operator

    path = edit(export(net("resnet18"), tmp_path / "net.onnx"), change)
    with pytest.raises(converters.ConversionError, match="computes something else"):
        converters.convert(path, network="resnet18")
    assert converters.convert(path).receipt.parity["max relative difference"] <= 1e-5  # the graph as it is
