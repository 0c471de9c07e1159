"""Turns a foreign checkpoint into a Keras model that computes the same function.

    tfseg convert fcn_resnet50_coco-1167a1af.pth --output=fcn.keras

The suffix of the output decides its format: .keras, .weights.h5, .safetensors, or a folder as `tfseg export` writes it,
with a SavedModel.
"""

import os
import pathlib
import re
from typing import TYPE_CHECKING, Any

from absl import flags, logging

from tfseg_cli import choices, flag_types, path_flags, trust_flags
from tfseg_cli.launch import UsageError, check_name, invalid, launch, show_download
from tfseg_cli.quiet import load_library
from tfseg_cli.storing import storing_or_computing

if TYPE_CHECKING:
    import numpy as np

_CHECKPOINT = path_flags.model_sources(
    "checkpoint",
    "A file, a URL, or the name of a published file. Several, with commas or spaces between them, hold one network.",
)
_OUTPUT = path_flags.output_file(
    "output",
    "Where to write; the suffix decides the format.",
    suffixes=("", ".keras", ".weights.h5", ".safetensors"),
    elsewhere={
        ".onnx": "`tfseg export --format=onnx` writes it",
        ".tflite": "`tfseg export --format=litert_float32` writes it",
        ".xml": "`tfseg export --format=openvino` writes it",
        ".pb": "`tfseg export --format=saved_model` writes it",
    },
)
_FAMILY = flag_types.text("family", None, "The family, if several fit the file; `tfseg list` prints them.")
_NETWORK = flag_types.text(
    "network", None, "The network, if several fit, or another one that takes the weights; `tfseg list` prints them."
)
_NUM_CLASSES = flag_types.integer("num_classes", None, "Number of classes of the head; by default the file's.", least=1)
_OUTPUT_STRIDE = flag_types.choice("output_stride", None, ("32", "16", "8", "4"), "Dilates the network.")
_CONVENTION = flag_types.choice(
    "convention",
    None,
    ("previous", "new", "one"),
    "Rate of the layers that lose their stride: the old one, old x stride, or 1; by default the family's.",
)
_INCLUDE_TOP = flags.DEFINE_bool("include_top", None, "Whether to keep the head; by default if the file has one.")
_AUX = flags.DEFINE_bool("aux", None, "Whether the model returns the auxiliary logits too.")
_MULTI_SCALE = flag_types.numbers(
    "multi_scale",
    None,
    "Further sizes at which DeepLabV2 sees the image, such as 0.5,0.75, or none; by default the family's.",
    above=0,
    word="none",
)
_PREPROCESSING = flag_types.text(
    "preprocessing", None, "How images are prepared: a name of tfseg.specs.PREPROCESSING; by default the family's."
)
_CLASSES = flag_types.texts("classes", None, "Names of the classes that the model carries, in order of their ids.")
_COLORS = flag_types.text(
    "colors",
    None,
    "Colors of the classes: hexadecimal ones such as 804000,00ff7f, or a text file with lines `red green blue name`, "
    "which names the classes too.",
    expected="a file, or hexadecimal colors with commas between them",
)
_DATASET = flag_types.choice(
    "dataset",
    None,
    choices.CLASS_NAMES,
    "Data set whose names and colors of classes the model carries; by default known ones of the family.",
)
_SKIP = flag_types.patterns("skip", "Regular expression of variables that keep their initial values; may be repeated.")
_PREFIX = flag_types.text(
    "prefix",
    None,
    "Text before the network's keys in the file, such as model.encoder.: what stands beside is left out. By default it "
    "is found.",
)
_PROTOTXT = path_flags.existing_file(
    "prototxt",
    "Caffe's description of the network, as deploy.prototxt: any network of common layers is built from it. With "
    "--family or --network, the file is refused unless it describes that network.",
)
_SIGNATURE = flag_types.text(
    "signature", None, "For a SavedModel, the signature whose results the model has, if it has several."
)
_OUTPUTS = flag_types.texts(
    "outputs", None, "For a TensorFlow graph, the nodes that are the results, such as logits/BiasAdd."
)
_PUBLIC = path_flags.public_code()
_INPUTS = flag_types.texts(
    "inputs", None, "For a TensorFlow graph, the node whose result is the image, after its own preprocessing."
)
_ALLOW_NONFINITE = flags.DEFINE_bool("allow_nonfinite", False, "Accept NaN and infinite weights.")
_VERIFY = flags.DEFINE_bool("verify", False, "Compare with the public implementation, and fail if it differs.")
_IMAGE = path_flags.existing_file(
    "image", "The photograph for --verify; by default examples/street.png of a clone of the repository."
)
_RECEIPT = path_flags.output_file("receipt", "Where to write the receipt, as JSON.")
_REPORT = path_flags.output_file(
    "report",
    "Where to write a page for people: what was recognized on what evidence, the layers that --verify compared, the "
    "photograph and its mask, every tensor.",
    suffixes=(".html",),
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace files that exist.")
flags.adopt_module_key_flags(trust_flags)


def main() -> None:
    """Runs `tfseg convert`."""
    launch(_convert, required=("checkpoint", "output"), positional="checkpoint")


def _convert() -> int:
    _check_files()
    classes, colors = _named_classes()

    def convert_files() -> int:
        load_library()
        with trust_flags.allowing():
            return _convert_files(classes, colors)

    is_file = pathlib.Path(_OUTPUT.value).suffix != ""
    if not is_file or _VERIFY.value or _REPORT.value or _PUBLIC.value:  # these run the network
        return convert_files()
    return storing_or_computing(convert_files, "tfseg_cli.convert")


def _convert_files(classes: "list[str] | None", colors: "list[tuple[int, int, int]] | None") -> int:
    import tfseg
    from converters import convert, verify, write_report
    from converters.conversion import save
    from converters.conversion.convert_graph import graph_path, graph_results
    from converters.families import FAMILIES
    from converters.identification.sources import fetched, open_source
    from converters.proof.verify import DivergenceError
    from converters.reading.pytorch.exported_program import is_exported_program
    from tfseg.progress import reporting

    check_name(_FAMILY, list(FAMILIES), "families")
    check_name(_NETWORK, tfseg.list_models(), "networks")
    check_name(_PREPROCESSING, list(tfseg.specs.PREPROCESSING), "ways to prepare images")
    if _DATASET.value:
        names, palette = tfseg.specs.CLASSES[_DATASET.value], tfseg.specs.COLORS[_DATASET.value]
        _check_count(_DATASET, len(names))
        classes, colors = classes or list(names), colors or list(palette)
    image = _photograph() if _VERIFY.value or (_REPORT.value and _image_path().is_file()) else None
    part = graph_results(_SIGNATURE.value, _OUTPUTS.value or (), _INPUTS.value or ())
    files = [fetched(path, show_download) for path in _CHECKPOINT.value]
    programs = [path for path in files if is_exported_program(path) or graph_path(path, part)]
    source = files if programs else open_source(_CHECKPOINT.value, progress=show_download)
    model, receipt = convert(
        source,
        family=_FAMILY.value,
        network=_NETWORK.value,
        num_classes=_NUM_CLASSES.value,
        output_stride=_OUTPUT_STRIDE.value and int(_OUTPUT_STRIDE.value),
        convention=_CONVENTION.value,
        include_top=_INCLUDE_TOP.value,
        aux=_AUX.value,
        multi_scale=_MULTI_SCALE.value,
        preprocessing=_PREPROCESSING.value,
        skip=_SKIP.value,
        prefix=_PREFIX.value,
        prototxt=_PROTOTXT.value,
        classes=classes,
        colors=colors,
        allow_nonfinite=_ALLOW_NONFINITE.value,
        public=_PUBLIC.value,
        signature=_SIGNATURE.value,
        outputs=_OUTPUTS.value or (),
        inputs=_INPUTS.value or (),
        progress=True,
    )
    facts: dict[str, Any] = {"receipt": receipt, "comparison": None, "model": model, "image": image}
    is_compared = bool(receipt.steps and receipt.parity)  # a built model was compared with its program
    try:
        if image is not None and _VERIFY.value and not is_compared:
            with reporting(True):
                facts["comparison"] = verify(model, receipt, source, image)
    except DivergenceError as error:
        if _REPORT.value:  # here it is needed most
            write_report(_REPORT.value, **{**facts, "comparison": error.comparison}, overwrite=_OVERWRITE.value)
        raise
    logging.set_verbosity(logging.ERROR)  # TensorFlow would print every step of a SavedModel
    save.save(model, _OUTPUT.value, receipt=receipt, overwrite=_OVERWRITE.value)
    if _RECEIPT.value:
        receipt.save(_RECEIPT.value, overwrite=_OVERWRITE.value)
    if _REPORT.value:
        write_report(_REPORT.value, **facts, overwrite=_OVERWRITE.value)
    print(receipt)
    print(f"written to  {_OUTPUT.value}")
    if _REPORT.value:
        print(f"report      {_REPORT.value}")
    return 0


def _check_files() -> None:
    """Refuses targets that exist, and a missing photograph, before anything is loaded."""
    for flag in (_OUTPUT, _RECEIPT, _REPORT):
        if flag.value and os.path.lexists(flag.value) and not _OVERWRITE.value:
            raise invalid(flag, "exists already. Give another path, or --overwrite to replace it")
    if _RECEIPT.value and os.path.abspath(_RECEIPT.value) == os.path.abspath(_OUTPUT.value):
        raise invalid(_RECEIPT, "expected another path than that of --output")
    if _VERIFY.value and not _image_path().is_file():
        raise UsageError("--verify needs a photograph: --image=photo.jpg")


def _named_classes() -> "tuple[list[str] | None, list[tuple[int, int, int]] | None]":
    """Names and colors of --classes and --colors."""
    classes = list(_CLASSES.value) if _CLASSES.value else None
    if _COLORS.value is None:
        colors, names = None, None
    else:
        colors, names = _read_colors()
    if classes and colors and len(classes) != len(colors):
        raise invalid(_COLORS, f"expected {len(classes)} colors, as --classes has names. Received: {len(colors)}")
    for flag, values in ((_CLASSES, classes), (_COLORS, colors)):
        if values:
            _check_count(flag, len(values))
    return classes or names, colors


def _read_colors() -> tuple[list[tuple[int, int, int]], list[str] | None]:
    """The colors of --colors, and the names of the classes if it is a file."""
    path = path_flags.expanded(_COLORS.value)
    if path.is_file():
        from tfseg_cli.palette_files import read_palette

        try:
            palette, names = read_palette(path)
        except UnicodeDecodeError:
            raise invalid(_COLORS, "expected a text file with a line `red green blue name` for each color") from None
        except ValueError as error:
            raise UsageError(f"--colors={error}") from None
        ids = list(palette.values())
        return [list(palette)[ids.index(number)] for number in range(len(names))], names
    colors = [part.strip().removeprefix("#") for part in _COLORS.value.split(",")]
    if not all(re.fullmatch(r"[0-9a-fA-F]{6}", color) for color in colors):
        raise invalid(_COLORS, "expected a file, or hexadecimal colors with commas between them, such as 804000,00ff7f")
    return [(int(color[:2], 16), int(color[2:4], 16), int(color[4:], 16)) for color in colors], None


def _check_count(flag: flags.FlagHolder[Any], count: int) -> None:
    """Refuses another number of names or colors than --num_classes says."""
    if _NUM_CLASSES.value not in (None, count):
        raise invalid(flag, f"expected {_NUM_CLASSES.value} classes, because of --num_classes. Received: {count}")


def _image_path() -> pathlib.Path:
    return pathlib.Path(_IMAGE.value or pathlib.Path(__file__).parents[1] / "examples" / "street.png")


def _photograph() -> "np.ndarray":
    """The photograph of --image, or the example's."""
    from tfseg.images import read_image

    try:
        return read_image(_image_path())
    except ValueError as error:
        raise invalid(_IMAGE, str(error)) from None


if __name__ == "__main__":
    main()
