"""`tfseg.Unet` on the classifiers of keras.applications: built, trained, saved, loaded and exported."""

import keras
import numpy as np
import pytest
from helpers.references import images, output, relative

import tfseg
from tfseg import training
from tfseg.training.step import make_step

# Those on which `dilate` is tested.
BACKBONES = """ResNet50 ResNet101 ResNet50V2 VGG16 VGG19 DenseNet121 MobileNet MobileNetV2 MobileNetV3Small
MobileNetV3Large EfficientNetB0 EfficientNetV2B0 Xception InceptionV3 InceptionResNetV2 NASNetMobile
ConvNeXtTiny""".split()
CLASSES = 3
IDENTITY = {"channel_order": "RGB", "divisor": 255.0, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
RECIPE = training.Recipe(learning_rate=0.003, batch_size=2)


def unet(name):
    size = (160, 160) if name == "NASNetMobile" else (None, None)  # NASNet's paddings are computed when it is built
    backbone = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(*size, 3))
    return tfseg.Unet(backbone, CLASSES, filters=(16, 16, 8, 8, 4))


@pytest.mark.full
@pytest.mark.parametrize("name", BACKBONES)
def test_a_unet_on_it_trains_and_is_saved_and_exported(name, tmp_path):
    model = unet(name)
    side = 160 if name in ("NASNetMobile", "InceptionV3", "InceptionResNetV2", "Xception") else 64
    pixels = images(side, side, batch=2)
    masks = (pixels[..., 0] > 0).astype("int32")
    before = output(model, pixels)
    assert before.shape == (2, side, side, CLASSES)
    training.compile_model(model, RECIPE, 2)
    step = make_step(model, RECIPE)
    losses = [float(step((pixels, masks), np.int64(number))) for number in range(2)]
    assert losses[1] < losses[0]
    after = output(model, pixels)
    # Every step of the decoder and the first layer of the backbone have learned.
    assert relative(after, before) > 1e-3
    model.save(tmp_path / "model.keras")
    assert np.array_equal(output(keras.saving.load_model(tmp_path / "model.keras"), pixels), after)
    if keras.backend.backend() == "tensorflow":
        tfseg.export(model, tmp_path / "exported", preprocessing=IDENTITY, size=(side, side))
