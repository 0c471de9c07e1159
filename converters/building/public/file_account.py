"""The receipt of a model that was built from a package's code and a file's tensors."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

import tfseg
from converters.building.assemble import BuiltProgram
from converters.building.public.fill_module import FilledModule
from converters.identification.sources import Source
from converters.weights.receipts import Receipt


def account_for_file(
    built: BuiltProgram,
    source: Source,
    filled: FilledModule,
    *,
    family: str,
    network: str,
    ignored: Mapping[str, str],
    notes: Sequence[str],
) -> BuiltProgram:
    """The same model, with a receipt that is about the file: each of its tensors, under its own name and type.

    Args:
        built: model that was built from the filled module.
        source: tensors under the module's keys, or under those of the file if its package renamed them.
        filled: the module, with what filled it.
        family: what the receipt calls the family.
        network: what it calls the network.
        ignored: key in the file -> why it was left out.
        notes: sentences that come first.
    """
    receipt = built.receipt
    receipt.source, receipt.family, receipt.network = source.name, family, network
    receipt.files = [
        {"path": str(file), "size": file.stat().st_size, "sha256": source.digest(file, "sha256")}
        for checkpoint in source.checkpoints
        for file in checkpoint.files
    ]
    receipt.tensors = [_row(row, source, filled) for row in receipt.tensors]
    read = {row["key"] for row in receipt.tensors}
    unread = {_in_file(key, source, filled): why for key, why in receipt.ignored.items() if key in filled.keys}
    receipt.ignored = {key: why for key, why in unread.items() if key not in read}
    receipt.ignored |= {source.name_in_file(key): why for key, why in filled.ignored.items()} | dict(ignored)
    receipt.notes[:0] = [
        *notes,
        f"every tensor of the file is used, and each of the {len(filled.keys)} tensors of the module is filled",
    ]
    return built


def carry_facts(
    model: keras.Model,
    receipt: Receipt,
    *,
    preprocessing: Mapping[str, Any] | None = None,
    classes: Sequence[str] = (),
    origin: str = "",
) -> None:
    """Lets a model carry the preprocessing and the names of classes that stand beside its weights.

    What the module itself says counts first.

    Args:
        model: built model.
        receipt: receipt of it.
        preprocessing: preprocessing of the images; None: not known.
        classes: names of the classes; another number than the model has is left out.
        origin: where they stand.
    """
    channels = len(model.inputs) == 1 and model.inputs[0].shape[-1]
    known = tfseg.metadata(model)
    if known["preprocessing"] is None and preprocessing is not None and len(preprocessing["mean"]) == channels:
        tfseg.set_metadata(model, preprocessing=dict(preprocessing))
        receipt.preprocessing = preprocessing
        receipt.notes.append(f"its preprocessing is what {origin} says")
    if not known["classes"] and classes and len(classes) == model.outputs[0].shape[-1]:
        tfseg.set_metadata(model, classes=list(classes))
        receipt.notes.append(f"its classes are those that {origin} names")


def _row(row: dict[str, Any], source: Source, filled: FilledModule) -> dict[str, Any]:
    key = filled.keys.get(row["key"])
    if key is None:
        return row
    return row | {"key": source.name_in_file(key), "dtype": str(source.dtypes[key])}


def _in_file(key: str, source: Source, filled: FilledModule) -> str:
    return source.name_in_file(filled.keys[key])
