"""Files as people make them of public networks: cut, wrapped, renamed, with other heads, or exported."""

import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from helpers import wrapped_files
from helpers.file_forms import PublicFile, State, archive, named, openmmlab
from helpers.public_networks import drawn
from helpers.renamed_states import google_names, mmpretrain_names, openai_names
from helpers.torchvision_cpu import import_torchvision

_SIZE = (128, 160)


def _resnet18(**options: Any) -> Any:
    return import_torchvision().models.resnet18(weights=None, **options)


def _resnet50(**options: Any) -> Any:
    return import_torchvision().models.resnet50(weights=None, **options)


def _trunk_of(module: Any) -> Any:
    """The module without its pooling and its last layer: a file of a trunk gives its map."""
    import torch

    return torch.nn.Sequential(*list(module.children())[:-2])


def _one_channel() -> Any:
    import torch

    module = _resnet18(num_classes=4)
    module.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return module


def _dropout_before_the_classes() -> Any:
    import torch

    module = _resnet18(num_classes=4)
    module.fc = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(512, 4))
    return module


def _vgg_features() -> Any:
    return import_torchvision().models.vgg16_bn(weights=None).features


def _as_is(state: State) -> Any:
    return dict(state)


def _user_file(
    name: str,
    build: Callable[[], Any],
    form: Callable[[State], Any] = _as_is,
    *,
    has_head: bool = True,
    package: str = "people's ResNet-18",
    **fields: Any,
) -> PublicFile:
    def make() -> tuple[Any, Any]:
        module = drawn(build().eval(), 0).requires_grad_(False)
        content = form(module.state_dict())
        return module if has_head else _trunk_of(module), content

    return PublicFile(package, name, make, **fields)


def _places(arch: str, state: State) -> Any:
    return {"arch": arch, "epoch": 90, "state_dict": wrapped_files.under("module.", state), "best_prec1": 56.0}


def _mmpretrain(state: State) -> Any:
    """mmpretrain's trunk, and a head of other names beside it."""
    return openmmlab(
        {key.replace("head.fc.", "head.classifier."): value for key, value in mmpretrain_names(state).items()}
    )


def _queries_and_keys(state: State) -> Any:
    """What MoCo's trainer keeps: two networks and a queue."""
    keys = wrapped_files.under("encoder_k.", state)
    return keys | _beside({"queue": (128, 16), "queue_ptr": (1,)}, "encoder_q.", state)


def _arrays(module: Any, content: Any, folder: pathlib.Path) -> State:
    """No file: arrays by name, as a program has them after it renamed them."""
    return {key: value.numpy() for key, value in content.items() if not key.endswith("num_batches_tracked")}


def _without(state: State, *parts: str) -> State:
    return {key: value for key, value in state.items() if not key.startswith(parts)}


def _lightning(prefix: str, state: State) -> Any:
    body = wrapped_files.under(prefix, _without(state, "fc."))
    return {"state_dict": body, "hyper_parameters": {}, "pytorch-lightning_version": "2.4.0"}


def _reference(state: State) -> Any:
    """What torchvision's reference scripts keep, averages among it."""
    import torch

    average = wrapped_files.under("module.", state) | {"n_averaged": torch.tensor(7)}
    return {"model": dict(state), "model_ema": average, "optimizer": {"state": {}, "param_groups": []}, "epoch": 3}


def _beside(beside: Mapping[str, tuple[int, ...]], prefix: str, state: State) -> State:
    import torch

    return wrapped_files.under(prefix, state) | {key: torch.ones(shape) for key, shape in beside.items()}


def _whole(module: Any, content: Any, folder: pathlib.Path) -> pathlib.Path:
    import torch

    torch.save(module, folder / "net.pth")
    return folder / "net.pth"


def _traced(module: Any, content: Any, folder: pathlib.Path) -> pathlib.Path:
    import torch

    torch.jit.save(torch.jit.trace(module, torch.zeros(1, 3, *_SIZE)), str(folder / "net.pt"))
    return folder / "net.pt"


def _exported(module: Any, content: Any, folder: pathlib.Path) -> pathlib.Path:
    import torch

    sides = {2: torch.export.Dim("height", min=64), 3: torch.export.Dim("width", min=64)}
    program = torch.export.export(module, (torch.zeros(2, 3, *_SIZE),), dynamic_shapes=({**sides},))
    torch.export.save(program, folder / "net.pt2")
    return folder / "net.pt2"


def _resnets() -> Iterator[PublicFile]:
    for arch, build in (("resnet18", _resnet18), ("resnet50", _resnet50)):
        form = functools.partial(_places, arch)
        package = f"people's ResNet-{arch[-2:]}"
        yield _user_file("Places365", functools.partial(build, num_classes=365), form, package=package)
    yield _user_file("torch.save of the module", _resnet18, save=_whole)
    yield _user_file("TorchScript", _resnet18, save=_traced)
    yield _user_file("torch.export", _resnet18, save=_exported)
    yield _user_file("model and model_ema", _resnet18, _reference)
    yield _user_file("one channel and four classes", _one_channel, channels=1)
    yield _user_file("a dropout before the classes", _dropout_before_the_classes)
    for prefix in ("backbone.", "encoder."):
        form = functools.partial(_lightning, prefix)
        yield _user_file(f"Lightning with {prefix} without classes", _resnet18, form, has_head=False)
    form = functools.partial(_beside, {"module.prototypes.weight": (30, 16)}, "module.")
    yield _user_file("skip=prototypes", _resnet18, form, options={"skip": ["prototypes"]})
    form = functools.partial(_beside, {"model.criterion.weight": (3,)}, "model.")
    yield _user_file("skip=criterion", _resnet18, form, options={"skip": ["criterion"]})
    form = functools.partial(_beside, {"n_averaged": ()}, "module.")
    yield _user_file("skip=n_averaged", _resnet18, form, options={"skip": ["n_averaged"]})
    skip = {"skip": ["encoder_k", "queue"]}
    yield _user_file("skip=encoder_k and queue", _resnet18, _queries_and_keys, has_head=False, options=skip)
    yield _user_file("skip=head", _resnet18, _mmpretrain, has_head=False, options={"skip": ["head"]})
    yield _user_file("arrays by name", _resnet18, save=_arrays)
    yield _user_file("features alone", _vgg_features, package="people's VGG16-BN")


# ----------------------------------------------------------------------------------------------------------- CLIP, BiT


def _clip(stripped: bool) -> tuple[Any, Any]:
    import_torchvision()
    import timm

    module = drawn(timm.create_model("resnet50_clip_gap", pretrained=False, num_classes=0).eval(), 0)
    content = openai_names(module.state_dict())
    if stripped:
        content = {key.removeprefix("visual."): value for key, value in content.items() if key.startswith("visual.")}
    return module.requires_grad_(False), content


def _big_transfer() -> tuple[Any, Any]:
    import_torchvision()
    import timm

    module = drawn(timm.create_model("resnetv2_50x1_bit", pretrained=False, num_classes=5).eval(), 0)
    return module.requires_grad_(False), google_names(module.state_dict())


# ----------------------------------------------------------------------------------------------------------------- smp


def _smp(decoder: str = "DeepLabV3Plus", **options: Any) -> Any:
    import_torchvision()
    import segmentation_models_pytorch

    return getattr(segmentation_models_pytorch, decoder)("resnet18", encoder_weights=None, classes=3, **options)


def _smp_file(name: str, form: Callable[[State], Any] = _as_is, *, decoder: str = "DeepLabV3Plus", **fields: Any):
    options = fields.pop("build", {})
    build = functools.partial(_smp, decoder, **options)
    return _user_file(name, build, form, package="smp", **fields)


def _saved_folder(module: Any, content: Any, folder: pathlib.Path) -> pathlib.Path:
    module.save_pretrained(folder / "net")
    return folder / "net"


def _saved_tensors(module: Any, content: Any, folder: pathlib.Path) -> pathlib.Path:
    return _saved_folder(module, content, folder) / "model.safetensors"


def _smp_files() -> Iterator[PublicFile]:
    form = functools.partial(_beside, {"loss.weight": (3,)}, "model.")
    yield _smp_file("DeepLabV3Plus-resnet18 with a loss", form)
    yield _smp_file("DeepLabV3Plus-resnet18 save_pretrained", save=_saved_folder)
    yield _smp_file("DeepLabV3Plus-resnet18 model.safetensors", save=_saved_tensors)
    yield _smp_file("PSPNet-resnet18 classification_head", decoder="PSPNet", build={"aux_params": {"classes": 4}})


USER_FILES = (
    *_resnets(),
    PublicFile("OpenAI", "RN50", functools.partial(_clip, False), named("RN50.pt")),
    PublicFile("OpenAI", "RN50 without visual.", functools.partial(_clip, True)),
    PublicFile("google-research", "BiT-M-R50x1.npz", _big_transfer, archive("BiT-M-R50x1.npz")),
    *_smp_files(),
)
