"""Keras networks for semantic segmentation that compute what the public PyTorch and Caffe checkpoints compute.

`import tfseg` costs what `import keras` costs, and registers every layer that its models use.
"""

from tfseg import layers, specs
from tfseg.exporting import export
from tfseg.inference import predict, preprocess, read_image
from tfseg.initializers import BilinearInitializer
from tfseg.layers import metadata, set_metadata
from tfseg.nets.deeplab import DeepLabV3
from tfseg.nets.fcn import FCN8s, FCN8sAtOnce, FCN16s, FCN32s
from tfseg.nets.geometry import explain_geometry
from tfseg.nets.heads import FCN
from tfseg.nets.pspnet import PSPNet
from tfseg.nets.registry import build, list_models
from tfseg.nets.resnet import ResNet
from tfseg.nets.vgg import VGG
from tfseg.surgery.checking import check_dilation
from tfseg.surgery.dilation import dilate

__version__ = "0.1.0"

__all__ = [
    "FCN",
    "VGG",
    "BilinearInitializer",
    "DeepLabV3",
    "FCN8s",
    "FCN8sAtOnce",
    "FCN16s",
    "FCN32s",
    "PSPNet",
    "ResNet",
    "build",
    "check_dilation",
    "dilate",
    "explain_geometry",
    "export",
    "layers",
    "list_models",
    "metadata",
    "predict",
    "preprocess",
    "read_image",
    "set_metadata",
    "specs",
]
