"""What a model that was built from a module remembers: its training form, the way back of its weights, and its modules."""

import types

import keras
import numpy as np
import pytest
import torch
from helpers.references import images, randomized_state, relative, torch_output
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

import converters
import tfseg
from converters import ConversionError

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own


class DropPath(nn.Module):
    """Stochastic depth as timm's, transformers' and many copies have it."""

    def __init__(self, rate):
        super().__init__()
        self.drop_prob = rate

    def forward(self, x):
        if not self.training:
            return x
        keep = 1 - self.drop_prob
        return x * x.new_empty((len(x),) + (1,) * (x.ndim - 1)).bernoulli_(keep) / keep


class Network(nn.Module):
    """Every kind of dropout, a shared layer, a frozen one, buffers that no step reads."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, momentum=0.2)
        self.dropout, self.maps, self.alpha = nn.Dropout(0.3), nn.Dropout2d(0.2), nn.AlphaDropout(0.1)
        self.path, self.branch = DropPath(0.25), nn.Conv2d(4, 4, 1, bias=False)
        self.shared = nn.Conv2d(4, 4, 1)
        self.again = self.shared
        self.register_buffer("mean", torch.rand(3, 1, 1))
        self.register_buffer("table", torch.arange(5))
        self.head = nn.Linear(4, 5)

    def forward(self, image):
        x = self.maps(self.dropout(self.norm(self.conv(image - self.mean)).relu()))
        x = x + self.path(self.branch(x))
        x = functional.dropout(x, 0.4, training=self.training)
        x = functional.dropout(x, 0.45, training=False)
        x = self.again(self.alpha(self.shared(x)))
        return x, self.head(functional.feature_alpha_dropout(x, 0.15, self.training).mean((2, 3)))


@pytest.fixture(scope="module")
def built():
    module = randomized_state(Network())
    module.branch.weight.requires_grad_(False)
    return module, *converters.convert(module)


def test_dropouts_act_in_training_where_the_module_says_so(built):
    _, model, receipt = built
    drops = [layer for layer in model.layers if hasattr(layer, "rate")]
    assert [(type(layer).__name__, layer.rate) for layer in drops] == [
        ("Dropout", 0.3),
        ("SpatialDropout2D", 0.2),
        ("Dropout", 0.25),
        ("Dropout", 0.4),
        ("AlphaDropout", 0.1),
        ("AlphaDropout", 0.15),
    ]
    assert model.get_layer("path").noise_shape == (None, 1, 1, 1)
    assert not any("drop" in note for note in receipt.notes)


def test_stochastic_depth_drops_whole_images(built):
    _, model, _ = built
    layer = model.get_layer("path")
    results = np.asarray(layer(np.ones((2000, 2, 3, 4), "float32"), training=True))
    kinds = results[:, 0, 0, 0]
    np.testing.assert_array_equal(results, np.broadcast_to(kinds[:, None, None, None], results.shape))
    assert set(np.round(kinds, 5)) == {0.0, np.float32(1.33333)}
    assert abs((kinds == 0).mean() - 0.25) < 0.05


def test_parameters_without_gradient_are_not_trained(built):
    _, model, _ = built
    assert not model.get_layer("branch").trainable
    assert {variable.path for variable in model.trainable_variables} == {
        f"{layer}/{name}"
        for layer, names in {
            "conv": "kernel bias",
            "norm": "gamma beta",
            "shared": "kernel bias",
            "head": "kernel bias",
        }.items()
        for name in names.split()
    }


def test_the_state_dictionary_comes_back_bit_by_bit(tmp_path, built):
    module, model, _ = built
    model.save(tmp_path / "net.keras")
    state = module.state_dict()
    for each in (model, keras.saving.load_model(tmp_path / "net.keras")):
        for name, load in (("back.pth", torch.load), ("back.safetensors", load_file)):
            receipt = converters.export_weights(each, tmp_path / name, overwrite=True)
            back = load(tmp_path / name)
            assert back.keys() == state.keys()
            assert all(torch.equal(state[key], back[key]) and state[key].dtype == back[key].dtype for key in state)
            assert Network().load_state_dict(back, strict=True)
            assert receipt.family == "torch module"


def test_trained_weights_come_back(tmp_path):
    module = randomized_state(Network())
    model, _ = converters.convert(module)
    for variable in model.trainable_variables:
        variable.assign(variable * 1.25)
    converters.export_weights(model, tmp_path / "back.pth")
    trained = Network().eval()
    trained.load_state_dict(torch.load(tmp_path / "back.pth"), strict=True)
    pixels = images(20, 30)
    assert relative(model(pixels)[0], torch_output(nn.Sequential(trained, _First()), pixels)) <= 1e-5
    assert not torch.equal(trained.conv.weight, module.conv.weight)


class _First(nn.Module):
    def forward(self, results):
        return results[0]


class Standardized(nn.Module):
    """A kernel that is computed from a parameter."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

    def forward(self, image):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(image, weight)


def test_what_has_no_way_back_is_refused_by_name(tmp_path):
    module = randomized_state(Standardized())
    model, _ = converters.convert(module)
    converters.export_weights(model, tmp_path / "back.pth")
    assert torch.equal(torch.load(tmp_path / "back.pth")["weight"], module.weight)
    (kernel,) = model.weights
    kernel.assign(kernel * 2)
    with pytest.raises(ConversionError, match=r"computed from the tensor weight .*no way back"):
        converters.export_weights(model, tmp_path / "other.pth")
    assert not (tmp_path / "other.pth").exists()


def test_other_layers_than_the_source_are_refused_by_name(tmp_path, built):
    _, model, _ = built
    features = keras.Model(model.input, model.get_layer("norm").output)
    with pytest.raises(ConversionError, match=r"lacks .*head/kernel"):
        converters.export_weights(features, tmp_path / "back.pth")
    more = keras.Model(model.input, keras.layers.Dense(3, name="mine")(model.output[1]))
    with pytest.raises(ConversionError, match=r"no tensor for mine/kernel"):
        converters.export_weights(more, tmp_path / "back.pth")


def test_compare_names_the_first_layer_that_differs(tmp_path, built):
    module, model, _ = built
    comparison = converters.compare(model, module, images(20, 30))
    assert {"conv", "norm", "dropout", "maps", "branch", "path", "alpha", "head"} <= {row.layer for row in comparison}
    comparison.assert_close(1e-5)
    model.save(tmp_path / "net.keras")
    changed = keras.saving.load_model(tmp_path / "net.keras")
    changed.get_layer("branch").kernel.assign(changed.get_layer("branch").kernel * 1.01)
    assert converters.compare(changed, module, images(20, 30)).first_divergence().reference == "branch"
    with pytest.raises(ConversionError, match=r"module 'conv'.*lacks"):
        converters.compare(model, nn.Conv2d(3, 4, 3), images(20, 30))


class FrozenNorm(nn.Module):
    """A BatchNorm that stays in evaluation mode, as when a part of a network is fine-tuned."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.free = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, image):
        return self.free(self.norm(self.conv(image)))


def test_norms_keep_their_statistics_where_the_module_does():
    model, receipt = converters.convert(randomized_state(FrozenNorm()))
    assert (model.get_layer("norm").trainable, model.get_layer("free").trainable) == (False, True)
    assert any("keep their statistics" in note for note in receipt.notes)


class Functional(nn.Module):
    """Stochastic depth as a function, which a trace of evaluation mode does not show."""

    def __init__(self):
        super().__init__()
        self.block = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image):
        x = self.block(image)
        return image + (x * torch.bernoulli(torch.full((len(x), 1, 1, 1), 0.5)) if self.training else x)


def test_random_numbers_of_training_that_no_layer_draws_are_noted():
    _, receipt = converters.convert(randomized_state(Functional()))
    assert any("draws random numbers that the model does not" in note for note in receipt.notes)


def test_hooks_are_noted_and_results_that_change_are_refused():
    seen = []
    module = randomized_state(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    module[0].register_forward_hook(lambda _part, _inputs, output: seen.append(tuple(output.shape)))
    _, receipt = converters.convert(module)
    assert any("hooks of its own" in note and "on 0" in note for note in receipt.notes)
    module[1].register_forward_hook(lambda _part, _inputs, output: output + len(seen))
    with pytest.raises(ConversionError, match=r"hooks of its own|called again on the same image"):
        converters.convert(module)


def test_a_module_without_gradients_is_trained_whole():
    model, _ = converters.convert(randomized_state(nn.Sequential(nn.Conv2d(3, 4, 3))).requires_grad_(False))
    assert len(model.trainable_variables) == 2


TIMM = {"mean": (0.5, 0.4, 0.3), "std": (0.5, 0.5, 0.5), "input_size": (3, 64, 64), "label_names": ["a", "b", "c"]}


class Weights:
    """An entry of torchvision's enumerations of weights."""

    meta = types.MappingProxyType({"categories": ["a", "b", "c"]})

    @staticmethod
    def transforms():
        return types.SimpleNamespace(mean=[0.5, 0.4, 0.3], std=[0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("facts", "mean", "classes"),
    [
        ({"pretrained_cfg": TIMM}, [0.5, 0.4, 0.3], ["a", "b", "c"]),
        ({"weights": Weights}, [0.5, 0.4, 0.3], ["a", "b", "c"]),
        ({"config": types.SimpleNamespace(id2label={0: "a", 1: "b", 2: "c"})}, None, ["a", "b", "c"]),
        ({"config": types.SimpleNamespace(id2label={0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})}, None, None),
        ({"config": types.SimpleNamespace(id2label={0: "a", 1: "b"})}, None, None),  # the network has three
        ({"pretrained_cfg": {"mean": (0.5,), "std": (0.5,), "input_size": (1, 28, 28)}}, None, None),
        ({"config": 3, "weights": "DEFAULT", "pretrained_cfg": "none"}, None, None),
    ],
)
def test_preprocessing_and_classes_are_those_that_the_module_says(facts, mean, classes):
    module = randomized_state(nn.Sequential(nn.Conv2d(3, 3, 3)))
    for name, value in facts.items():
        setattr(module, name, value)
    model, receipt = converters.convert(module)
    carried = tfseg.metadata(model)
    assert (carried["preprocessing"] or {}).get("mean") == mean
    assert carried["classes"] == classes
    assert all(any(name in note for note in receipt.notes) for name in facts if mean or classes)
    if mean:
        asked, _ = converters.convert(module, preprocessing="caffe", classes=["x", "y", "z"])
        assert tfseg.metadata(asked)["preprocessing"]["channel_order"] == "BGR"
        assert tfseg.metadata(asked)["classes"] == ["x", "y", "z"]
