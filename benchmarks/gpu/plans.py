"""What the part "segmenters" trains: three recipes of FCN-8s from ImageNet's VGG16, and DeepLabV3+ on the sample."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Plan:
    """A network and how it is trained.

    Attributes:
        network: name of the network, see `tfseg.build`.
        recipe: name of `tfseg.training.RECIPES`.
        changes: fields of the recipe that are others.
        augmentation: fields of its augmentation that are others.
        options: options of the network.
        weights: what its weights come from: "vgg16" (a file that the user names) or "sample" (the project's own).
        fc_units: whether fc6 and fc7 get the number of units that the command line says.
    """

    network: str
    recipe: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    augmentation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    weights: str = "vgg16"
    fc_units: bool = False


_FCN8S: dict[str, Any] = {"network": "fcn8s", "recipe": "vgg", "options": {"padding": "same"}, "fc_units": True}
_STRONGER = {"scale": (0.6, 1.8), "jitter": 0.3}
PLANS = {
    # The library's recipe for VGG, unchanged.
    "fcn8s_library": Plan(**_FCN8S),
    # A higher rate under moving averages, and more augmentation.
    "fcn8s_averaged": Plan(**_FCN8S, changes={"learning_rate": 6e-5, "ema": 0.998}, augmentation=_STRONGER),
    # The same with a loss that weighs the classes equally, as mean IoU does.
    "fcn8s_lovasz": Plan(
        **_FCN8S,
        changes={"learning_rate": 6e-5, "ema": 0.998, "loss": "cross_entropy+0.5*lovasz"},
        augmentation=_STRONGER,
    ),
    # Narrow, so that the file in float16 is no larger than the sample's 6 MB.
    "deeplabv3plus_sample": Plan(
        "deeplabv3plus_resnet18",
        "poly",
        changes={"learning_rate": 0.01, "ema": 0.998, "loss": "cross_entropy+0.5*lovasz"},
        augmentation=_STRONGER,
        options={"width": 0.5, "output_stride": 8, "filters": 64, "low_level_filters": 16},
        weights="sample",
    ),
}
