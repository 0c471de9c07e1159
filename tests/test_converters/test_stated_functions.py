"""What a source says that it computes is what convert builds, or convert refuses: every kind of source, every change.

The tensors of a changed network have the names and the shapes of the public one. So a result that ignored the change
would be wrong without a word.
"""

import json

import keras
import numpy as np
import pytest
import torch
from helpers import onnx_files
from helpers.random_weights import randomize_weights
from helpers.references import images, randomized_state, relative
from helpers.torchvision_cpu import import_torchvision
from torch import nn

import converters
from converters import ConversionError

IMAGE = images(64, 96)


@pytest.fixture(autouse=True)
def torchvision():
    """timm, transformers and segmentation_models_pytorch import it, and its wheel may be of another torch."""
    import_torchvision()


def _rows(kinds, changes, unchanged=True):
    """Each kind with each change. Quick: every fourth change with one kind, and if wanted every second kind unchanged."""
    kinds, changes = list(kinds), list(changes)
    return [
        pytest.param(
            kind,
            change,
            id=f"{kind}-{change}",
            marks=()
            if (j % 4 == 0 and (i + j) % len(kinds) == 0) or _is_plain(unchanged, change, i)
            else pytest.mark.full,
        )
        for i, kind in enumerate(kinds)
        for j, change in enumerate(changes)
    ]


def _is_plain(unchanged, change, index):
    return unchanged and change == "nothing" and index % 2 == 0


# ---------------------------------------------------------------------------------------------------- changed networks


def _set(path, **attributes):
    def change(module):
        part = module.get_submodule(path)
        for name, value in attributes.items():
            setattr(part, name, value)

    return change


def _replace(path, make):
    def change(module):
        parent, _, name = path.rpartition(".")
        setattr(module.get_submodule(parent), name, make())

    return change


def _stride_in_first(module):
    for stage in (module.layer2, module.layer3, module.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (1, 1), (2, 2)


def _dilated(module):
    block = module.layer4[0]
    block.conv1.stride = block.downsample[0].stride = (1, 1)
    for part in (block.conv2, module.layer4[1].conv1, module.layer4[1].conv2):
        part.dilation, part.padding = (2, 2), (2, 2)


def _epsilons(module):
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 1e-2


def _wrapped(module, before=None, after=None):
    """The same module, whose class computes more than the public one."""
    public = type(module)

    def forward(self, image):
        result = public.forward(self, image if before is None else before(image))
        if after is None:
            return result
        return {"out": after(result["out"])} if isinstance(result, dict) else after(result)

    module.__class__ = type("Wrapped", (public,), {"forward": forward, "__module__": __name__})
    globals()["Wrapped"] = module.__class__  # where pickle looks for it


TORCH_CHANGES = {
    "nothing": lambda module: None,
    "place of the strides": _stride_in_first,
    "stride": _set("conv1", stride=(1, 1)),
    "padding": _set("conv1", padding=(2, 2)),
    "padding on one axis": _set("conv1", padding=(3, 2)),
    "padding mode": _set("conv1", padding_mode="reflect"),
    "padding mode in a block": _set("layer2.1.conv1", padding_mode="circular"),
    "dilation": _dilated,
    "dilation of one layer": _set("layer1.1.conv2", dilation=(2, 2), padding=(2, 2)),
    "epsilon": _epsilons,
    "epsilon of one layer": _set("layer3.0.bn2", eps=1e-1),
    "no pooling": _replace("maxpool", nn.Identity),
    "kind of pooling": _replace("maxpool", lambda: nn.AvgPool2d(3, 2, 1)),
    "count_include_pad": _replace("maxpool", lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    "window of the pooling": _replace("maxpool", lambda: nn.MaxPool2d(2, 2)),
    "padding of the pooling": _set("maxpool", padding=0),
    "ceil": _set("maxpool", ceil_mode=True),
    "dilation of the pooling": _set("maxpool", dilation=2, padding=1),
    "last pooling": _replace("avgpool", lambda: nn.AdaptiveMaxPool2d(1)),
    "activation": _replace("relu", lambda: nn.LeakyReLU(0.1)),
    "activation in a block": _replace("layer2.0.relu", lambda: nn.ReLU6()),
    "smooth activation": _replace("layer3.1.relu", nn.SiLU),
    "no activation": _replace("relu", nn.Identity),
    "softmax after": lambda module: _wrapped(module, after=lambda scores: scores.softmax(1)),
    "argmax after": lambda module: _wrapped(module, after=lambda scores: scores.argmax(1).float()),
    "sigmoid after": lambda module: _wrapped(module, after=torch.sigmoid),
    "scale after": lambda module: _wrapped(module, after=lambda scores: scores * 2),
    "normalization before": lambda module: _wrapped(module, before=lambda image: (image - 0.5) / 0.25),
    "channels reversed before": lambda module: _wrapped(module, before=lambda image: image.flip(1)),
}
SEGMENTER_CHANGES = {
    "nothing": lambda module: None,
    "resize": lambda module: _resized(module, mode="nearest"),
    "resize with aligned corners": lambda module: _resized(module, mode="bilinear", align_corners=True),
    "no resize": lambda module: _resized(module),
    "softmax after": lambda module: _wrapped(module, after=lambda scores: scores.softmax(1)),
    "output stride": lambda module: _less_dilated(module),
}


def _resized(module, **how):
    public = type(module)

    def forward(self, image):
        logits = self.classifier(self.backbone(image)["out"])
        return {"out": nn.functional.interpolate(logits, image.shape[-2:], **how) if how else logits}

    module.__class__ = type("Wrapped", (public,), {"forward": forward, "__module__": __name__})
    globals()["Wrapped"] = module.__class__


def _less_dilated(module):
    """Output stride 16, as torchvision builds it: the fourth stage keeps its stride."""
    stage = module.backbone.layer3
    stage[0].conv2.stride = stage[0].downsample[0].stride = (2, 2)
    for block in stage:
        block.conv2.dilation = block.conv2.padding = (1, 1)
    for index, block in enumerate(module.backbone.layer4):
        rate = 1 if index == 0 else 2
        block.conv2.dilation = block.conv2.padding = (rate, rate)


def _run(module):
    with torch.no_grad():
        result = module(torch.from_numpy(IMAGE.transpose(0, 3, 1, 2)))
    result = result["out"] if isinstance(result, dict) else result
    return result.numpy().transpose(0, 2, 3, 1) if result.ndim == 4 else result.numpy()


def _onnx(form):
    def write(module, path):
        return onnx_files.export(module, path / "net.onnx", form, size=IMAGE.shape[1:3])

    return write


def _pickled(module, path):
    torch.save(module, path / "net.pth")
    return path / "net.pth"


TORCH_SOURCES = {
    "ONNX, named": _onnx("folded"),
    "ONNX, not folded": _onnx("unfolded"),
    "ONNX, nameless": _onnx("anonymous"),
    "ONNX, dynamo": _onnx("dynamo"),
    "live": lambda module, path: module,
    "pickled": _pickled,
}


def _exact_or_refused(source, expected, *, must_open=False, image=IMAGE, **options):
    try:
        model, receipt = converters.convert(source, **options)
    except ConversionError:
        if must_open:
            raise
        return
    result = model(image)
    if isinstance(result, dict):  # of torchvision's segmentation networks, or of transformers' classifiers
        result = result["out" if "out" in result else "logits"]
    result = np.asarray(result[0] if isinstance(result, list) else result)
    assert result.shape == expected.shape, receipt
    assert relative(result, expected) <= 1e-5, receipt


def _try(changes, module, path, kind, change):
    changes[change](module)
    _exact_or_refused(TORCH_SOURCES[kind](module, path), _run(module), must_open=change == "nothing")


@pytest.mark.quick_variants(2)
@pytest.mark.filterwarnings("ignore")  # the exporters' own
@pytest.mark.parametrize(("kind", "change"), _rows(TORCH_SOURCES, TORCH_CHANGES))
def test_classifiers_of_torch(tmp_path, kind, change):
    module = onnx_files.net("resnet18")
    _try(TORCH_CHANGES, module, tmp_path, kind, change)


@pytest.mark.quick_variants(1)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "change"), _rows(TORCH_SOURCES, SEGMENTER_CHANGES, unchanged=False))
def test_segmenters_of_torch(tmp_path, kind, change):
    module = onnx_files.net("fcn_resnet50")
    _try(SEGMENTER_CHANGES, module, tmp_path, kind, change)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("kind", ["live", "pickled"])
@pytest.mark.parametrize("change", ["hook", "forward", "training statistics", "frozen class"])
def test_what_modules_hide(tmp_path, kind, change):
    """Hooks and methods of one object are not of its class."""
    module = onnx_files.net("resnet18")
    if change == "hook":
        module.layer1.register_forward_hook(_double)
    elif change == "forward":
        module.layer1[0].forward = module.layer1[0].conv1.forward
    elif change == "training statistics":
        module.bn1.track_running_stats, module.bn1.running_mean, module.bn1.running_var = False, None, None
    else:
        module.layer2[0].__class__ = PlainBlock
    _exact_or_refused(TORCH_SOURCES[kind](module, tmp_path), _run(module))


def _double(module, inputs, output):
    return output * 2


class PlainBlock(nn.Module):
    """A block of a user, with the parts of torchvision's: it leaves the last activation out."""

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return y + self.downsample(x)


# --------------------------------------------------------------------------------------------------------------- Keras


def _edit(names, **settings):
    def edit(name, config):
        if name in names:
            config.update(settings)

    return edit


def _keras_epsilon(name, config):
    if "epsilon" in config:
        config["epsilon"] = 1e-2


def _keras_strides(name, config):
    if name.endswith("block1_1_conv"):
        config["strides"] = (1, 1)
    if name.endswith("block1_2_conv") and not name.startswith("conv2"):
        config["strides"] = (2, 2)


KERAS_CHANGES = {
    "nothing": lambda name, config: None,
    "place of the strides": _keras_strides,
    "stride": _edit({"conv1_conv"}, strides=(1, 1)),
    "padding": _edit({"conv1_pad"}, padding=((2, 2), (2, 2))),
    "padding on one side": _edit({"conv1_pad"}, padding=((2, 4), (2, 4))),
    "padding of a block": _edit({"conv2_block1_2_conv"}, dilation_rate=(2, 2)),
    "dilation": _edit({f"conv5_block{block}_2_conv" for block in (1, 2, 3)}, dilation_rate=(2, 2)),
    "epsilon": _keras_epsilon,
    "epsilon of one layer": _edit({"conv3_block1_2_bn"}, epsilon=1e-1),
    "window of the pooling": _edit({"pool1_pool"}, pool_size=(2, 2)),
    "same": _edit({"pool1_pool"}, padding="same"),
    "activation": _edit({"conv1_relu"}, activation="elu"),
    "activation in a block": _edit({"conv3_block2_1_relu"}, activation="relu6"),
    "activation of a convolution": _edit({"conv4_block2_1_conv"}, activation="relu"),
    "sigmoid after": _edit({"predictions"}, activation="sigmoid"),
    "center": _edit({"conv2_block2_1_bn"}, axis=3, momentum=0.5),
}


def _narrow(config):
    if config.get("filters", 0) >= 64:
        config["filters"] //= 8


@pytest.fixture(scope="module")
def keras_resnet():
    return keras.applications.ResNet50(weights=None, classes=3, input_shape=(64, 96, 3), classifier_activation=None)


def _clone(model, edit):
    def clone(layer):
        config = layer.get_config()
        _narrow(config)
        edit(layer.name, config)
        return type(layer).from_config(config)

    return randomize_weights(keras.models.clone_model(model, clone_function=clone))


@pytest.mark.quick_variants(1)
@pytest.mark.filterwarnings("ignore")  # .h5 is an old format
@pytest.mark.parametrize(("suffix", "change"), _rows([".keras", ".h5"], KERAS_CHANGES))
def test_models_of_keras(tmp_path, keras_resnet, suffix, change):
    model = _clone(keras_resnet, KERAS_CHANGES[change])
    model.save(tmp_path / f"net{suffix}")
    _exact_or_refused(tmp_path / f"net{suffix}", np.asarray(model(IMAGE)), must_open=change in ("nothing", "center"))


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("suffix", "where"), _rows([".keras", ".h5"], ["before", "after", "resized before", "pooling instead"])
)
def test_models_of_keras_with_more_around_them(tmp_path, keras_resnet, suffix, where):
    inner = _clone(keras_resnet, lambda name, config: None)
    layers = {layer.name: layer for layer in inner.layers}
    image = inner.inputs[0]
    if where == "after":
        model = keras.Model(image, keras.layers.Softmax()(inner.outputs[0]))
    elif where == "pooling instead":
        features = layers["conv5_block3_out"].output
        scores = layers["predictions"](keras.layers.GlobalMaxPooling2D()(features))
        model = keras.Model(image, scores)
    else:
        new = keras.Input((64, 96, 3))
        step = keras.layers.Rescaling(1 / 255) if where == "before" else keras.layers.Resizing(64, 96)
        model = keras.Model(new, inner(step(new if where == "before" else keras.layers.UpSampling2D(2)(new))))
    model.save(tmp_path / f"net{suffix}")
    _exact_or_refused(tmp_path / f"net{suffix}", np.asarray(model(IMAGE)))


# ---------------------------------------------------------------------------------------------------------- hub folders


def _smp(**options):
    smp = pytest.importorskip("segmentation_models_pytorch")
    name = options.pop("name", "DeepLabV3")
    return getattr(smp, name)("resnet18", encoder_weights=None, classes=3, **options)


SMP_CHANGES = {
    "nothing": {},
    "stride": {"encoder_output_stride": 16},
    "dilation": {"decoder_atrous_rates": (6, 12, 18)},
    "resize": {"upsampling": 4},
    "softmax after": {"activation": "softmax2d"},
    "sigmoid after": {"activation": "sigmoid"},
    "channels": {"in_channels": 1},
    "PSPNet": {"name": "PSPNet"},
    "PSPNet, upsampling": {"name": "PSPNet", "upsampling": 4},
    "PSPNet, depth": {"name": "PSPNet", "encoder_depth": 4},
    "DeepLabV3+": {"name": "DeepLabV3Plus"},
    "DeepLabV3+, stride": {"name": "DeepLabV3Plus", "encoder_output_stride": 8},
}
HUGGING_FACE_CHANGES = {
    "nothing": {},
    "activation": {"hidden_act": "gelu"},
    "place of the strides": {"downsample_in_bottleneck": True},
    "first stage": {"downsample_in_first_stage": True},
}
TIMM_CHANGES = {
    "resnet18": {},
    "resnet50": {},
    "resnetaa50": {},
    "resnetblur50": {},
    "resnet50_gn": {},
    "seresnet50": {},
}


@pytest.mark.quick_variants(1)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("named", "change"), _rows(["folder", "file"], SMP_CHANGES))
def test_hub_folders_of_smp(tmp_path, change, named):
    options = dict(SMP_CHANGES[change])
    module = randomized_state(_smp(**options))
    module.save_pretrained(tmp_path / "hub")
    image = IMAGE[..., : options.get("in_channels", 3)]
    with torch.no_grad():
        expected = module(torch.from_numpy(image.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
    source = tmp_path / "hub" / ("model.safetensors" if named == "file" else "")
    _exact_or_refused(
        source, expected, must_open=change in ("nothing", "channels", "PSPNet", "DeepLabV3+"), image=image
    )


@pytest.mark.quick_variants("folder-nothing-basic", "file-first stage-basic")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layer_type", ["basic", "bottleneck"])
@pytest.mark.parametrize(("named", "change"), _rows(["folder", "file"], HUGGING_FACE_CHANGES))
def test_hub_folders_of_transformers(tmp_path, change, layer_type, named):
    transformers = pytest.importorskip("transformers")
    sizes = [64, 128, 256, 512] if layer_type == "basic" else [256, 512, 1024, 2048]
    depths = [2, 2, 2, 2] if layer_type == "basic" else [3, 4, 6, 3]
    config = transformers.ResNetConfig(
        depths=depths, hidden_sizes=sizes, layer_type=layer_type, num_labels=3, **HUGGING_FACE_CHANGES[change]
    )
    module = randomized_state(transformers.ResNetForImageClassification(config))
    module.save_pretrained(tmp_path / "hub")
    with torch.no_grad():
        expected = module(torch.from_numpy(IMAGE.transpose(0, 3, 1, 2))).logits.numpy()
    source = tmp_path / "hub" / ("model.safetensors" if named == "file" else "")
    _exact_or_refused(source, expected, must_open=change == "nothing")


@pytest.mark.quick_variants("file-resnetblur50")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("named", "name"), _rows(["folder", "file"], TIMM_CHANGES))
def test_hub_folders_of_timm(tmp_path, name, named):
    timm = pytest.importorskip("timm")
    module = randomized_state(timm.create_model(name, pretrained=False, num_classes=3))
    (tmp_path / "hub").mkdir()
    torch.save(module.state_dict(), tmp_path / "hub" / "pytorch_model.bin")
    config = {"architecture": name, "num_classes": 3, "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (tmp_path / "hub" / "config.json").write_text(json.dumps(config))
    with torch.no_grad():
        expected = module(torch.from_numpy(IMAGE.transpose(0, 3, 1, 2))).numpy()
    source = tmp_path / "hub" / ("pytorch_model.bin" if named == "file" else "")
    _exact_or_refused(source, expected, must_open=name in ("resnet18", "resnet50", "seresnet50"))
