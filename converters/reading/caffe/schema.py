"""Caffe's messages that define layers: the fields' numbers, names and kinds, as its public description has them.

Forks of Caffe gave some numbers to other fields. So only a layer's own parameter message is read, and a number that is
not here says that the file is a fork's.

Reference: https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto
"""

Fields = dict[int, tuple[str, str]]
"""Number of a field -> its name, and its kind: a scalar, the name of a message here, or of an enumeration."""

# A row of text for each message: `number name kind`.
_ROWS = {
    "Net": "1 name text, 3 input text, 4 input_dim int, 8 input_shape BlobShape",
    "BlobShape": "1 dim int",
    "Rule": "1 phase Phase, 2 min_level int, 3 max_level int, 4 stage text, 5 not_stage text",
    "ParamSpec": "1 name text, 2 share_mode int, 3 lr_mult float, 4 decay_mult float",
    "Filler": "1 type text, 2 value float, 3 min float, 4 max float, 5 mean float, 6 std float, 7 sparse int, "
    "8 variance_norm int",
    "Convolution": "1 num_output int, 2 bias_term bool, 3 pad int, 4 kernel_size int, 5 group int, 6 stride int, "
    "7 weight_filler Filler, 8 bias_filler Filler, 9 pad_h int, 10 pad_w int, 11 kernel_h int, 12 kernel_w int, "
    "13 stride_h int, 14 stride_w int, 15 engine int, 16 axis int, 17 force_nd_im2col bool, 18 dilation int",
    "Pooling": "1 pool Pool, 2 kernel_size int, 3 stride int, 4 pad int, 5 kernel_h int, 6 kernel_w int, "
    "7 stride_h int, 8 stride_w int, 9 pad_h int, 10 pad_w int, 11 engine int, 12 global_pooling bool, "
    "13 round_mode Rounding",
    "InnerProduct": "1 num_output int, 2 bias_term bool, 3 weight_filler Filler, 4 bias_filler Filler, 5 axis int, "
    "6 transpose bool",
    "LRN": "1 local_size int, 2 alpha float, 3 beta float, 4 norm_region Region, 5 k float, 6 engine int",
    "Dropout": "1 dropout_ratio float",
    "Concat": "1 concat_dim int, 2 axis int",
    "Slice": "1 slice_dim int, 2 slice_point int, 3 axis int",
    "Eltwise": "1 operation Eltwise_, 2 coeff float, 3 stable_prod_grad bool",
    "Power": "1 power float, 2 scale float, 3 shift float",
    "Exp": "1 base float, 2 scale float, 3 shift float",
    "ReLU": "1 negative_slope float, 2 engine int",
    "Engine": "1 engine int",
    "Softmax": "1 engine int, 2 axis int",
    "ELU": "1 alpha float",
    "PReLU": "1 filler Filler, 2 channel_shared bool",
    "BatchNorm": "1 use_global_stats bool, 2 moving_average_fraction float, 3 eps float",
    "Scale": "1 axis int, 2 num_axes int, 3 filler Filler, 4 bias_term bool, 5 bias_filler Filler",
    "Bias": "1 axis int, 2 num_axes int, 3 filler Filler",
    "Crop": "1 axis int, 2 offset int",
    "Reshape": "1 shape BlobShape, 2 axis int, 3 num_axes int",
    "Flatten": "1 axis int, 2 end_axis int",
    "Reduction": "1 operation Reduction_, 2 axis int, 3 coeff float",
    "Tile": "1 axis int, 2 tiles int",
    "ArgMax": "1 out_max_val bool, 2 top_k int, 3 axis int",
    "Threshold": "1 threshold float",
    "MVN": "1 normalize_variance bool, 2 across_channels bool, 3 eps float",
    "Input": "1 shape BlobShape",
    "Swish": "1 beta float",
    "Clip": "1 min float, 2 max float",
}
MESSAGES: dict[str, Fields] = {
    message: {int(number): (name, kind) for number, name, kind in (row.split() for row in rows.split(","))}
    for message, rows in _ROWS.items()
}
"""Name of a message -> its fields."""

ENUMERATIONS: dict[str, dict[int, str]] = {
    "Phase": {0: "TRAIN", 1: "TEST"},
    "Pool": {0: "MAX", 1: "AVE", 2: "STOCHASTIC"},
    "Rounding": {0: "CEIL", 1: "FLOOR"},
    "Region": {0: "ACROSS_CHANNELS", 1: "WITHIN_CHANNEL"},
    "Eltwise_": {0: "PROD", 1: "SUM", 2: "MAX"},
    "Reduction_": {1: "SUM", 2: "ASUM", 3: "SUMSQ", 4: "MEAN"},
}
"""Name of an enumeration -> its constants by their numbers."""

# Type of a layer -> number of its parameters' message in today's layers, in those of V1 (0: it has none), its name in
# a prototxt, and its name above.
PARAMETERS: dict[str, tuple[int, int, str, str]] = {
    "ArgMax": (103, 23, "argmax_param", "ArgMax"),
    "BatchNorm": (139, 0, "batch_norm_param", "BatchNorm"),
    "Bias": (141, 0, "bias_param", "Bias"),
    "Clip": (148, 0, "clip_param", "Clip"),
    "Concat": (104, 9, "concat_param", "Concat"),
    "Convolution": (106, 10, "convolution_param", "Convolution"),
    "ConvolutionDepthwise": (106, 0, "convolution_param", "Convolution"),
    "Crop": (144, 0, "crop_param", "Crop"),
    "Deconvolution": (106, 10, "convolution_param", "Convolution"),
    "DepthwiseConvolution": (106, 0, "convolution_param", "Convolution"),
    "Dropout": (108, 12, "dropout_param", "Dropout"),
    "ELU": (140, 0, "elu_param", "ELU"),
    "Eltwise": (110, 24, "eltwise_param", "Eltwise"),
    "Exp": (111, 41, "exp_param", "Exp"),
    "Flatten": (135, 0, "flatten_param", "Flatten"),
    "InnerProduct": (117, 17, "inner_product_param", "InnerProduct"),
    "Input": (143, 0, "input_param", "Input"),
    "LRN": (118, 18, "lrn_param", "LRN"),
    "Log": (134, 0, "log_param", "Exp"),
    "MVN": (120, 34, "mvn_param", "MVN"),
    "PReLU": (131, 0, "prelu_param", "PReLU"),
    "Pooling": (121, 19, "pooling_param", "Pooling"),
    "Power": (122, 21, "power_param", "Power"),
    "ReLU": (123, 30, "relu_param", "ReLU"),
    "Reduction": (136, 0, "reduction_param", "Reduction"),
    "Reshape": (133, 0, "reshape_param", "Reshape"),
    "Scale": (142, 0, "scale_param", "Scale"),
    "Sigmoid": (124, 38, "sigmoid_param", "Engine"),
    "Slice": (126, 31, "slice_param", "Slice"),
    "Softmax": (125, 39, "softmax_param", "Softmax"),
    "Swish": (147, 0, "swish_param", "Swish"),
    "TanH": (127, 37, "tanh_param", "Engine"),
    "Threshold": (128, 25, "threshold_param", "Threshold"),
    "Tile": (138, 0, "tile_param", "Tile"),
}
# Types of layers that have no parameters.
PLAIN = frozenset("AbsVal BNLL Silence Split".split())

V1_TYPES: dict[int, str] = dict(
    enumerate(
        "NONE ACCURACY BNLL CONCAT CONVOLUTION DATA DROPOUT EUCLIDEAN_LOSS FLATTEN HDF5_DATA HDF5_OUTPUT IM2COL "
        "IMAGE_DATA INFOGAIN_LOSS INNER_PRODUCT LRN MULTINOMIAL_LOGISTIC_LOSS POOLING RELU SIGMOID SOFTMAX "
        "SOFTMAX_LOSS SPLIT TANH WINDOW_DATA ELTWISE POWER SIGMOID_CROSS_ENTROPY_LOSS HINGE_LOSS MEMORY_DATA ARGMAX "
        "THRESHOLD DUMMY_DATA SLICE MVN ABSVAL SILENCE CONTRASTIVE_LOSS EXP DECONVOLUTION".split()
    )
)
"""V1's number of a type -> its name."""
