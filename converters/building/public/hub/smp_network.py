"""Networks of segmentation_models_pytorch: config.json has the class and its arguments.

Reference: https://github.com/qubvel-org/segmentation_models.pytorch: base/hub_mixin.py and encoders/__init__.py.
"""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from converters.building.public.hub.hub_network import HubNetwork
from converters.errors import ConversionError
from converters.identification.statements.preprocessing import stated_preprocessing
from tfseg import specs

# Encoders whose ImageNet weights take images as torchvision's networks do. Others have numbers of their own.
_USUAL_IMAGES = re.compile(
    r"(resnet|resnext|densenet|vgg|se_resne|senet|efficientnet-b|mobilenet_v2|mit_b|mobileone_s)\w*"
)
# Of earlier versions; the library itself reads them.
_OLD_ARGUMENTS = {"decoder_use_batchnorm", "psp_use_batchnorm"}


def smp_network(config: Mapping[str, Any]) -> HubNetwork:
    """The network that a configuration of segmentation_models_pytorch says.

    Args:
        config: content of the file: `_model_class`, and arguments of that class.
    """
    return HubNetwork(
        package="segmentation_models_pytorch",
        requirement="segmentation-models-pytorch",
        architecture=f"{config['_model_class']} with encoder_name {config.get('encoder_name', 'resnet34')!r}",
        make=lambda: _create(config),
        load=lambda state: _loaded(config, state),
        preprocessing=_preprocessing(str(config.get("encoder_name", "resnet34"))),
        says="its encoder",
    )


def _create(config: Mapping[str, Any]) -> Any:
    import segmentation_models_pytorch as smp
    from segmentation_models_pytorch.base import SegmentationModel

    kind = getattr(smp, str(config["_model_class"]), None)
    if not (isinstance(kind, type) and issubclass(kind, SegmentationModel)):
        raise ConversionError(
            f"config.json names the class {config['_model_class']!r}, which segmentation_models_pytorch "
            f"{smp.__version__} does not have. Another version may have it: pip install --upgrade "
            "segmentation-models-pytorch."
        )
    arguments = {name: value for name, value in config.items() if not name.startswith("_")}
    known = {*inspect.signature(kind).parameters} | _OLD_ARGUMENTS
    strange = [name for name, value in arguments.items() if name not in known and value is not None]
    # Networks take further arguments and pass them on to encoders of timm. Others leave them out in silence.
    if strange and not str(arguments.get("encoder_name")).startswith("tu-"):
        raise ConversionError(
            f"config.json has the argument {strange[0]}={arguments[strange[0]]!r}, which {config['_model_class']} of "
            f"segmentation_models_pytorch {smp.__version__} does not have. Another version may have it: pip install "
            "--upgrade segmentation-models-pytorch."
        )
    return kind(**{**arguments, "encoder_weights": None})


def _loaded(config: Mapping[str, Any], state: dict[str, Any]) -> Any:
    module = _create(config)
    module.load_state_dict(state)
    return module.state_dict()


def _preprocessing(encoder: str) -> Mapping[str, Any] | None:
    """What the images are for the encoder's ImageNet weights, where that is known without asking a hub."""
    if _USUAL_IMAGES.fullmatch(encoder):
        return specs.PREPROCESSING["torch"]
    if not encoder.startswith("tu-"):
        return None
    try:
        import timm

        known = timm.models.get_pretrained_cfg(encoder.removeprefix("tu-"))
    except (ImportError, RuntimeError):  # no timm; no such network
        return None
    return stated_preprocessing(known.mean, known.std) if known is not None else None
