"""The networks that are measured: tfseg's, and the public ones in PyTorch that compute the same function."""

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import torch

NETWORKS = ("fcn_resnet50", "fcn8s")
CLASSES = 21
TINY_BLOCKS, TINY_WIDTH = (1, 1, 1, 1), 1 / 16


@dataclasses.dataclass(frozen=True)
class Case:
    """What is measured at a time.

    Attributes:
        task: "training" or "inference".
        network: a name of `NETWORKS`.
        precision: "bfloat16" (mixed), "tf32" (float32 with TF32 allowed) or "float32" (TF32 off).
        batch: images in a step.
        size: height and width of an image, in pixels.
        tiny: whether the networks are short or narrow, to try the benchmark on a CPU.
    """

    task: str
    network: str
    precision: str
    batch: int
    size: int
    tiny: bool = False

    def entries(self) -> dict[str, Any]:
        """The case as entries of a record."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "task"}


def keras_network(name: str, tiny: bool) -> "keras.Model":
    """The network of tfseg.

    Args:
        name: a name of `NETWORKS`.
        tiny: whether it is short or narrow.
    """
    import tfseg

    if name == "fcn8s":
        return tfseg.FCN8s(CLASSES, width=TINY_WIDTH if tiny else 1.0)
    spec = tfseg.specs.RESNETS["resnet50"]
    spec = dataclasses.replace(spec, blocks=TINY_BLOCKS) if tiny else spec
    return tfseg.FCN(tfseg.ResNet(spec, output_stride=8), CLASSES)


def torch_network(name: str, tiny: bool) -> "torch.nn.Module":
    """The same network of torchvision, or of torchfcn; it maps images `(batch, 3, height, width)` to logits.

    Args:
        name: a name of `NETWORKS`.
        tiny: whether it is short or narrow.
    """
    from helpers.references import narrow_vgg, torchfcn_models

    if name == "fcn8s":
        module = torchfcn_models().FCN8s(CLASSES)
        return narrow_vgg(module, TINY_WIDTH) if tiny else module
    return _with_logits(_fcn_resnet50(tiny))


def _fcn_resnet50(tiny: bool) -> "torch.nn.Module":
    from helpers.torchvision_cpu import import_torchvision

    models = import_torchvision().models
    if not tiny:
        return models.segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)
    dilated = [False, True, True]
    trunk = models.resnet.ResNet(models.resnet.Bottleneck, list(TINY_BLOCKS), replace_stride_with_dilation=dilated)
    trunk = models._utils.IntermediateLayerGetter(trunk, {"layer4": "out"})
    return models.segmentation.FCN(trunk, models.segmentation.fcn.FCNHead(2048, CLASSES))


def _with_logits(segmenter: "torch.nn.Module") -> "torch.nn.Module":
    """A module that returns the logits alone."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.segmenter = segmenter

        def forward(self, images: Any) -> Any:
            return self.segmenter(images)["out"]

    return Logits()
