"""Layers of Keras 1 and 2 as layers of Keras 3: which options they have, and which do nothing and are left out."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from converters.errors import ConversionError

KINDS = frozenset(
    "Conv2D DepthwiseConv2D SeparableConv2D Conv2DTranspose Dense BatchNormalization LayerNormalization Activation "
    "ReLU LeakyReLU PReLU ELU Softmax Dropout SpatialDropout2D GaussianNoise GaussianDropout AlphaDropout MaxPooling2D "
    "AveragePooling2D GlobalAveragePooling2D GlobalMaxPooling2D ZeroPadding2D Cropping2D UpSampling2D Add Subtract "
    "Multiply Average Maximum Minimum Concatenate Rescaling Normalization Resizing CenterCrop Flatten Reshape Permute "
    "RepeatVector ActivityRegularization".split()
)
"""Layers that are rebuilt from a configuration of Keras 1 or 2."""

# Options that Keras 3 does not have: the values with which they change nothing. None: any value.
_IDLE: dict[str, tuple[Any, ...] | None] = {
    "batch_input_shape": None,
    "build_config": None,
    "implementation": None,
    "rng_type": None,
    "fused": None,
    "input_dtype": None,
    "input_dim": None,
    "input_length": None,
    "init": None,
    "groups": (1,),
    "renorm": (False, None),
    "renorm_clipping": None,
    "renorm_momentum": None,
    "virtual_batch_size": (None,),
    "adjustment": (None,),
    "mode": (0, "concat", "sum", "mul", "max", "ave"),
    "nb_row": None,
    "nb_col": None,
    "W_regularizer": None,
    "b_regularizer": None,
    "W_constraint": None,
    "b_constraint": None,
    "gamma_regularizer": None,
    "beta_regularizer": None,
    "activity_regularizer": None,
    "dot_axes": None,
    "output_mask": None,
    "output_shape_type": None,
    "arguments": None,
    "force_generator": None,
    "vocabulary_size": None,
    "synchronized": None,
    "ragged": (False, None),
    "sparse": (False, None),
}
_LEFT_OUT = ("_initializer", "_regularizer", "_constraint")
# Before Keras 3, this was another function: min(max(0.2 x + 0.5, 0), 1).
HARD_SIGMOID = "hard_sigmoid"


def layer_options(kind: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a layer of Keras 3.

    Args:
        kind: its class.
        name: its name in the file, for messages.
        options: its configuration in the file, with Keras 3's names.
    Raises:
        ConversionError: an option that Keras 3 does not have, with a value that counts.
    """
    known = {*inspect.signature(getattr(keras.layers, kind).__init__).parameters}
    wanted: dict[str, Any] = {}
    for option, value in options.items():
        if option in ("name", "dtype", "trainable") or option.endswith(_LEFT_OUT):
            continue
        if option in known:
            wanted[option] = tuple(value) if isinstance(value, list) and option != "axis" else value
        elif not _is_idle(option, value):
            raise ConversionError(
                f"its layer {name!r} ({kind}) has {option}={value!r}, which layers of Keras {keras.__version__} do not "
                "have."
            )
    return wanted


def _is_idle(option: str, value: Any) -> bool:
    if option in _IDLE:
        allowed = _IDLE[option]
        return allowed is None or any(value == idle and type(value) is type(idle) for idle in allowed)
    return value is None


def activation_name(value: object) -> str | None:
    """The name of an activation function; None for one that has options, or is no name.

    Args:
        value: what the configuration says.
    """
    if value is None:
        return "linear"
    if isinstance(value, Mapping) and value.get("class_name") == "function":
        value = value.get("config")
    return value if isinstance(value, str) else None
