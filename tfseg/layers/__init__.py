"""Layers that Keras lacks: sizes known only when an image comes, dilated poolings, and the model's metadata."""

from tfseg.layers.blur_pooling import BlurPooling
from tfseg.layers.crop_like import CropLike
from tfseg.layers.depthwise_transpose import DepthwiseConv2DTranspose
from tfseg.layers.dilated import DensePadding, DilatedPooling, dense_padding
from tfseg.layers.metadata import Metadata
from tfseg.layers.resizing import AdaptiveAveragePooling, Rescale, ResizeLike

__all__ = [
    "AdaptiveAveragePooling",
    "BlurPooling",
    "CropLike",
    "DensePadding",
    "DepthwiseConv2DTranspose",
    "DilatedPooling",
    "Metadata",
    "Rescale",
    "ResizeLike",
    "dense_padding",
]
