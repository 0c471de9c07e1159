"""Writes the class of every pixel of every image, and the image under the colours of its classes.

    tfseg-predict --model=street.keras --images='photos/*.jpg' --output=maps

makes of photos/NAME.jpg maps/NAME.png, a mask whose pixel values are the classes, and maps/NAME_overlay.jpg. Results
that exist are kept, so that an interrupted run goes on where it stopped.
"""

import pathlib

from absl import flags

from converters.commands.launching import launch
from tfseg import folders, specs
from tfseg.commands.common import load_model
from tfseg.progress import track

_MODEL = flags.DEFINE_string("model", None, "The network, a .keras file.", required=True)
_IMAGES = flags.DEFINE_string("images", None, "A directory of images, or a quoted pattern.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Directory of the results, made if need be.", required=True)
_PREPROCESSING = flags.DEFINE_enum(
    "preprocessing",
    None,
    list(specs.PREPROCESSING),
    "How the network's input is prepared, if the model does not say it.",
)
_OVERLAYS = flags.DEFINE_bool("overlays", True, "Whether to draw overlays, or write masks alone.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether to make results anew that exist.")


def main():
    launch(_predict)


def _predict():
    output = pathlib.Path(_OUTPUT.value)
    images = folders.find_images(_IMAGES.value)
    jobs = folders.plan(images, output, overlays=_OVERLAYS.value, overwrite=_OVERWRITE.value)
    failed = []
    if jobs:
        model = load_model(_MODEL.value)
        output.mkdir(parents=True, exist_ok=True)
        failed = folders.predict_jobs(model, track(jobs), preprocessing=_PREPROCESSING.value)
    print(f"{output}: {len(jobs) - len(failed)} images predicted, {len(images) - len(jobs)} kept, {len(failed)} failed")
    return "\n".join(f"failed: {image}: {reason}" for image, reason in failed) or 0


if __name__ == "__main__":
    main()
