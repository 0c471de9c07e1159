"""The account of an import: every tensor, where it went, and what was left."""

import dataclasses
import importlib.metadata
import json
import math
import platform
import re
from collections import Counter

from converters.writing.files import atomic


@dataclasses.dataclass
class Receipt:
    """What an import or an export did; prints in about ten lines, `save`s as JSON.

    Attributes:
        source: name of what was read or written.
        files: `{"path", "size", "sha256"}` of each file; the size in bytes.
        model: the model's name.
        family, network: recognised or asked for.
        options: what the network was built with, where `convert` built it.
        others: other families and networks that the tensors fit, with what would differ.
        transplant: in words, where weights went into another network.
        notes: in words, what else is to know of the weights.
        tensors: `{"key", "shape", "dtype", "path", "layout"}`: each source tensor and the variable it fills.
        ignored: source key -> why it was left out.
        untouched: variable path -> why it kept its value.
        dtype: of the model's variables.
        preprocessing: what the family's networks take.
        prototxt: what was found equal to a description of the network, if one was given.
        parity: of a comparison with the public implementation, if one was made.
        versions: of what did it.
    """

    source: str
    model: str
    family: str
    network: str
    files: list = dataclasses.field(default_factory=list)
    options: dict = dataclasses.field(default_factory=dict)
    others: list = dataclasses.field(default_factory=list)
    transplant: str = ""
    notes: list = dataclasses.field(default_factory=list)
    tensors: list = dataclasses.field(default_factory=list)
    ignored: dict = dataclasses.field(default_factory=dict)
    untouched: dict = dataclasses.field(default_factory=dict)
    dtype: str = ""
    preprocessing: dict | None = None
    prototxt: str | None = None
    parity: dict | None = None
    versions: dict = dataclasses.field(default_factory=lambda: versions())

    def save(self, path, *, overwrite=False):
        """Writes the receipt as JSON.

        Raises:
            ConversionError: the file exists and `overwrite` is not set, or it cannot be written.
        """
        with atomic(path, overwrite=overwrite) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")

    def __str__(self):
        parameters = sum(math.prod(tensor["shape"]) for tensor in self.tensors)
        stored = "/".join(sorted({tensor["dtype"] for tensor in self.tensors}))
        lines = [f"{self.source} -> {self.model}"]
        lines += [f"  file        {one['size']:,} bytes, sha256 {one['sha256']}" for one in self.files]
        lines += [f"  family      {self.family}, {self.network}"]
        lines += [f"  built with  {_listed(self.options)}"] if self.options else []
        lines += [f"  also fits   {other}" for other in self.others]
        lines += [f"  transplant  {self.transplant}"] if self.transplant else []
        lines += [f"  note        {note}" for note in self.notes]
        lines += [f"  filled      {len(self.tensors)} tensors, {parameters:,} numbers, {stored} -> {self.dtype}"]
        lines += [f"  ignored     {line}" for line in _grouped(self.ignored)]
        lines += [f"  untouched   {line}" for line in _grouped(self.untouched)]
        if self.preprocessing:
            lines += [f"  input       {_listed(self.preprocessing)}"]
        lines += [f"  as said by  {self.prototxt}"] if self.prototxt else []
        if self.parity:
            lines += [f"  parity      {_listed(self.parity)}"]
        return "\n".join([*lines, f"  versions    {_listed(self.versions)}"])


def versions():
    """The versions of what computes the result."""
    found = {"python": platform.python_version()}
    for package in ("tfseg", "keras", "tensorflow", "numpy"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _listed(facts):
    def text(value):
        if isinstance(value, list | tuple):
            return "/".join(map(str, value))
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{key} {text(value)}" for key, value in facts.items())


def _grouped(reasons):
    """One line a reason: how many, and the names, numbers in them as `*`."""
    groups = {}
    for name, why in reasons.items():
        groups.setdefault(why, Counter())[re.sub(r"\d+", "*", name)] += 1
    for why, names in groups.items():
        listed = list(names)
        more = ", ..." if len(listed) > 4 else ""
        yield f"{names.total()} ({', '.join(listed[:4])}{more}): {why}"
