"""Networks by name."""

import functools

from tfseg import specs
from tfseg.nets.deeplab import RATES, DeepLabV3
from tfseg.nets.fcn import FCN8s, FCN8sAtOnce, FCN16s, FCN32s
from tfseg.nets.heads import FCN
from tfseg.nets.resnet import ResNet
from tfseg.nets.vgg import VGG


def build(name, **options):
    """A network by its name: `build("fcn_resnet50", num_classes=21, output_stride=16)`.

    Args:
        name: one of `list_models()`. "vgg16_bn" is `VGG`, "resnet50" `ResNet`, "fcn32s" `FCN32s`; "fcn_resnet50" is
            `FCN` and
            "deeplabv3_resnet50" `DeepLabV3` on a ResNet of output stride 8.
        options: of the function behind the name; a segmenter passes on those of its backbone.
    Raises:
        ValueError: an unknown name; TypeError: an option that the function lacks.
    """
    if name not in _BUILDERS:
        raise ValueError(f"Unknown network: {name!r}. tfseg.list_models() names the {len(_BUILDERS)} known ones.")
    return _BUILDERS[name](**options)


def list_models():
    """The names that `build` takes, sorted."""
    return sorted(_BUILDERS)


def _fcn(spec, *, num_classes=21, aux=False, output_stride=8, name=None, **options):
    return FCN(ResNet(spec, output_stride=output_stride, **options), num_classes, aux, name=name)


def _deeplabv3(spec, *, num_classes=21, aux=False, output_stride=8, name=None, **options):
    backbone = ResNet(spec, output_stride=output_stride, **options)
    return DeepLabV3(backbone, num_classes, aux, rates=RATES.get(output_stride, RATES[8]), name=name)


_BUILDERS = (
    {name: functools.partial(VGG, depth, batch_norm=bn) for name, (depth, bn) in specs.VGGS.items()}
    | {name: functools.partial(ResNet, name) for name in specs.RESNETS}
    | {f"fcn_{name}": functools.partial(_fcn, name) for name in specs.RESNETS}
    | {f"deeplabv3_{name}": functools.partial(_deeplabv3, name) for name in specs.RESNETS}
    | dict(zip(specs.FCNS, (FCN32s, FCN16s, FCN8s, FCN8sAtOnce), strict=True))
)
