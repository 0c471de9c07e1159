"""`tfseg.Unet` on the classifiers of keras.applications: built, trained, saved, loaded and exported."""

import keras
import pytest
from helpers.unet_steps import trains_and_is_exported

import tfseg

# Those on which `dilate` is tested.
BACKBONES = """ResNet50 ResNet101 ResNet50V2 VGG16 VGG19 DenseNet121 MobileNet MobileNetV2 MobileNetV3Small
MobileNetV3Large EfficientNetB0 EfficientNetV2B0 Xception InceptionV3 InceptionResNetV2 NASNetMobile
ConvNeXtTiny""".split()
LARGE_IMAGES = ("NASNetMobile", "InceptionV3", "InceptionResNetV2", "Xception")


@pytest.mark.full
@pytest.mark.parametrize("name", BACKBONES)
def test_a_unet_on_it_trains_and_is_saved_and_exported(name, tmp_path):
    size = (160, 160) if name == "NASNetMobile" else (None, None)  # NASNet's paddings are computed when it is built
    backbone = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(*size, 3))
    model = tfseg.Unet(backbone, 3, filters=(16, 16, 8, 8, 4))
    formats = (
        ("saved_model", "onnx", "litert_float32") if name in ("MobileNetV2", "EfficientNetB0") else ("saved_model",)
    )
    trains_and_is_exported(model, 160 if name in LARGE_IMAGES else 64, tmp_path, formats)
