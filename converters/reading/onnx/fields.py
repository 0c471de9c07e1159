"""Field numbers of ONNX's messages, as much of them as weights and operations need.

Reference: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""


class ModelField:
    """Fields of ModelProto."""

    GRAPH = 7
    OPSET_IMPORT = 8
    FUNCTIONS = 25


class GraphField:
    """Fields of GraphProto."""

    NODE = 1
    INITIALIZER = 5
    INPUT = 11
    OUTPUT = 12


class ValueInfoField:
    """Fields of ValueInfoProto."""

    NAME = 1
    TYPE = 2


class TypeField:
    """Fields of TypeProto, of its Tensor, and of TensorShapeProto and its Dimension."""

    TENSOR_TYPE = 1
    ELEMENT = 1
    SHAPE = 2
    DIM = 1
    DIM_VALUE = 1


class FunctionField:
    """Fields of FunctionProto."""

    NAME = 1
    INPUT = 4
    OUTPUT = 5
    NODE = 7
    OPSET_IMPORT = 9
    DOMAIN = 10
    DEFAULT = 11


class OperatorSetField:
    """Fields of OperatorSetIdProto."""

    DOMAIN = 1
    VERSION = 2


class NodeField:
    """Fields of NodeProto."""

    INPUT = 1
    OUTPUT = 2
    NAME = 3
    OP_TYPE = 4
    ATTRIBUTE = 5
    DOMAIN = 7
    METADATA = 9


class AttributeField:
    """Fields of AttributeProto."""

    NAME = 1
    FLOAT = 2
    INT = 3
    STRING = 4
    TENSOR = 5
    GRAPH = 6
    FLOATS = 7
    INTS = 8
    REFERENCE = 21


class TensorField:
    """Fields of TensorProto."""

    DIMS = 1
    DATA_TYPE = 2
    FLOAT_DATA = 4
    INT32_DATA = 5
    INT64_DATA = 7
    NAME = 8
    RAW_DATA = 9
    DOUBLE_DATA = 10
    UINT64_DATA = 11
    EXTERNAL_DATA = 13
    DATA_LOCATION = 14


class EntryField:
    """Fields of StringStringEntryProto."""

    KEY = 1
    VALUE = 2
