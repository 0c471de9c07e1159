"""GeoTIFFs, arrays, and a segmenter of many channels."""

import pathlib

import keras
import numpy as np

import tfseg
from tfseg.preprocessing import stored_preprocessing

MEAN, STD = (1000, 200, 50, 0.5), (300, 90, 7, 0.1)  # of four channels as different as those of satellites


def channels(seed: int = 0, size: tuple[int, int] = (12, 16), count: int = 4) -> np.ndarray:
    """Values of some channels, float32."""
    normal = np.random.default_rng(seed).normal(size=(*size, count))
    return (normal * (STD * 3)[:count] + (MEAN * 3)[:count]).astype("float32")


def write_geotiff(path: pathlib.Path, array: np.ndarray, **options: object) -> pathlib.Path:
    """Writes channels as rasterio does, at a place on Earth."""
    import rasterio

    height, width, count = array.shape
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500000, 0, -10, 4600000)}
    profile = {"driver": "GTiff", "width": width, "height": height, "count": count, "dtype": array.dtype.name}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **(profile | place | options)) as file:
        file.write(np.moveaxis(array, -1, 0))
    return path


def pixelwise_segmenter(num_classes: int = 3, count: int = 4) -> keras.Model:
    """A model of many channels whose logits are sums of the scaled channels of the same pixel."""
    image = keras.Input((None, None, count), name="image")
    x = tfseg.layers.Metadata(stored_preprocessing((MEAN * 3)[:count], (STD * 3)[:count]))(image)
    model = keras.Model(image, keras.layers.Conv2D(num_classes, 1, name="logits")(x), name="pixelwise")
    kernel = np.random.default_rng(1).normal(size=(1, 1, count, num_classes))
    model.get_layer("logits").set_weights([kernel, np.zeros(num_classes)])
    return model


def expected_classes(model: keras.Model, image: np.ndarray) -> np.ndarray:
    """What `pixelwise_segmenter` computes, in NumPy; missing data counts as the mean."""
    count = image.shape[-1]
    scaled = (image.astype("float64") - (MEAN * 3)[:count]) / (STD * 3)[:count]
    kernel = keras.ops.convert_to_numpy(model.get_layer("logits").kernel)[0, 0]
    return (np.nan_to_num(scaled, nan=0) @ kernel).argmax(axis=-1)
