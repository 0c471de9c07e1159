"""The batches of a training, as the step of each backend takes them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras

from tfseg.data.array_batches import array_batches
from tfseg.data.datasets import Dataset
from tfseg.data.pipeline import batches
from tfseg.prediction.model import preprocessing_of
from tfseg.training.devices import device_count
from tfseg.training.recipes import Recipe

if TYPE_CHECKING:
    import tensorflow as tf


def training_batches(
    dataset: Dataset,
    model: keras.Model,
    recipe: Recipe,
    *,
    seed: int,
    start: int = 0,
    steps: int,
    skip_unreadable: bool = False,
) -> Iterator[Any]:
    """The batches from step `start` on, divided among the devices.

    Args:
        dataset: `Dataset` to train on.
        model: the model to train.
        recipe: the `Recipe`.
        seed: seed of order and augmentation.
        start: number of steps so far.
        steps: number of steps of the whole training.
        skip_unreadable: whether unreadable images are skipped, with a warning.
    Raises:
        ValueError: a batch that the devices cannot share equally.
    """
    devices = device_count()
    if recipe.batch_size % devices:
        raise ValueError(
            f"All devices get equal parts of a batch: batch_size is a multiple of {devices}. Received: "
            f"{recipe.batch_size}"
        )
    options: dict[str, Any] = {
        "augmentation": recipe.augmentation,
        "seed": seed,
        "start": start,
        "steps": steps - start,
        "skip_unreadable": skip_unreadable,
    }
    if keras.config.backend() != "tensorflow":
        return array_batches(dataset, recipe.batch_size, preprocessing_of(model), **options)
    import tensorflow as tf

    def batches_of_worker(context: "tf.distribute.InputContext") -> "tf.data.Dataset":
        return batches(
            dataset,
            recipe.batch_size,
            preprocessing_of(model),
            shares=devices,
            worker=(context.input_pipeline_id, context.num_input_pipelines),
            **options,
        )

    return iter(tf.distribute.get_strategy().distribute_datasets_from_function(batches_of_worker))
