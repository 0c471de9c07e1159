"""Inspects a data set before hours are lost on it.

    tfseg inspect-data mine --num_classes=5 --contact_sheet=mine.png

Reads every photograph and mask once and reports unusable pairs, sizes, class frequencies and what is strange. The exit
code is 0 if nothing spoils a training. It prints the mean and the deviation of the channels as flags of `tfseg train`.
They matter for images of other channels than a photograph's:

    tfseg inspect-data fields --num_classes=4 --channels=6 --split=train --json=fields.json
    tfseg train fields --num_classes=4 --channels=6 --statistics=fields.json --model=fcn_resnet18 --run=runs/fields
"""

from absl import flags

from tfseg_cli import datasets, path_flags
from tfseg_cli.launch import launch
from tfseg_cli.quiet import load_library

_SPLIT = path_flags.split("split", None, "Which split; by default all of a folder, or the training set.")
_CONTACT_SHEET = path_flags.output_file(
    "contact_sheet", "Where to write an image of some pairs; a file that exists is replaced.", suffixes=(".png",)
)
_JSON = path_flags.output_file("json", "Where to write all figures, as JSON; a file that exists is replaced.")
flags.adopt_module_key_flags(datasets)


def main() -> None:
    """Runs `tfseg inspect-data`."""
    launch(_inspect, required=("data",), positional="data")


def _inspect() -> int:
    datasets.check_flags()
    load_library()
    from tfseg import data

    dataset = datasets.open_dataset(_SPLIT.value or None)
    inspection = data.inspect_dataset(dataset, others=datasets.other_splits(_SPLIT.value), progress=True)
    if _CONTACT_SHEET.value:
        data.contact_sheet(dataset, _CONTACT_SHEET.value)
    if _JSON.value:
        inspection.save(_JSON.value)
    print(inspection)
    if _CONTACT_SHEET.value:
        print(f"written to {_CONTACT_SHEET.value}")
    return 1 if inspection.spoils else 0


if __name__ == "__main__":
    main()
