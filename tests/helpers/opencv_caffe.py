"""Caffe networks run by OpenCV's importer."""

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")


def opencv(paths, pixels, layer):
    net = cv2.dnn.readNetFromCaffe(*map(str, paths))
    net.enableWinograd(False)
    net.setInput(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    result = net.forward(layer)
    return np.moveaxis(result, 1, -1) if result.ndim == 4 else result
