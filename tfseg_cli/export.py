"""Writes a model in the formats that deployments run, and compares each artifact with the model.

    tfseg-export --model=street.keras --output=street --format=saved_model --format=onnx

It creates the folder street: 1/ for TensorFlow Serving, model.onnx, metadata.json, and export.json, which says how much
each artifact differs from the model.
"""

import pathlib

from absl import flags, logging

from tfseg_cli.launch import launch

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "The network: a .keras file, a folder of tfseg-export, or what tfseg-convert reads.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "The folder to create.", required=True)
_FORMAT = flags.DEFINE_multi_string(
    "format",
    ["saved_model"],
    "What to write; may be repeated: saved_model, litert_float32, litert_float16, litert_dynamic_int8, litert_int8, "
    "onnx, openvino, keras, weights_h5, safetensors.",
)
_PREPROCESSING = flags.DEFINE_string(
    "preprocessing",
    None,
    "How the images are prepared, as torch or caffe, if the model does not say it: a name of "
    "tfseg.specs.PREPROCESSING.",
)
_CALIBRATION = flags.DEFINE_string("calibration", None, "For litert_int8: a directory of photographs, or a pattern.")
_SIZE = flags.DEFINE_list(
    "size", None, "Height and width of the images that the artifacts take, as in 512,1024; by default any size."
)
_OPTIMIZE = flags.DEFINE_bool("optimize", False, "Whether to rewrite the network for speed first.")
_RECEIPT = flags.DEFINE_string("receipt", None, "File of tfseg-convert --receipt; metadata.json keeps its text.")


def main() -> None:
    """Runs `tfseg-export`."""
    launch(_export)


def _export() -> int:
    import tfseg
    from tfseg.exporting import summary

    logging.set_verbosity(logging.ERROR)  # TensorFlow and tf2onnx would print every step
    model = tfseg.load(_MODEL.value)
    folder = tfseg.export(
        tfseg.optimize(model) if _OPTIMIZE.value else model,
        _OUTPUT.value,
        _FORMAT.value,
        preprocessing=_PREPROCESSING.value,
        calibration=_CALIBRATION.value,
        size=_size(),
        receipt=_RECEIPT.value and pathlib.Path(_RECEIPT.value).read_text(),
    )
    print(summary(folder))
    return 0


def _size() -> tuple[int, int] | None:
    """Height and width of --size."""
    if _SIZE.value is None:
        return None
    try:
        height, width = map(int, _SIZE.value)
    except ValueError:
        raise ValueError(
            f"--size is height and width, in pixels, as in 512,1024. Received: {','.join(_SIZE.value)}"
        ) from None
    return height, width


if __name__ == "__main__":
    main()
