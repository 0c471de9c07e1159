"""Layers that Keras lacks: sizes known only when an image comes, dilated poolings, and the model's metadata."""

from tfseg.layers.blur_pooling import BlurPooling
from tfseg.layers.crop_like import CropLike
from tfseg.layers.depthwise_transpose import DepthwiseConv2DTranspose
from tfseg.layers.dilated import DensePadding, DilatedPooling, dense_padding
from tfseg.layers.group_normalization import GroupNormalization
from tfseg.layers.join_weight import JoinWeight
from tfseg.layers.metadata import Metadata
from tfseg.layers.pixel_shuffle import PixelShuffle
from tfseg.layers.reshape_like import ReshapeLike
from tfseg.layers.resizing import AdaptiveAveragePooling, Rescale, ResizeLike
from tfseg.layers.with_weight import WithWeight

__all__ = [
    "AdaptiveAveragePooling",
    "BlurPooling",
    "CropLike",
    "DensePadding",
    "DepthwiseConv2DTranspose",
    "DilatedPooling",
    "GroupNormalization",
    "JoinWeight",
    "Metadata",
    "PixelShuffle",
    "Rescale",
    "ReshapeLike",
    "ResizeLike",
    "WithWeight",
    "dense_padding",
]
