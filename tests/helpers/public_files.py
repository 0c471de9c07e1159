"""Files as the public hands them round: networks of public packages, and the wrappings of trainers and users.

A row says which network, and in which form its tensors are saved. All weights are random. `helpers.file_census` opens
each file alone, without the package, and compares.
"""

import copy
from collections.abc import Callable
from typing import Any

from helpers import wrapped_files
from helpers.file_forms import PublicFile, State, named, openmmlab, twin
from helpers.framework_files import FRAMEWORK_FILES, FrameworkFile
from helpers.public_networks import PublicNetwork, build_public_network, drawn
from helpers.renamed_states import detectron2_names, mmpretrain_names
from helpers.repository_files import REPOSITORY_FILES
from helpers.torchvision_cpu import import_torchvision
from helpers.user_files import USER_FILES


def _half(state: State) -> State:
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


def _lightning(state: State) -> Any:
    import torch

    beside = {"mean": torch.ones(1, 3, 1, 1), "std": torch.ones(1, 3, 1, 1), "loss_fn.weight": torch.ones(3)}
    return {"state_dict": wrapped_files.under("model.", state) | beside, "pytorch-lightning_version": "2.4.0"}


def _network(package: str, name: str, form: Callable[[State], Any] = dict, label: str = "") -> PublicFile:
    def make() -> tuple[Any, Any]:
        module = build_public_network(
            PublicNetwork("torchvision" if package in ("detectron2", "mmpretrain") else package, name)
        )
        drawn(module, 0)
        content = form(module.state_dict())
        if form is _half:
            module.half().float()  # what the file holds, in the type in which both compute
        return module, content

    # As it is published: timm's names say which of two networks with the same tensors it is.
    title = {"detectron2": label, "timm": f"{name}.pth"}.get(package, "net.pth")
    return PublicFile(package, label or name, make, named(title))


def _wrapped(label: str, content: Any, has_head: bool) -> PublicFile:
    def make() -> tuple[Any, Any]:
        import torch

        module = import_torchvision().models.resnet18(num_classes=3)
        module.load_state_dict(wrapped_files.resnet())
        if not has_head:
            module = torch.nn.Sequential(*list(module.children())[:-2])
        return module.eval(), copy.deepcopy(content)

    return PublicFile("ResNet-18 in", label, make)


def _mobilenet_deeplab() -> Any:
    """transformers' DeepLabV3 with the output stride of Google's files."""
    import_torchvision()
    import transformers

    return transformers.MobileNetV2ForSemanticSegmentation(transformers.MobileNetV2Config(output_stride=8))


def _classifier(kind: str) -> Any:
    """A classifier of transformers as it is by default."""
    import_torchvision()
    import transformers

    return getattr(transformers, f"{kind}ForImageClassification")(getattr(transformers, f"{kind}Config")(num_labels=5))


def _rows(package: str, names: str) -> list[PublicFile]:
    return [_network(package, name) for name in names.split()]


FILES: list[PublicFile | FrameworkFile] = [
    *_rows(
        "torchvision", "resnet18 resnet50 resnext50_32x4d wide_resnet50_2 vgg11_bn alexnet squeezenet1_1 densenet121"
    ),
    *_rows("torchvision", "mobilenet_v2 mobilenet_v3_small mobilenet_v3_large efficientnet_b0 efficientnet_v2_s"),
    *_rows("torchvision", "regnet_y_400mf shufflenet_v2_x1_0 mnasnet1_0 googlenet inception_v3 convnext_tiny swin_t"),
    *_rows("torchvision", "vit_b_32"),
    *_rows("torchvision.segmentation", "fcn_resnet50 deeplabv3_resnet50 deeplabv3_mobilenet_v3_large"),
    *_rows("torchvision.segmentation", "lraspp_mobilenet_v3_large"),
    *[_wrapped(name, content, True) for name, content in wrapped_files.CLASSIFIERS.items()],
    *[_wrapped(name, content, False) for name, content in wrapped_files.TRUNKS.items()],
    _network("torchvision", "resnet18", _half, "resnet18 in float16"),
    _network("detectron2", "resnet50", detectron2_names, "R-50.pkl"),
    *_rows("timm", "resnetaa50 resnetblur18 resnet26 resnext50d_32x4d resnet50_clip_gap resnetv2_50 res2net50_26w_4s"),
    *_rows("timm", "resnet50_clip legacy_seresnet18 legacy_senet154"),
    *_rows("timm", "legacy_seresnet50 seresnet50 resnest14d resnetrs50 tf_efficientnet_b0 efficientnet_b0"),
    *_rows("timm", "mobilenetv2_100 hrnet_w18 xception41 resnetv2_50x1_bit convnext_tiny"),
    *_rows("smp", "Unet-resnet18 UnetPlusPlus-resnet18 FPN-resnet18 PAN-resnet18 Linknet-resnet18 MAnet-resnet18"),
    *_rows("smp", "PSPNet-resnet18 DeepLabV3-resnet18 DeepLabV3Plus-resnet18 UPerNet-resnet18 Segformer-resnet18"),
    *_rows("smp", "Unet-resnet34 Unet-vgg16_bn Unet-mobilenet_v2 Unet-efficientnet-b0 Unet-mit_b0"),
    *_rows("smp", "Unet-timm-efficientnet-b0 Unet-se_resnet50 Unet-resnext50_32x4d Unet-densenet121 Unet-tu-resnet34"),
    *_rows("smp", "DeepLabV3Plus-resnet50 DeepLabV3Plus-resnext50_32x4d DeepLabV3Plus-resnext101_32x8d"),
    *_rows("smp", "DeepLabV3Plus-mobilenet_v2"),
    *_rows("smp", "DeepLabV3Plus-efficientnet-b0 DeepLabV3Plus-timm-efficientnet-b0 DeepLabV3Plus-se_resnet50"),
    *_rows("smp", "DeepLabV3Plus-se_resnext50_32x4d DeepLabV3Plus-timm-resnest50d DeepLabV3Plus-mit_b0"),
    *_rows("smp", "DeepLabV3Plus-tu-resnet50 DeepLabV3Plus-tu-resnet50d DeepLabV3Plus-timm-regnetx_002"),
    _network("smp", "DeepLabV3Plus-resnet18", _lightning, "DeepLabV3Plus-resnet18 in Lightning"),
    *_rows("transformers", "segformer upernet-convnext"),
    twin("transformers", "mobilenetv2-deeplab", _mobilenet_deeplab),
    twin("transformers", "resnet-50", lambda: _classifier("ResNet")),
    twin("transformers", "mobilenet_v2_1.0_224", lambda: _classifier("MobileNetV2")),
    *_rows("papers", "BiSeNet ENet SegNet"),
    _network("mmpretrain", "resnet50", lambda state: openmmlab(mmpretrain_names(state))),
    *USER_FILES,
    *REPOSITORY_FILES,
    *FRAMEWORK_FILES,
]
