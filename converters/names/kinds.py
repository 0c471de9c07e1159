"""Kinds of modules: which tensors one has, which variables these are in Keras, and their layouts."""

_KERAS_NORM = (
    ("/gamma", "gamma", ("c -> c",)),
    ("/beta", "beta", ("c -> c",)),
    ("/moving_mean", "moving_mean", ("c -> c",)),
    ("/moving_variance", "moving_variance", ("c -> c",)),
)
KINDS: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "conv": (("weight", "kernel", ("o i h w -> h w i o",)), ("bias", "bias", ("o -> o",))),
    "depthwise": (("weight", "kernel", ("o 1 h w -> h w o 1",)), ("bias", "bias", ("o -> o",))),
    "upconv": (("weight", "kernel", ("i o h w -> h w o i",)), ("bias", "bias", ("o -> o",))),
    # One factor for each channel.
    "channel_scale": (("gamma", "kernel", ("c -> 1 1 c 1",)),),
    "dense": (("weight", "kernel", ("o i -> i o", "o i -> 1 1 i o")), ("bias", "bias", ("o -> o",))),
    # torch's MultiheadAttention: queries, keys and values in one tensor.
    "in_projection": (("in_proj_weight", "kernel", ("o i -> i o",)), ("in_proj_bias", "bias", ("o -> o",))),
    # One kernel for each channel: torch's `groups` equal its channels.
    "upconv_depthwise": (("weight", "kernel", ("c 1 h w -> h w c",)),),
    # The source's fully connected layer is a 1x1 convolution of a map of one pixel.
    "dense1x1": (("weight", "kernel", ("o i 1 1 -> i o",)), ("bias", "bias", ("o -> o",))),
    # A fully connected layer after the flattened map of a VGG, in most 7x7: channels come first in the source, last in
    # Keras.
    **{
        f"dense{side}x{side}": (
            (
                "weight",
                "kernel",
                (f"o (c h w) -> (h w c) o; h={side} w={side}", f"o (c h w) -> h w c o; h={side} w={side}"),
            ),
            ("bias", "bias", ("o -> o",)),
        )
        for side in range(2, 9)
    },
    "norm": (
        ("weight", "gamma", ("c -> c",)),
        ("bias", "beta", ("c -> c",)),
        ("running_mean", "moving_mean", ("c -> c",)),
        ("running_var", "moving_variance", ("c -> c",)),
    ),
    "prelu": (("weight", "alpha", ("c -> 1 1 c",)),),
    "group_norm": (("weight", "gamma", ("c -> c",)), ("bias", "beta", ("c -> c",))),
    # Caffe normalizes in two layers: BatchNorm, then Scale.
    "batchnorm": (("mean", "moving_mean", ("c -> c",)), ("variance", "moving_variance", ("c -> c",))),
    "bn": (  # PSPNet's fork of Caffe normalizes in one layer
        ("gamma", "gamma", ("c -> c",)),
        ("beta", "beta", ("c -> c",)),
        ("mean", "moving_mean", ("c -> c",)),
        ("variance", "moving_variance", ("c -> c",)),
    ),
    "scale": (("gamma", "gamma", ("c -> c",)), ("beta", "beta", ("c -> c",))),
    # Caffe2's blobs: in Detectron's files a factor and a number to add, or the four tensors of a BatchNorm.
    "blob_conv": (("_w", "kernel", ("o i h w -> h w i o",)),),
    "blob_dense": (("_w", "kernel", ("o i -> i o", "o i -> 1 1 i o")), ("_b", "bias", ("o -> o",))),
    "blob_affine": (("_s", "kernel", ("c -> 1 1 c 1",)), ("_b", "bias", ("c -> c",))),
    "blob_norm": (
        ("_gamma", "gamma", ("c -> c",)),
        ("_beta", "beta", ("c -> c",)),
        ("_running_mean", "moving_mean", ("c -> c",)),
        ("_running_var", "moving_variance", ("c -> c",)),
    ),
    # TensorFlow 1 and kaffe have the layout of Keras.
    "tf_conv": (("/weights", "kernel", ("h w i o -> h w i o",)), ("/biases", "bias", ("o -> o",))),
    "tf_dense": (("/weights", "kernel", ("i o -> i o", "i o -> 1 1 i o")), ("/biases", "bias", ("o -> o",))),
    # The source's fully connected layer is a 1x1 convolution of a map of one pixel.
    "tf_dense1x1": (("/weights", "kernel", ("1 1 i o -> i o",)), ("/biases", "bias", ("o -> o",))),
    "tf_depthwise": (("/depthwise_weights", "kernel", ("h w c 1 -> h w c 1",)),),
    # A convolution of the whole 7x7 map of a VGG.
    "tf_conv7x7": (
        ("/weights", "kernel", ("h w i o -> (h w i) o; h=7 w=7", "h w i o -> h w i o")),
        ("/biases", "bias", ("o -> o",)),
    ),
    "tf_norm": _KERAS_NORM,
    # The names that kaffe gives to the parts of a BatchNorm.
    "kaffe_norm": (
        ("/scale", "gamma", ("c -> c",)),
        ("/offset", "beta", ("c -> c",)),
        ("/mean", "moving_mean", ("c -> c",)),
        ("/variance", "moving_variance", ("c -> c",)),
    ),
    # A fully connected layer after the flattened 7x7 map of a VGG.
    "tf_dense7x7": (
        ("/weights", "kernel", ("(h w i) o -> (h w i) o; h=7 w=7", "(h w i) o -> h w i o; h=7 w=7")),
        ("/biases", "bias", ("o -> o",)),
    ),
    # Keras itself.
    "keras_conv": (("/kernel", "kernel", ("h w i o -> h w i o",)), ("/bias", "bias", ("o -> o",))),
    "keras_dense": (("/kernel", "kernel", ("i o -> i o", "i o -> 1 1 i o")), ("/bias", "bias", ("o -> o",))),
    # A fully connected layer after the flattened 7x7 map of a VGG, which has the same order in the source.
    "keras_dense7x7": (
        ("/kernel", "kernel", ("i o -> i o", "(h w c) o -> h w c o; h=7 w=7")),
        ("/bias", "bias", ("o -> o",)),
    ),
    # Keras 3 calls the kernel of a depthwise convolution "kernel".
    "keras_depthwise": (
        ("/depthwise_kernel", "kernel", ("h w c 1 -> h w c 1",)),
        ("/kernel", "kernel", ("h w c 1 -> h w c 1",)),
        ("/bias", "bias", ("c -> c",)),
    ),
    "keras_norm": _KERAS_NORM,
    # Big Transfer's, under names of Keras.
    "keras_group_norm": (("/gamma", "gamma", ("c -> c",)), ("/beta", "beta", ("c -> c",))),
    "keras_dense1x1": (("/kernel", "kernel", ("1 1 i o -> i o",)), ("/bias", "bias", ("o -> o",))),
}
"""Kind -> `(tensor of the module, variable of the layer, layouts)` of each tensor.

Of the layouts, the first one is used that has the variable's rank.
"""
