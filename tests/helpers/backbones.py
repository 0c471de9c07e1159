"""`tfseg`'s light and newer backbones beside the public networks: how to build both, at their size or tiny."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from helpers.references import filled_module, randomized_state, timm_net, torchvision_net
from helpers.torchvision_cpu import import_torchvision

import tfseg
from converters.families import further_trunks, light_trunks
from converters.families.pytorch import timm_light, torchvision_light
from converters.families.trunks import trunk
from converters.names.tables import Row
from tfseg import specs

CLASSES = 7
CLASSIFIER = (("classifier", "predictions", "dense"),)
MOBILENET_V2 = (*light_trunks.mobilenet_v2(), ("classifier.1", "predictions", "dense"))
TIMM_EFFICIENTNET = (*light_trunks.timm_efficientnet(), *CLASSIFIER)
DENSENET = (*light_trunks.densenet(), *CLASSIFIER)
HRNET = (*further_trunks.hrnet(), *further_trunks.hrnet_top())


def mobilenet_v3(name):
    """The rows of torchvision's MobileNetV3 with its classifier."""
    return (*torchvision_light.mobilenet_v3(name, "features."), *torchvision_light.MOBILENET_V3_TOP)


class Pair(NamedTuple):
    """A backbone and its reference.

    Attributes:
        ours: builder of the classifier, with options.
        public: builder of the torch module in evaluation mode, its weights far from the defaults.
        names: rows of `converters.names.tables`.
        features: torch function of module and image: the map that the classifier averages.
        multiple: what image sizes must be a multiple of.
    """

    ours: Callable[..., keras.Model]
    public: Callable[..., Any]
    names: Sequence[Row]
    features: Callable[[Any, Any], Any]
    multiple: int = 1


def torchvision_features(module, image):
    """The last map of a MobileNet or EfficientNet of torchvision."""
    return module.features(image)


def timm_features(module, image):
    """The last map of a timm network."""
    return module.forward_features(image)


def segformer_features(module, image):
    """The last map of transformers' SegFormer."""
    return module.segformer(image).last_hidden_state


def torchvision_pair(ours, name, names, **options):
    """A pair with a network of torchvision."""
    return Pair(
        ours, functools.partial(torchvision_net, name, num_classes=CLASSES, **options), names, torchvision_features
    )


def timm_pair(ours, name, names, multiple=1, **options):
    """A pair with a network of timm."""
    public = functools.partial(timm_net, name, num_classes=CLASSES, **options)
    return Pair(ours, public, names, timm_features, multiple)


def segformer(spec):
    """transformers' SegFormer classifier with the numbers of a `MiTSpec`."""
    import_torchvision()
    transformers = pytest.importorskip("transformers")
    config = transformers.SegformerConfig(
        depths=list(spec.blocks), hidden_sizes=list(spec.filters), num_labels=CLASSES, drop_path_rate=spec.dropped
    )
    module = transformers.SegformerForImageClassification(config)
    module.forward = functools.partial(_logits, module)
    return randomized_state(module).requires_grad_(False)


def _logits(module, image):
    return type(module).forward(module, image).logits


def mit_pair(spec):
    """A pair with transformers' SegFormer, whose norms have another epsilon than the authors'."""
    as_transformers = dataclasses.replace(spec, epsilon=1e-5)
    return Pair(
        functools.partial(tfseg.MiT, as_transformers),
        functools.partial(segformer, spec),
        (*light_trunks.transformers_mit("segformer."), *CLASSIFIER),
        segformer_features,
    )


TINY_MIT = specs.MiTSpec((8, 16, 40, 64), (1, 1, 2, 1))
TINY_HRNET = specs.HRNetSpec(4, tuple(specs.HRNetStage(modules, 1) for modules in (1, 1, 1)), first_blocks=1)


TINY_EFFICIENTNET = specs.EfficientNetSpec(1 / 8, 0.3, 0.2, 1e-3, padding="same")


def tiny_efficientnet_public():
    """timm's EfficientNet with the numbers of `TINY_EFFICIENTNET`, by the function that makes its own of all sizes."""
    import_torchvision()
    models = pytest.importorskip("timm.models.efficientnet")
    options = {"channel_multiplier": 1 / 8, "depth_multiplier": 0.3, "pad_type": "same", "bn_eps": 1e-3}
    build = functools.partial(models._gen_efficientnet, "tf_efficientnet_b0", num_classes=CLASSES, **options)
    return filled_module(build, 0, 1.0)


TINY_DENSENET = specs.DenseNetSpec((2, 1, 2, 1), growth=8, filters=16)


def tiny_densenet_public():
    """torchvision's DenseNet with the numbers of `TINY_DENSENET`."""
    build, numbers = import_torchvision().models.DenseNet, TINY_DENSENET
    return filled_module(
        build,
        0,
        1.0,
        growth_rate=numbers.growth,
        block_config=numbers.layers,
        num_init_features=numbers.filters,
        num_classes=CLASSES,
    )


def densenet_features(module, image):
    """The last map of torchvision's DenseNet, after its ReLU."""
    return module.features(image).relu()


def tiny_hrnet_public():
    """timm's HRNet with the numbers of `TINY_HRNET`."""
    stages = {
        f"stage{branches}": {
            "num_modules": modules,
            "num_branches": branches,
            "block_type": "BASIC",
            "num_blocks": (1,) * branches,
            "num_channels": tuple(4 * 2**branch for branch in range(branches)),
            "fuse_method": "SUM",
        }
        for branches, modules in ((2, 1), (3, 1), (4, 1))
    }
    stages["stage1"] = {
        "num_modules": 1,
        "num_branches": 1,
        "block_type": "BOTTLENECK",
        "num_blocks": (1,),
        "num_channels": (64,),
        "fuse_method": "SUM",
    }
    return timm_net("hrnet_w18", num_classes=CLASSES, **stages)


def _efficientnet(name, public_rows):
    return functools.partial(tfseg.EfficientNet, name), name, public_rows(specs.EFFICIENTNETS[name])


def _resnet(name):
    return timm_pair(
        functools.partial(tfseg.ResNet, name),
        name,
        [*trunk(specs.RESNETS[name]), ("fc", "predictions", "dense")],
    )


# What `make test` compares: tiny, or small of its own.
SMALL: dict[str, Pair] = {
    "mobilenet_v3_small": torchvision_pair(
        functools.partial(tfseg.MobileNetV3, "small"), "mobilenet_v3_small", mobilenet_v3("mobilenet_v3_small")
    ),
    "tf_efficientnet": Pair(
        functools.partial(tfseg.EfficientNet, TINY_EFFICIENTNET),
        tiny_efficientnet_public,
        TIMM_EFFICIENTNET,
        timm_features,
    ),
    "mit": mit_pair(TINY_MIT),
    "hrnet": Pair(functools.partial(tfseg.HRNet, TINY_HRNET), tiny_hrnet_public, HRNET, timm_features, 32),
    "densenet": Pair(
        functools.partial(tfseg.DenseNet, TINY_DENSENET), tiny_densenet_public, DENSENET, densenet_features
    ),
    "resnetv2_18": timm_pair(
        functools.partial(tfseg.PreActivationResNet, "resnetv2_18"), "resnetv2_18", further_trunks.resnetv2()
    ),
}
FULL: dict[str, Pair] = {
    "mobilenet_v2": torchvision_pair(tfseg.MobileNetV2, "mobilenet_v2", MOBILENET_V2),
    "mobilenet_v2 of a quarter": torchvision_pair(
        functools.partial(tfseg.MobileNetV2, width=1 / 4), "mobilenet_v2", MOBILENET_V2, width_mult=1 / 4
    ),
    "mobilenet_v3_large": torchvision_pair(
        functools.partial(tfseg.MobileNetV3, "large"), "mobilenet_v3_large", mobilenet_v3("mobilenet_v3_large")
    ),
    **{
        f"efficientnet_b{index}": torchvision_pair(
            *_efficientnet(f"efficientnet_b{index}", torchvision_light.efficientnet)
        )
        for index in range(8)
    },
    **{
        f"tf_efficientnet_b{index}": timm_pair(*_efficientnet(f"tf_efficientnet_b{index}", lambda _: TIMM_EFFICIENTNET))
        for index in range(8)
    },
    **{name: mit_pair(spec) for name, spec in specs.MITS.items()},
    **{
        name: Pair(
            functools.partial(tfseg.DenseNet, name),
            functools.partial(torchvision_net, name, num_classes=CLASSES),
            DENSENET,
            densenet_features,
        )
        for name in specs.DENSENETS
    },
    **{name: timm_pair(functools.partial(tfseg.HRNet, name), name, HRNET, 32) for name in specs.HRNETS},
    **{
        name: timm_pair(functools.partial(tfseg.Xception, name), name, further_trunks.xception())
        for name in specs.XCEPTIONS
    },
    **{
        name: timm_pair(functools.partial(tfseg.PreActivationResNet, name), name, further_trunks.resnetv2())
        for name in ("resnetv2_34", "resnetv2_50", "resnetv2_101", "resnetv2_152")
    },
    **{
        name: _resnet(name)
        for name in specs.RESNETS
        if name in ("resnet26", "resnet26d", "resnext50d_32x4d") or name.startswith(("resnetrs", "res2n"))
    },
    "resnet50_clip": timm_pair(
        functools.partial(tfseg.ResNet, "resnet50_clip"), "resnet50_clip_gap", timm_light.CLIP_ROWS, 32
    ),
    "resnet101_clip": timm_pair(
        functools.partial(tfseg.ResNet, "resnet101_clip"), "resnet101_clip_gap", timm_light.CLIP_ROWS, 32
    ),
}


def with_last_map(model: keras.Model) -> keras.Model:
    """The classifier that also returns the map that it averages: `[map, logits]`."""
    (pool,) = [layer for layer in model.layers if layer.name in ("avg_pool", "pool1")]
    return keras.Model(model.input, [pool.input, model.output])


def torch_map(features, module, pixels) -> np.ndarray:
    """`features(module, image)` for pixels `(batch, height, width, channels)`, with the channels last again."""
    import torch

    with torch.no_grad():
        result = features(module, torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))))
    return result.permute(0, 2, 3, 1).numpy()
