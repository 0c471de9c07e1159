"""Layers that Keras lacks: sizes known only when an image comes, dilated poolings, and the model's metadata."""

from tfseg.layers.adaptive_pooling import AdaptivePooling
from tfseg.layers.axis_windows import AxisSlice, BorderPadding
from tfseg.layers.blur_pooling import BlurPooling
from tfseg.layers.crop_like import CropLike
from tfseg.layers.depthwise_transpose import DepthwiseConv2DTranspose
from tfseg.layers.dilated import DensePadding, DilatedPooling, dense_padding
from tfseg.layers.global_average_pooling import GlobalAveragePooling
from tfseg.layers.grid_sampling import GridSampling
from tfseg.layers.group_normalization import GroupNormalization
from tfseg.layers.interpolate import Interpolate
from tfseg.layers.join_weight import JoinWeight
from tfseg.layers.last_map import LastMap
from tfseg.layers.map_attention import MapAttention
from tfseg.layers.map_projections import MapProjections
from tfseg.layers.metadata import Metadata
from tfseg.layers.overlaid import Overlaid
from tfseg.layers.pixel_shuffle import PixelShuffle, PixelUnshuffle
from tfseg.layers.position_attention import PositionAttention
from tfseg.layers.resample import Resample
from tfseg.layers.reshape_like import ReshapeLike
from tfseg.layers.resizing import AdaptiveAveragePooling, Rescale, ResizeLike
from tfseg.layers.response_normalization import ResponseNormalization
from tfseg.layers.shuffle_channels import ShuffleChannels
from tfseg.layers.side_by_side import SideBySide
from tfseg.layers.sized_constants import Counted, Filled, Repeated, Replaced, Spaced
from tfseg.layers.sized_number import SizedNumber
from tfseg.layers.standardized_convolution import StandardizedConv2D
from tfseg.layers.transposed_convolution import TransposedConvolution
from tfseg.layers.unpooling import MaximumPlaces, Unpooling
from tfseg.layers.weight_tensor import WeightTensor
from tfseg.layers.window_pooling import WindowPooling
from tfseg.layers.with_weight import WithWeight

__all__ = [
    "AdaptiveAveragePooling",
    "AdaptivePooling",
    "AxisSlice",
    "BlurPooling",
    "BorderPadding",
    "Counted",
    "CropLike",
    "DensePadding",
    "DepthwiseConv2DTranspose",
    "DilatedPooling",
    "Filled",
    "GlobalAveragePooling",
    "GridSampling",
    "GroupNormalization",
    "Interpolate",
    "JoinWeight",
    "LastMap",
    "MapAttention",
    "MapProjections",
    "MaximumPlaces",
    "Metadata",
    "Overlaid",
    "PixelShuffle",
    "PixelUnshuffle",
    "PositionAttention",
    "Repeated",
    "Replaced",
    "Resample",
    "Rescale",
    "ReshapeLike",
    "ResizeLike",
    "ResponseNormalization",
    "ShuffleChannels",
    "SideBySide",
    "SizedNumber",
    "Spaced",
    "StandardizedConv2D",
    "TransposedConvolution",
    "Unpooling",
    "WeightTensor",
    "WindowPooling",
    "WithWeight",
    "dense_padding",
]
