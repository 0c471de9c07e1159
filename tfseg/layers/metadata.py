"""The model's own facts: what a user must know, carried by a layer that does nothing else."""

import keras


@keras.saving.register_keras_serializable("tfseg")
class Metadata(keras.layers.Layer):
    """Passes its input on, and carries what a user of the model must know: it survives saving, cloning and surgery.

    Args:
        preprocessing: dictionary `channel_order` ("RGB" or "BGR"), `divisor`, `mean`, `std` (see `tfseg.specs`), or
            None where unknown.
        classes: list of class names, or None.
        colors: list of `(red, green, blue)`, 0..255, one a class, or None.
    """

    def __init__(self, preprocessing=None, classes=None, colors=None, **kwargs):
        super().__init__(**kwargs)
        self.preprocessing = preprocessing
        self.classes = classes
        self.colors = colors

    def call(self, inputs):
        return inputs

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self):
        facts = {"preprocessing": self.preprocessing, "classes": self.classes, "colors": self.colors}
        return super().get_config() | {key: _plain(value) for key, value in facts.items()}


def metadata(model):
    """What travels inside a model, `{"preprocessing": ..., "classes": ..., "colors": ...}`: None where unknown."""
    layer = _metadata_layer(model)
    return {key: _plain(getattr(layer, key, None)) for key in ("preprocessing", "classes", "colors")}


def set_metadata(model, **facts):
    """Changes facts that travel inside a model, in place: `preprocessing=`, `classes=`, `colors=` as in `Metadata`.

    Raises:
        ValueError: a model without a `Metadata` layer, or a fact that it does not carry.
    """
    layer = _metadata_layer(model)
    if layer is None:
        raise ValueError(
            f"The model {model.name!r} has no tfseg.layers.Metadata layer to carry facts: build it with tfseg, or put "
            "one behind its input."
        )
    unknown = set(facts) - set(metadata(model))
    if unknown:
        raise ValueError(f"A model carries preprocessing, classes and colors. Received: {', '.join(sorted(unknown))}")
    for key, value in facts.items():
        setattr(layer, key, _plain(value))


def _metadata_layer(model):
    return next((layer for layer in model.layers if isinstance(layer, Metadata)), None)


def _plain(value):
    """Plain lists and dictionaries, as JSON has them: Keras wraps what is set on a layer in trackers."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
