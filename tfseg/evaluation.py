"""How good a segmenter is on a data set: whole photographs, one at a time, each at its own size."""

import numpy as np

from tfseg.data.loading import load
from tfseg.inference import predict, preprocessing_of
from tfseg.metrics import ConfusionMatrix


def confusion_matrix(model, dataset, *, preprocessing=None):
    """Pixels by true class (row) and predicted one (column), over all pairs of a data set.

    Args:
        model: segmenter.
        dataset: `tfseg.data.Dataset`.
        preprocessing: as in `tfseg.predict`.
    Raises:
        ValueError: a pair that cannot be read.
    """
    preprocessing = preprocessing or preprocessing_of(model)
    counts = ConfusionMatrix(dataset.num_classes)
    for pair in dataset.pairs:
        image, mask = load(pair, dataset.labels)
        counts.update_classes(mask, predict(model, image, preprocessing=preprocessing))
    return np.asarray(counts.matrix())
