"""ONNX graphs against networks: what is kept, what stands around it, and how tools write it."""

import numpy as np
import pytest
from helpers import onnx_files
from helpers.references import filled_module

import converters
import tfseg
from converters.identification.onnx_names import NamedGraph
from converters.programs import from_onnx
from converters.programs.onnx.constants import NoConstant, fold
from converters.programs.steps import StepFactory
from converters.reading.onnx import model_file
from converters.reading.onnx.model_file import OnnxNode

SIZE = (64, 96)
pytestmark = pytest.mark.filterwarnings("ignore")  # the exporters' own


def export(module, tmp_path):
    return onnx_files.export(module.eval(), tmp_path / "net.onnx", size=SIZE)


def assert_same(path, module, **options):
    import torch

    image = np.random.default_rng(0).normal(size=(1, *SIZE, 3)).astype("float32")
    model, receipt = converters.convert(path, **options)
    with torch.no_grad():
        expected = module(torch.from_numpy(image.transpose(0, 3, 1, 2).copy())).numpy()
    expected = expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected
    np.testing.assert_allclose(model(image), expected, atol=1e-5 * np.abs(expected).max())
    return receipt


@pytest.mark.full
def test_a_warm_start_has_another_number_of_classes(tmp_path):
    path = export(onnx_files.net("resnet18"), tmp_path)
    for options in ({"num_classes": 5, "skip": ["fc"]}, {"network": "fcn_resnet18"}):
        model, _ = converters.convert(path, **options)
        kernel = model.get_layer("conv5_block2_2_conv").kernel
        assert np.asarray(kernel).std() > 0.01
    model = tfseg.build("resnet18", width=1 / 8, include_top=True, num_classes=5)
    converters.import_weights(model, path, skip=["predictions"])
    with pytest.raises(converters.ConversionError, match="outputs 7; in the network 5"):
        converters.convert(path, num_classes=5)


@pytest.mark.full
def test_a_warm_start_from_another_function_is_refused(tmp_path):
    import torch

    module = onnx_files.net("resnet18")
    module.maxpool = torch.nn.AvgPool2d(3, 2, 1)
    path = export(module, tmp_path)
    for options in ({"num_classes": 5, "skip": ["fc"]}, {"network": "fcn_resnet18"}, {"include_top": False}):
        with pytest.raises(
            converters.ConversionError, match=r"pixels\):\n  \S*maxpool\S*: pool AVE; in the network MAX"
        ):
            converters.convert(path, **options)


@pytest.mark.full
def test_averaged_features_need_a_word(tmp_path):
    import torch

    module = onnx_files.net("resnet18")
    module.fc = torch.nn.Identity()
    path = export(module, tmp_path)
    with pytest.raises(converters.ConversionError, match="include_top=False"):
        converters.convert(path, network="resnet18")
    model, receipt = converters.convert(path)  # nothing asked for: the graph as it is
    assert (receipt.family, model.output_shape) == ("ONNX graph", (None, 64))
    features = torch.nn.Sequential(*list(module.children())[:-2])
    assert any("left out" in note for note in assert_same(path, features, include_top=False).notes)


@pytest.mark.full
def test_a_sum_with_the_auxiliary_head_is_another_function(tmp_path):
    import torch

    class Mixed(torch.nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, image):
            scores = self.net(image)
            return scores["out"] + 0.4 * scores["aux"]

    path = export(Mixed(onnx_files.net("fcn_resnet50", width=1 / 16)), tmp_path)
    for aux in (False, True):
        with pytest.raises(converters.ConversionError, match="is a sum that stands after what the network returns"):
            converters.convert(path, aux=aux)


@pytest.mark.full
def test_modules_of_other_names_are_known_by_their_wires(tmp_path):
    import torch

    children = list(onnx_files.net("resnet18").children())
    module = torch.nn.Sequential(*children[:-1], torch.nn.Flatten(), children[-1])
    assert any("by their places" in note for note in assert_same(export(module, tmp_path), module).notes)


@pytest.mark.quick_variants("PSPNet")
@pytest.mark.parametrize("name", ["DeepLabV3Plus", "PSPNet"])
def test_depthwise_kernels_and_pyramids(name, tmp_path):
    onnx_files.import_torchvision()
    smp = pytest.importorskip("segmentation_models_pytorch")
    module = filled_module(lambda: getattr(smp, name)("resnet18", encoder_weights=None, classes=4), 0, 1.0)
    path = onnx_files.export(module.eval(), tmp_path / "net.onnx", size=(96, 144))
    assert converters.convert(path).receipt.family == "qubvel/segmentation_models.pytorch"


@pytest.mark.full
def test_timms_other_use_of_a_name_is_built_from_the_graph(tmp_path):
    """In "d" variants downsample.1 is a convolution, in torchvision's a BatchNorm."""
    onnx_files.import_torchvision()
    timm = pytest.importorskip("timm")
    module = filled_module(lambda: timm.create_model("resnet26t", num_classes=5), 0, 1.0)
    path = export(module, tmp_path)
    with pytest.raises(converters.ConversionError, match="of no family known here"):
        converters.identify(path)
    receipt = converters.convert(path).receipt
    assert receipt.family == "ONNX graph"
    assert receipt.parity["max relative difference"] <= 1e-5


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("change", ["constants", "order"])
def test_weights_in_constant_nodes_and_nodes_out_of_order(change, tmp_path):
    onnx = pytest.importorskip("onnx")
    module = onnx_files.net("resnet18")

    def edit(model):
        graph = model.graph
        nodes = list(graph.node)
        if change == "constants":
            make = onnx.helper.make_node
            nodes = [make("Constant", [], [tensor.name], value=tensor) for tensor in graph.initializer] + nodes
            del graph.initializer[:]
        else:
            nodes.reverse()
        del graph.node[:]
        graph.node.extend(nodes)

    assert_same(onnx_files.edit(export(module, tmp_path), edit), module)


def _program(*nodes):
    """The steps of a graph without weights, on an image of 8 x 8 pixels."""
    helper = pytest.importorskip("onnx").helper
    values = [helper.make_tensor_value_info(name, 1, shape) for name, shape in (("image", (1, 3, 8, 8)), ("y", None))]
    graph = helper.make_graph(list(nodes), "g", values[:1], values[1:])
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString()
    named = NamedGraph(model_file.load("graph.onnx", memoryview(data)), {}, frozenset(), "")
    return from_onnx.describe(named, lambda key: None, StepFactory((8, 8), 3))


@pytest.mark.parametrize(("scale", "op"), [(1, "image"), (2, "resize")])
def test_a_resize_to_the_same_size_is_no_step(scale, op):
    helper = pytest.importorskip("onnx").helper
    scales = helper.make_node("Constant", [], ["s"], value=helper.make_tensor("s", 1, [4], [1, 1, scale, scale]))
    (end,) = _program(scales, helper.make_node("Resize", ["image", "", "s"], ["y"], mode="linear"))
    assert (end.op, end.size) == (op, (8 * scale, 8 * scale))


@pytest.mark.parametrize(
    ("op", "by", "plus"), [("Mul", 2, 0), ("Add", 1, 2), ("Sub", -1, 2)], ids=["product", "sum", "difference"]
)
def test_constant_may_stand_first(op, by, plus):
    helper = pytest.importorskip("onnx").helper
    two = helper.make_node("Constant", [], ["two"], value=helper.make_tensor("two", 1, [], [2]))
    (end,) = _program(two, helper.make_node(op, ["two", "image"], ["y"]))
    assert (end.op, end.facts["by"], end.facts["plus"]) == ("multiplication", by, plus)
    (end,) = _program(two, helper.make_node("Div", ["two", "image"], ["y"]))
    assert end.op == "division"


def test_sizes_are_computed():
    node = OnnxNode("Slice", "", ["x", "starts", "ends"], ["y"], {})
    shape, start, end = np.array([1, 3, 65, 97]), np.array([2]), np.array([4])
    assert fold(node, [shape, start, end], 13).tolist() == [65, 97]
    assert fold(OnnxNode("Div", "", ["a", "b"], ["y"], {}), [np.array(-7), np.array(2)], 13) == -3
    for kind in ("Conv", "RandomNormal"):
        with pytest.raises(NoConstant):
            fold(OnnxNode(kind, "", ["a"], ["y"], {}), [shape], 13)
    with pytest.raises(NoConstant):
        fold(OnnxNode("ConstantOfShape", "", ["a"], ["y"], {}), [np.array([1 << 40])], 13)
