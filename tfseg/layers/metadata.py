"""What a user of a model must know, carried inside the model by a layer that does nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import keras

from tfseg.types import Tensor


class ModelMetadata(TypedDict):
    """What travels inside a model; None: unknown."""

    preprocessing: dict[str, Any] | None
    classes: list[str] | None
    colors: list[list[int]] | None


@keras.saving.register_keras_serializable("tfseg")
class Metadata(keras.layers.Layer):
    """Passes its input on and carries the model's metadata, which so survives saving, cloning and surgery.

    Args:
        preprocessing: dictionary `channel_order` ("RGB", "BGR", or "stored" for other channels), `divisor`, `mean`,
            `std` (see `tfseg.specs`); None: unknown.
        classes: names of the classes; None: unknown.
        colors: `(red, green, blue)`, 0..255, for each class; None: unknown.
        source: what `converters` knows of the program that the model was built from; None for other models.
        multiple: the sides of images are multiples of this number of pixels; 1: any size.
        batch: number of images in a batch that the program of the model was written for; None: any.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> image = keras.Input((None, None, 3))
        >>> x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"], classes=["road", "sky"])(image)
        >>> model = keras.Model(image, keras.layers.Conv2D(2, 1)(x))
        >>> tfseg.metadata(keras.models.clone_model(model))["classes"]
        ['road', 'sky']
    """

    def __init__(
        self,
        preprocessing: Mapping[str, Any] | None = None,
        classes: Sequence[str] | None = None,
        colors: Sequence[Sequence[int]] | None = None,
        source: Mapping[str, Any] | None = None,
        multiple: int = 1,
        batch: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.preprocessing = preprocessing
        self.classes = classes
        self.colors = colors
        self.source = source
        self.multiple = multiple
        self.batch = batch

    def call(self, inputs: Tensor) -> Tensor:
        """The input itself."""
        if self.batch and inputs.shape[0] not in (None, self.batch):
            raise ValueError(
                f"The program that this model was built from takes {self.batch} image(s) at a time. Received: "
                f"{inputs.shape[0]}. Call the model on batches of that number, or export the program for any number: "
                "dynamic_shapes=({0: torch.export.Dim.AUTO, ...},)."
            )
        return inputs

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the input."""
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        facts: dict[str, Any] = {"preprocessing": self.preprocessing, "classes": self.classes, "colors": self.colors}
        if self.source is not None:
            facts["source"] = self.source
        if self.multiple > 1:
            facts["multiple"] = self.multiple
        if self.batch is not None:
            facts["batch"] = self.batch
        return super().get_config() | {key: _plain(value) for key, value in facts.items()}


def metadata(model: keras.Model) -> ModelMetadata:
    """What travels inside a model: `{"preprocessing": ..., "classes": ..., "colors": ...}`.

    Args:
        model: Keras model, with or without a `tfseg.layers.Metadata` layer.
    Returns: dictionary of plain dictionaries, lists and numbers; None for what is unknown.

    Example:
        >>> tfseg.metadata(tfseg.ResNet(18, width=1 / 16))["preprocessing"]["channel_order"]
        'RGB'
    """
    layer = _metadata_layer(model)
    return ModelMetadata(
        preprocessing=_plain(getattr(layer, "preprocessing", None)),
        classes=_plain(getattr(layer, "classes", None)),
        colors=_plain(getattr(layer, "colors", None)),
    )


def set_metadata(model: keras.Model, **facts: Any) -> None:
    """Changes what travels inside a model, in place.

    Args:
        model: Keras model with a `tfseg.layers.Metadata` layer.
        facts: `preprocessing=`, `classes=`, `colors=`, as in `tfseg.layers.Metadata`.
    Raises:
        ValueError: a model without a `Metadata` layer, or a fact that it does not carry.

    Example:
        >>> model = tfseg.build("fcn_resnet18", num_classes=2, width=1 / 16)
        >>> tfseg.set_metadata(model, classes=["road", "sky"], colors=[(128, 64, 128), (70, 130, 180)])
        >>> tfseg.metadata(model)["colors"]
        [[128, 64, 128], [70, 130, 180]]
    """
    layer = _metadata_layer(model)
    if layer is None:
        raise ValueError(
            f"The model {model.name!r} has no tfseg.layers.Metadata layer to carry facts: build it with tfseg, or put "
            "a Metadata layer after its input."
        )
    unknown = set(facts) - set(metadata(model))
    if unknown:
        raise ValueError(f"A model carries preprocessing, classes and colors. Received: {', '.join(sorted(unknown))}")
    for key, value in facts.items():
        setattr(layer, key, _plain(value))


def size_multiple(model: keras.Model) -> int:
    """The number of pixels of which the sides of a model's images are multiples; 1: any size.

    Args:
        model: any Keras model.
    """
    return int(getattr(_metadata_layer(model), "multiple", 1))


def set_size_multiple(model: keras.Model, multiple: int) -> None:
    """Lets a model say which images it takes.

    Args:
        model: Keras model with a `Metadata` layer.
        multiple: number of pixels of which the sides of its images are multiples.
    """
    layer = _metadata_layer(model)
    assert layer is not None  # models that are built have one
    layer.multiple = multiple


def _metadata_layer(model: keras.Model) -> Metadata | None:
    return next((layer for layer in model.layers if isinstance(layer, Metadata)), None)


def _plain(value: Any) -> Any:
    """Plain lists and dictionaries, as in JSON: Keras wraps what is set on a layer in trackers."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
