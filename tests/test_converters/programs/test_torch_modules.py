"""Torch modules, live and pickled: what their own modules say is obeyed, or the network is refused."""

import copy

import pytest
import torch
from helpers import drn_twin, onnx_files
from helpers.references import filled_module, images, output, relative, torch_output
from torch import nn

import converters
from converters import ConversionError

IMAGE = images(64, 96)


class Softmaxed(nn.Module):
    """A user's own class around a public network."""

    def __init__(self, network):
        super().__init__()
        self.model = network

    def forward(self, image):
        return self.model(image).softmax(1)


class Pair(nn.Module):
    """A network of two images, which cannot be run on one."""

    def __init__(self, network):
        super().__init__()
        self.model = network

    def forward(self, image, other):
        return self.model(image) - self.model(other)


def _saved(module, tmp_path, kind):
    if kind == "live":
        return module
    torch.save(module, tmp_path / "net.pth")
    return tmp_path / "net.pth"


class Bounded(nn.Module):
    """A user's own class whose result is that of a public network, bounded."""

    def __init__(self, network):
        super().__init__()
        self.net = network

    def forward(self, image):
        return self.net(image).tanh()


class Idle(nn.Module):
    """A network whose modules only hold the weights: its forward calls none of them."""

    def __init__(self, network):
        super().__init__()
        self.__dict__["worker"] = copy.deepcopy(network)  # no part of this module
        for name, part in network.named_children():
            self.add_module(name, part)

    def forward(self, image):
        return 2 * self.worker(image)


KINDS = pytest.mark.parametrize("kind", ["live", "pickled"])


@pytest.mark.quick_variants(1)
@KINDS
def test_momentum_of_the_norms_is_kept(tmp_path, kind):
    module = onnx_files.net("resnet18")
    module.bn1.momentum, module.layer1[0].bn1.momentum = 0.25, None
    model, receipt = converters.convert(_saved(module, tmp_path, kind))
    momentum = {layer.name: layer.momentum for layer in model.layers if layer.name.endswith("_bn")}
    assert momentum["conv1_bn"] == 0.75
    assert momentum["conv2_block1_2_bn"] == 0.9
    assert any("momentum=None" in note for note in receipt.notes)


@pytest.mark.full
@KINDS
def test_output_stride_that_the_modules_have(tmp_path, kind):
    module = onnx_files.net("resnet50", replace_stride_with_dilation=[False, True, True])
    expected = torch_output(module, IMAGE)
    model, receipt = converters.convert(_saved(module, tmp_path, kind))
    assert receipt.options["output_stride"] == 8
    assert relative(output(model, IMAGE), expected) <= 1e-5


@pytest.mark.quick_variants(1)
@KINDS
def test_epsilon_names_the_layer(tmp_path, kind):
    module = onnx_files.net("resnet18")
    module.layer3[0].bn2.eps = 0.1
    with pytest.raises(ConversionError, match=r"layer3\.0\.bn2 has eps 0\.1; in the network 1e-05"):
        converters.convert(_saved(module, tmp_path, kind), network="resnet18")


@pytest.mark.quick_variants(2)
@KINDS
@pytest.mark.parametrize("norm", [nn.InstanceNorm2d, lambda channels: nn.GroupNorm(2, channels)])
def test_other_norms_are_refused(tmp_path, kind, norm):
    module = onnx_files.net("resnet18")
    other, usual = norm(8), module.bn1
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        other.register_buffer(name, getattr(usual, name))
    other.weight, other.bias = usual.weight, usual.bias
    module.bn1 = other
    with pytest.raises(ConversionError, match=r"bn1 is a (Instance|Group)Norm"):
        converters.convert(_saved(module, tmp_path, kind), network="resnet18")


@pytest.mark.full
def test_own_class_converts_only_by_name(tmp_path):
    path = _saved(Softmaxed(onnx_files.net("resnet18")), tmp_path, "pickled")
    with pytest.raises(ConversionError, match=r"Softmaxed.*network='resnet18'"):
        converters.convert(path)
    _, receipt = converters.convert(path, network="resnet18")
    assert any("could not be checked" in note and "Softmaxed" in note for note in receipt.notes)


def test_live_class_of_its_own_is_run():
    with pytest.raises(ConversionError, match="run on random images"):
        converters.convert(Softmaxed(onnx_files.net("resnet18")), network="resnet18")


@pytest.mark.full
def test_module_that_cannot_be_run_converts_only_by_name():
    module = Pair(onnx_files.net("resnet18"))
    with pytest.raises(ConversionError, match="could not be run"):
        converters.convert(module)
    _, receipt = converters.convert(module, network="resnet18")
    assert any("could not be run" in note for note in receipt.notes)


@pytest.mark.full
def test_order_of_a_sequence_counts(tmp_path):
    module = onnx_files.net("resnet18")
    blocks = dict(module.layer1.named_children())
    module.layer1._modules = {"1": blocks["1"], "0": blocks["0"]}
    for kind in ("live", "pickled"):
        with pytest.raises(ConversionError):
            converters.convert(_saved(module, tmp_path, kind), network="resnet18")


@pytest.mark.full
def test_live_module_is_left_as_it_was():
    module = onnx_files.net("resnet18").train()
    module.layer2.eval()
    flags = [part.training for part in module.modules()]
    state = {key: value.clone() for key, value in module.state_dict().items()}
    random = torch.random.get_rng_state()
    converters.convert(module)
    assert [part.training for part in module.modules()] == flags
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in state.items())
    assert torch.equal(torch.random.get_rng_state(), random)
    assert not any(part._forward_hooks for part in module.modules())


@pytest.mark.quick_variants(1)
@pytest.mark.filterwarnings("ignore")  # torch.compile's own
@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_wrapped_live_modules(wrap):
    module = onnx_files.net("resnet18")
    model, receipt = converters.convert(wrap(module))
    assert relative(output(model, IMAGE), torch_output(module, IMAGE)) <= 1e-5
    assert any("was run" in note for note in receipt.notes)


@pytest.mark.full
def test_half_precision_is_run_in_single():
    module = onnx_files.net("resnet18").half()
    model, _ = converters.convert(module)
    assert relative(output(model, IMAGE), torch_output(module.float(), IMAGE)) <= 1e-5


def test_transplant_of_a_live_module():
    _, receipt = converters.convert(onnx_files.net("vgg16"), network="fcn32s", num_classes=5)
    assert receipt.transplant


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("options", [{"include_top": False}, {"skip": ["fc", "predictions"]}, {}])
def test_prefix_of_a_live_module_runs_that_part(options):
    """What the outer module adds is not asked for; what the part computes is."""
    network = onnx_files.net("resnet18")
    model, _ = converters.convert(Bounded(network), prefix="net.", **options)
    if not options:
        assert relative(output(model, IMAGE), torch_output(network, IMAGE)) <= 1e-5
    network.relu = nn.Tanh()
    with pytest.raises(ConversionError, match=r"computes something else"):
        converters.convert(Bounded(network), prefix="net.", **options)


def test_modules_that_are_not_called_prove_nothing():
    module = Idle(onnx_files.net("resnet18"))
    with pytest.raises(ConversionError):
        converters.convert(module, include_top=False)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("change", [lambda scores: 3 * scores, lambda scores: scores.exp()])
def test_the_end_of_a_live_drnseg_counts(change):
    module = filled_module(lambda: drn_twin.Segmenter("drn_d_22", width=0.125, num_classes=5), 0, 1.0)
    converters.convert(module, family="fyu/drnseg")
    usual = module.forward

    def forward(image):
        first, *rest = usual(image)
        return change(first), *rest

    module.forward = forward
    with pytest.raises(ConversionError):
        converters.convert(module, family="fyu/drnseg")


@pytest.mark.filterwarnings("ignore")
def test_quantized_modules_are_refused_by_that_word(tmp_path):
    module = torch.ao.quantization.quantize_dynamic(onnx_files.net("resnet18"), {nn.Linear})
    with pytest.raises(ConversionError, match="quantized"):
        converters.convert(_saved(module, tmp_path, "pickled"))


@pytest.mark.filterwarnings("ignore")
def test_quantized_tensors_of_a_live_module_are_refused():
    module = nn.Sequential(torch.ao.nn.quantized.Conv2d(3, 8, 3))
    with pytest.raises(ConversionError, match="quantized"):
        converters.convert(module)


def test_weights_in_half_precision_are_said():
    _, receipt = converters.convert({k: v.half() for k, v in onnx_files.net("resnet18").state_dict().items()})
    assert any("float16" in note for note in receipt.notes)


def test_networks_without_running_averages_point_to_the_live_module():
    state = onnx_files.net("resnet18").state_dict()
    with pytest.raises(ConversionError, match=r"GroupNorm.*converters.convert\(module\)"):
        converters.convert({key: value for key, value in state.items() if "running" not in key})


@pytest.mark.parametrize("words", ["weight_orig weight_mask", "weight_g weight_v"])
def test_reparametrized_weights_are_named(words):
    state = onnx_files.net("resnet18").state_dict()
    weight = state.pop("conv1.weight")
    with pytest.raises(ConversionError, match="live module, whose program applies them"):
        converters.convert(state | {f"conv1.{word}": weight for word in words.split()})


class Scores(nn.Module):
    """A network whose forward returns its scores as small as they are."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image):
        return self.network.classifier(self.network.backbone(image)["out"])


@pytest.mark.full
def test_a_live_module_that_ends_small_is_built_as_it_is():
    module = Scores(onnx_files.net("fcn_resnet50", width=1 / 16)).eval()
    model, receipt = converters.convert(module)
    assert receipt.family == "torch module"
    assert relative(output(model, IMAGE), torch_output(module, IMAGE)) <= 1e-5
    with pytest.raises(ConversionError, match="has the shape"):
        converters.convert(module, network="fcn_resnet50")
