"""Keras networks for semantic segmentation that compute what the public PyTorch and Caffe checkpoints compute.

`import tfseg` takes as long as `import keras`, and registers every layer, loss, metric and optimizer that saved
models use. `tfseg.data`, `tfseg.evaluation`, `tfseg.serving` and `tfseg.training` are imported on first use.

It raises Python's recursion limit to 4000: Keras follows a network by a call for every layer in a row, and some public
networks have more than the usual 1000.
"""

import importlib
import sys
from types import ModuleType

from tfseg import layers, losses, metrics, optimizers, specs
from tfseg.engines.compile import compile
from tfseg.exporting import export
from tfseg.images import read_image
from tfseg.initializers import BilinearInitializer
from tfseg.layers.metadata import metadata, set_metadata
from tfseg.loading import load
from tfseg.nets.backbones.densenet import DenseNet
from tfseg.nets.backbones.efficientnet import EfficientNet
from tfseg.nets.backbones.hrnet import HRNet
from tfseg.nets.backbones.mit import MiT
from tfseg.nets.backbones.mobilenet import MobileNetV2, MobileNetV3
from tfseg.nets.backbones.preactivation_resnet import PreActivationResNet
from tfseg.nets.backbones.xception import Xception
from tfseg.nets.decoders.fpn import FPN
from tfseg.nets.decoders.linknet import Linknet
from tfseg.nets.decoders.lraspp import LRASPP
from tfseg.nets.decoders.manet import MAnet
from tfseg.nets.decoders.pan import PAN
from tfseg.nets.decoders.segformer import SegFormer
from tfseg.nets.decoders.segnet import SegNet
from tfseg.nets.decoders.unet import Unet
from tfseg.nets.decoders.unetplusplus import UnetPlusPlus
from tfseg.nets.decoders.upernet import UPerNet
from tfseg.nets.deeplab_vgg import DeepLabLargeFOV, DeepLabV2VGG
from tfseg.nets.deeplabv2 import DeepLabV2
from tfseg.nets.deeplabv3 import DeepLabV3, DeepLabV3Plus
from tfseg.nets.drn import DRN, DRNSeg
from tfseg.nets.fcn import FCN8s, FCN8sAtOnce, FCN16s, FCN32s
from tfseg.nets.fcn_geometry import explain_geometry
from tfseg.nets.heads import FCN
from tfseg.nets.plain_segnet import PlainSegNet
from tfseg.nets.plain_unet import PlainUnet
from tfseg.nets.pspnet import PSPNet
from tfseg.nets.registry import build, list_models
from tfseg.nets.resnet import ResNet
from tfseg.nets.vgg import VGG
from tfseg.prediction.files import predict_files
from tfseg.prediction.model import predict
from tfseg.preprocessing import preprocess
from tfseg.rewrites.optimize import optimize
from tfseg.surgery.adapt_channels import adapt_channels
from tfseg.surgery.check_dilation import check_dilation
from tfseg.surgery.convolutionalize import convolutionalize
from tfseg.surgery.dilate import dilate
from tfseg.surgery.last_maps import last_maps
from tfseg.surgery.renew_head import renew_head
from tfseg.triton import keep_triton_out

__version__ = "0.1.0"

sys.setrecursionlimit(max(4000, sys.getrecursionlimit()))

keep_triton_out()

__all__ = [
    "DRN",
    "FCN",
    "FPN",
    "LRASPP",
    "PAN",
    "VGG",
    "BilinearInitializer",
    "DRNSeg",
    "DeepLabLargeFOV",
    "DeepLabV2",
    "DeepLabV2VGG",
    "DeepLabV3",
    "DeepLabV3Plus",
    "DenseNet",
    "EfficientNet",
    "FCN8s",
    "FCN8sAtOnce",
    "FCN16s",
    "FCN32s",
    "HRNet",
    "Linknet",
    "MAnet",
    "MiT",
    "MobileNetV2",
    "MobileNetV3",
    "PSPNet",
    "PlainSegNet",
    "PlainUnet",
    "PreActivationResNet",
    "ResNet",
    "SegFormer",
    "SegNet",
    "UPerNet",
    "Unet",
    "UnetPlusPlus",
    "Xception",
    "adapt_channels",
    "build",
    "check_dilation",
    "compile",
    "convolutionalize",
    "dilate",
    "explain_geometry",
    "export",
    "last_maps",
    "layers",
    "list_models",
    "load",
    "losses",
    "metadata",
    "metrics",
    "optimize",
    "optimizers",
    "predict",
    "predict_files",
    "preprocess",
    "read_image",
    "renew_head",
    "set_metadata",
    "specs",
]

_IMPORTED_ON_USE = ("data", "evaluation", "serving", "training")


def __getattr__(name: str) -> ModuleType:
    if name in _IMPORTED_ON_USE:
        return importlib.import_module(f"tfseg.{name}")
    raise AttributeError(f"module 'tfseg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_IMPORTED_ON_USE})
