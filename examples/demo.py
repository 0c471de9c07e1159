"""Imports a trained PyTorch checkpoint into Keras, proves the import, segments a photograph, and shows it."""

import json
import pathlib
import sys

import keras
import numpy as np
from PIL import Image

import converters
import tfseg
from tfseg import drawing
from tfseg.images import read_image
from tfseg.preprocessing import preprocess

HERE = pathlib.Path(__file__).parent
OUT = HERE.parent / "out"


def main() -> None:
    """Runs the four steps and prints their results."""
    checkpoint = HERE / "fcn_resnet18_w50_os8_camvid.pth"
    print(f"\n1. Recognize\n\n{converters.identify(checkpoint)}")

    model, receipt = converters.convert(checkpoint)
    print(f"\n2. Import\n\n{receipt}")

    card = json.loads((HERE / "card.json").read_text())
    tfseg.set_metadata(model, classes=card["classes"], colors=tfseg.specs.COLORS["camvid"])

    photograph = read_image(HERE / "street.png")
    images = preprocess(photograph, tfseg.metadata(model)["preprocessing"])[None]
    with np.load(HERE / "street_logits.npz") as computed_by_torch:
        logits = computed_by_torch["logits"]
    comparison = converters.compare(model, {"logits": logits.reshape(1, *logits.shape[-3:])}, images)
    classes = tfseg.predict(model, photograph)
    agreement = np.mean(classes == np.asarray(Image.open(HERE / "street_classes.png")))
    print(f"\n3. Prove: against what PyTorch computed\n\n{comparison}")
    print(f"{agreement:.4%} of the pixels have PyTorch's class")
    comparison.assert_close(1e-5)

    OUT.mkdir(exist_ok=True)
    model.save(OUT / "street.keras")
    loaded = keras.saving.load_model(OUT / "street.keras")
    picture = before_and_after(loaded, photograph)
    picture.save(OUT / "street_overlay.png")
    print("\n4. Segment and see\n")
    if sys.stdout.isatty():
        show(picture)
    print(f"model    {OUT / 'street.keras'}\npicture  {OUT / 'street_overlay.png'}")


def before_and_after(model: keras.Model, photograph: np.ndarray, width: int = 598) -> Image.Image:
    """The picture of README: the photograph, and its classes over it, enlarged so that small ones are visible.

    Args:
        model: a segmenter.
        photograph: uint8 `(height, width, 3)`, RGB.
        width: width of each half, in pixels.
    """
    size = width, round(width * photograph.shape[0] / photograph.shape[1])
    probabilities = tfseg.predict(model, photograph, return_probabilities=True)
    enlarged = [
        Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR) for plane in np.moveaxis(probabilities, -1, 0)
    ]
    classes = np.argmax(np.stack(enlarged), axis=0)
    large = np.asarray(Image.fromarray(photograph).resize(size, Image.Resampling.LANCZOS))
    metadata = tfseg.metadata(model)
    return drawing.overlay(large, classes, metadata["colors"], metadata["classes"], side_by_side=True)


def show(picture: Image.Image, columns: int = 100) -> None:
    """Prints an image to a terminal: two pixels per character, in its foreground and its background color.

    Args:
        picture: image in RGB.
        columns: width in characters.
    """
    rows = 2 * round(columns * picture.height / picture.width / 2)
    pixels = np.asarray(picture.convert("RGB").resize((columns, rows), Image.Resampling.LANCZOS))
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        cells = (
            "\x1b[38;2;{};{};{}m\x1b[48;2;{};{};{}m▀".format(*top, *bottom)
            for top, bottom in zip(upper, lower, strict=True)
        )
        print("".join(cells) + "\x1b[0m")


if __name__ == "__main__":
    main()
