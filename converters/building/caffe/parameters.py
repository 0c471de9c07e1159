"""The parameters that each type of layer may have, and Caffe's defaults.

A field that is not here could change what a layer computes: it is refused, not passed over.

Reference: https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto; for the layers of forks
https://github.com/hszhao/PSPNet (Interp, BN), https://github.com/alexgkendall/caffe-segnet (Upsample, BN),
https://github.com/weiliu89/caffe/tree/ssd (Permute, Normalize) and https://github.com/hujie-frank/SENet (Axpy).
"""

from typing import Any, NamedTuple

from converters.errors import ConversionError
from converters.reading.caffe.message_fields import single, values
from converters.reading.protobuf.text_format import Message


class Parameters(NamedTuple):
    """The parameters of a type of layers.

    Attributes:
        message: name of the message in a layer.
        fields: name -> default. An empty tuple is for several floats, an empty list for several integers, and `None`
            for a field that a rule reads itself.
        ignored: fields that change nothing at test time.
    """

    message: str
    fields: dict[str, Any]
    ignored: frozenset[str] = frozenset()


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WINDOW = dict.fromkeys("kernel_size kernel_h kernel_w stride stride_h stride_w pad pad_h pad_w".split())
_DILATED = _WINDOW | {"dilation": None, "hole": None, "hole_h": None, "hole_w": None}
_FILLERS = _names("weight_filler bias_filler filler engine")
_CONVOLUTION = Parameters(
    "convolution_param",
    {"num_output": 0, "bias_term": True, "group": 1, "axis": 1, **_DILATED},
    _FILLERS | _names("force_nd_im2col cudnn_math_override conv_algos_override"),
)
_AXES = {"axis": 1, "num_axes": 1}
_EXPONENT = {"base": -1.0, "scale": 1.0, "shift": 0.0}
_ENGINE = _names("engine cudnn_math_override")

PARAMETERS: dict[str, Parameters] = {
    "Convolution": _CONVOLUTION,
    "ConvolutionDepthwise": _CONVOLUTION,
    "DepthwiseConvolution": _CONVOLUTION,
    "Deconvolution": _CONVOLUTION,
    "InnerProduct": Parameters(
        "inner_product_param", {"num_output": 0, "bias_term": True, "axis": 1, "transpose": False}, _FILLERS
    ),
    "Pooling": Parameters(
        "pooling_param",
        {"pool": "MAX", "global_pooling": False, "round_mode": "CEIL", "ceil_mode": True, **_WINDOW},
        _ENGINE,
    ),
    "LRN": Parameters(
        "lrn_param",
        {"local_size": 5, "alpha": 1.0, "beta": 0.75, "k": 1.0, "norm_region": "ACROSS_CHANNELS"},
        _ENGINE,
    ),
    "MVN": Parameters("mvn_param", {"normalize_variance": True, "across_channels": False, "eps": 1e-9}),
    "BatchNorm": Parameters(
        "batch_norm_param",
        {"use_global_stats": True, "moving_average_fraction": 0.999, "eps": 1e-5, "scale_bias": False},
        _FILLERS | _names("scale_filler"),
    ),
    "BN": Parameters(
        "bn_param",
        {"eps": 1e-5, "bn_mode": ""},
        _FILLERS | _names("slope_filler scale_filler shift_filler momentum frozen"),
    ),
    "Scale": Parameters("scale_param", {**_AXES, "bias_term": False}, _FILLERS),
    "Bias": Parameters("bias_param", dict(_AXES), _FILLERS),
    "PReLU": Parameters("prelu_param", {"channel_shared": False}, _FILLERS),
    "Normalize": Parameters(
        "norm_param", {"across_spatial": True, "channel_shared": True, "eps": 1e-10}, _names("scale_filler")
    ),
    "ReLU": Parameters("relu_param", {"negative_slope": 0.0}, _ENGINE),
    "ReLU6": Parameters("relu_param", {}, _ENGINE),
    "ELU": Parameters("elu_param", {"alpha": 1.0}),
    "Sigmoid": Parameters("sigmoid_param", {}, _ENGINE),
    "TanH": Parameters("tanh_param", {}, _ENGINE),
    "AbsVal": Parameters("", {}),
    "BNLL": Parameters("", {}),
    "Swish": Parameters("swish_param", {"beta": 1.0}),
    "Clip": Parameters("clip_param", {"min": 0.0, "max": 0.0}),
    "Threshold": Parameters("threshold_param", {"threshold": 0.0}),
    "Power": Parameters("power_param", {"power": 1.0, "scale": 1.0, "shift": 0.0}),
    "Exp": Parameters("exp_param", dict(_EXPONENT)),
    "Log": Parameters("log_param", dict(_EXPONENT)),
    "Dropout": Parameters(
        "dropout_param",
        {"dropout_ratio": 0.5, "sample_weights_test": False},
        _names("scale_train spatial_dropout"),
    ),
    "Eltwise": Parameters("eltwise_param", {"operation": "SUM", "coeff": ()}, _names("stable_prod_grad")),
    "Axpy": Parameters("", {}),
    "Concat": Parameters("concat_param", {"axis": 1, "concat_dim": 1}),
    "Slice": Parameters("slice_param", {"axis": 1, "slice_dim": 1, "slice_point": []}),
    "Split": Parameters("", {}),
    "Crop": Parameters("crop_param", {"axis": 2, "offset": []}),
    "Interp": Parameters(
        "interp_param",
        {"height": 0, "width": 0, "zoom_factor": 0, "shrink_factor": 0, "pad_beg": 0, "pad_end": 0},
    ),
    "Reshape": Parameters("reshape_param", {"shape": None, "axis": 0, "num_axes": -1}),
    "Flatten": Parameters("flatten_param", {"axis": 1, "end_axis": -1}),
    "Permute": Parameters("permute_param", {"order": []}),
    "Tile": Parameters("tile_param", {"axis": 1, "tiles": 0}),
    "Reduction": Parameters("reduction_param", {"operation": "SUM", "axis": 0, "coeff": 1.0}),
    "Softmax": Parameters("softmax_param", {"axis": 1}, _ENGINE),
    "ArgMax": Parameters("argmax_param", {"out_max_val": False, "top_k": 1, "axis": None}),
    "Upsample": Parameters(
        "upsample_param",
        {
            **dict.fromkeys(("scale", "scale_h", "scale_w", "upsample_h", "upsample_w"), 0),
            "pad_out_h": False,
            "pad_out_w": False,
        },
    ),
    "ShuffleChannel": Parameters("shuffle_channel_param", {"group": 1}),
}
"""Type of a layer -> its parameters."""

# Fields of a layer that say how it is trained, or what `PrototxtLayer` has under another name.
_COMMON = _names(
    "name type bottom top param include exclude phase loss_weight propagate_down blobs blobs_lr weight_decay "
    "loss_param transform_param debug_info blob_share_mode forward_type backward_type forward_math backward_math "
    "cudnn_math_override bottom_n top_n sub_batch"
)
_MESSAGES = {entry.message for entry in PARAMETERS.values()} | {"input_param", "data_param", "image_data_param"}


def read_parameters(fields: Message, kind: str) -> dict[str, Any]:
    """The parameters of a layer, Caffe's defaults where it does not state them. Sizes of windows are not among them.

    Args:
        fields: all fields of the layer.
        kind: type of the layer, which is in `PARAMETERS`.
    Raises: ConversionError for a field that is not known here, by its name.
    """
    entry = PARAMETERS[kind]
    for name in fields:
        if name not in _COMMON and name not in _MESSAGES:
            raise ConversionError(
                f"has the field {name}, which is not known here and may change what the layer computes. Take it out "
                "of the prototxt if it does not."
            )
    message = parameter_message(fields, kind)
    for name in message:
        if name not in entry.fields and name not in entry.ignored:
            raise ConversionError(
                f"has the parameter {name} in its {entry.message}, which is not known here and may change what the "
                "layer computes. Take it out of the prototxt if it does not."
            )
    return {name: _read(message, name, default) for name, default in entry.fields.items() if default is not None}


def parameter_message(fields: Message, kind: str) -> Message:
    """The parameters of a layer as they stand in the file; empty where it has none.

    Args:
        fields: all fields of the layer.
        kind: type of the layer, which is in `PARAMETERS`.
    Raises: ConversionError for several messages.
    """
    return single(fields, PARAMETERS[kind].message, Message())


def _read(message: Message, name: str, default: Any) -> Any:
    if isinstance(default, tuple):
        return tuple(values(message, name, float))
    if isinstance(default, list):
        return values(message, name, int)
    return single(message, name, default)
