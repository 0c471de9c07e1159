"""`with_metadata`: a model of one's own that can say how its images are prepared, and what its classes are called."""

from typing import Any

import keras

from tfseg import graphs
from tfseg.layers.metadata import Metadata


def with_metadata(model: keras.Model) -> keras.Model:
    """The model with a `tfseg.layers.Metadata` layer after its image; the same model if it has one.

    Args:
        model: functional model of one image; it is not changed.
    Returns: a functional model with the same layers and weights, not compiled.
    Raises:
        ValueError: a model of several inputs, or one that is not functional.

    Example:
        >>> from tfseg.surgery.with_metadata import with_metadata
        >>> image = keras.Input((None, None, 3))
        >>> model = with_metadata(keras.Model(image, keras.layers.Conv2D(2, 1)(image)))
        >>> tfseg.set_metadata(model, classes=["road", "sky"])
        >>> tfseg.metadata(model)["classes"]
        ['road', 'sky']
    """
    if any(isinstance(layer, Metadata) for layer in model.layers):
        return model
    graphs.check(model)
    layers = graphs.input_layers(model)
    if len(layers) != 1:
        raise ValueError(
            f"{model.name!r} has {len(layers)} inputs, and training gives it one photograph. Received: "
            f"{', '.join(layer.name for layer in layers)}. Make a model of the image alone: keras.Model(image, scores)."
        )
    copies = graphs.LayerCopies(model, drawn=False)

    def call(
        operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any], _outputs: list[keras.KerasTensor]
    ) -> list[graphs.TrackedTensor]:
        args, kwargs = graphs.untracked((args, kwargs))
        return [graphs.TrackedTensor(tensor) for tensor in keras.tree.flatten(copies.of(operation)(*args, **kwargs))]

    image = copies.of(layers[0]).output
    taken = {layer.name for layer in model.layers}
    name = next(name for name in ("metadata", *(f"metadata_{i}" for i in range(len(taken) + 1))) if name not in taken)
    results = graphs.replay(model, [graphs.TrackedTensor(Metadata(name=name)(image))], call)
    old, new = graphs.structure(model), ([image], [result.tensor for result in results])
    copy = keras.Model(*map(keras.tree.pack_sequence_as, old, new), name=model.name)
    copies.fill()
    return copy
