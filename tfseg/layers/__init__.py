"""Layers that Keras lacks: sizes known only when an image comes, poolings with holes, and the model's own facts."""

from tfseg.layers.dilated import DensePadding, DilatedPooling, dense_padding
from tfseg.layers.metadata import Metadata, metadata, set_metadata
from tfseg.layers.resizing import AdaptiveAveragePooling, CropLike, DepthwiseConv2DTranspose, Rescale, ResizeLike

__all__ = [
    "AdaptiveAveragePooling",
    "CropLike",
    "DensePadding",
    "DepthwiseConv2DTranspose",
    "DilatedPooling",
    "Metadata",
    "Rescale",
    "ResizeLike",
    "dense_padding",
    "metadata",
    "set_metadata",
]
