"""Looks at a data set before hours are lost on it.

    tfseg-inspect-data --data=mine --num_classes=5 --contact_sheet=mine.png

Reads every photograph and mask once: what cannot be used and why, sizes, how frequent the classes are. The exit code
tells whether all of it can be used.
"""

from absl import flags

from tfseg import data
from tfseg.progress import track
from tfseg_cli import datasets
from tfseg_cli.launch import launch

_SPLIT = flags.DEFINE_string("split", None, "Which part of it; by default all of a folder, else the training set.")
_CONTACT_SHEET = flags.DEFINE_string("contact_sheet", None, "Where to write a picture of some pairs, as PNG.")
flags.adopt_module_key_flags(datasets)


def main():
    launch(_inspect)


def _inspect():
    dataset = datasets.open_dataset(_SPLIT.value)
    found = data.inspect_dataset(dataset, track=track)
    print(found)
    if _CONTACT_SHEET.value:
        data.contact_sheet(dataset, _CONTACT_SHEET.value)
        print(f"written to {_CONTACT_SHEET.value}")
    return 1 if found.faults else 0


if __name__ == "__main__":
    main()
