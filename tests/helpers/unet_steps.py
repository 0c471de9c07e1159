"""What a user does with a new segmenter: trains it, saves it, loads it and exports it."""

import keras
import numpy as np
from helpers.references import images, output, relative

import tfseg
from tfseg import training
from tfseg.training.step import make_step

IDENTITY = {"channel_order": "RGB", "divisor": 255.0, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
RECIPE = training.Recipe(learning_rate=0.003, batch_size=2)


def trains_and_is_exported(model, side, folder, formats=("saved_model",)):
    """Two steps lower the loss and change the scores; the saved model is the same bit by bit; it is exported.

    Args:
        model: segmenter.
        side: rows, and columns, of the images.
        folder: folder for the files.
        formats: formats of the export, which proves each against the model.
    """
    pixels = images(side, side, batch=2)
    masks = (pixels[..., 0] > 0).astype("int32")
    before = output(model, pixels)
    assert before.shape == (2, side, side, model.output_shape[-1])
    training.compile_model(model, RECIPE, 2)
    step = make_step(model, RECIPE)
    losses = [float(step((pixels, masks), np.int64(number))) for number in range(2)]
    assert losses[1] < losses[0]
    after = output(model, pixels)
    assert relative(after, before) > 1e-3
    model.save(folder / "model.keras")
    assert np.array_equal(output(keras.saving.load_model(folder / "model.keras"), pixels), after)
    if keras.backend.backend() == "tensorflow":
        tfseg.export(model, folder / "exported", preprocessing=IDENTITY, size=(side, side), formats=formats)
