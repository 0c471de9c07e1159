"""Field numbers of Caffe's binary messages, as much of them as weights need.

Reference: https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto
"""

import enum


class NetField:
    """Fields of NetParameter. `V1_LAYERS` holds V1LayerParameter, `LAYERS` LayerParameter."""

    NAME = 1
    V1_LAYERS = 2
    LAYERS = 100


class LayerField:
    """Fields of LayerParameter, the form since 2014 (V2)."""

    NAME = 1
    TYPE = 2
    BLOBS = 7
    INCLUDE = 8
    PHASE = 10
    INNER_PRODUCT_PARAM = 117


class V1LayerField:
    """Fields of V1LayerParameter. `V0_LAYER` holds the form until 2013 (V0)."""

    V0_LAYER = 1
    NAME = 4
    TYPE = 5
    BLOBS = 6
    INCLUDE = 32


class V1LayerType(enum.IntEnum):
    """Types of V1 layers that have weights."""

    CONVOLUTION = 4
    INNER_PRODUCT = 14
    DECONVOLUTION = 39


class StateRuleField:
    """Fields of NetStateRule, which says when a layer is included."""

    PHASE = 1


class Phase(enum.IntEnum):
    """Values of the enumeration Phase."""

    TRAIN = 0
    TEST = 1


class InnerProductField:
    """Fields of InnerProductParameter."""

    TRANSPOSE = 6


class BlobField:
    """Fields of BlobProto. Before `SHAPE`, a blob had four sizes: `NUM`, `CHANNELS`, `HEIGHT` and `WIDTH`.

    `RAW_DATA` is NVIDIA's.
    """

    NUM = 1
    CHANNELS = 2
    HEIGHT = 3
    WIDTH = 4
    DATA = 5
    SHAPE = 7
    DOUBLE_DATA = 8
    RAW_DATA = 12


class ShapeField:
    """Fields of BlobShape."""

    DIM = 1
