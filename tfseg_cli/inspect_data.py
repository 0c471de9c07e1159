"""Inspects a data set before hours are lost on it.

    tfseg-inspect-data --data=mine --num_classes=5 --contact_sheet=mine.png

Reads every photograph and mask once and reports unusable pairs, sizes and class frequencies. The exit code is 0 if all
pairs can be used.
"""

from absl import flags

from tfseg_cli import datasets
from tfseg_cli.launch import launch

_SPLIT = flags.DEFINE_string("split", None, "Which split; by default all of a folder, or the training set.")
_CONTACT_SHEET = flags.DEFINE_string("contact_sheet", None, "Where to write an image of some pairs, as PNG.")
flags.adopt_module_key_flags(datasets)


def main() -> None:
    """Runs the command."""
    launch(_inspect)


def _inspect() -> int:
    from tfseg import data

    dataset = datasets.open_dataset(_SPLIT.value)
    inspection = data.inspect_dataset(dataset, progress=True)
    print(inspection)
    if _CONTACT_SHEET.value:
        data.contact_sheet(dataset, _CONTACT_SHEET.value)
        print(f"written to {_CONTACT_SHEET.value}")
    return 1 if inspection.faults else 0


if __name__ == "__main__":
    main()
