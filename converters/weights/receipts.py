"""The account of an import: every tensor, which variable it filled, and what was left out."""

import dataclasses
import importlib.metadata
import json
import math
import platform
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from converters.types import Path
from converters.writing.files import atomic


@dataclasses.dataclass
class Receipt:
    """What an import or an export did; prints in about ten lines, `save`s as JSON.

    Attributes:
        source: name of what was read or written.
        model: name of the model.
        family: name of the family, identified or asked for.
        network: name of the network, identified or asked for.
        files: `{"path", "size", "sha256"}` of each file; the size in bytes.
        options: options that `convert` built the network with.
        others: other families and networks that the tensors fit, with what would differ.
        prefix: prefix of the network's keys that was asked for; None: it was found.
        transplant: name of the transplant (partial load), where weights went into another network.
        notes: further sentences about the weights.
        tensors: `{"key", "shape", "dtype", "path", "layout"}`: each source tensor and the variable it fills.
        steps: `{"step", "operation", "module", "layers"}`: each step of a program that a model was built from, and the
            layers that compute it; without layers, `"why"`.
        ignored: source key -> why it was left out.
        untouched: variable path -> why it kept its value.
        dtype: type of the model's variables.
        preprocessing: preprocessing that the family's networks expect.
        prototxt: result of the comparison with a prototxt, if one was given.
        parity: result of the comparison with the public implementation, if one was made.
        versions: versions of Python and of the packages that did the work.

    Example:
        >>> model, receipt = converters.convert("street.pth")
        >>> receipt.family, receipt.network, receipt.options["num_classes"]
        ('torchvision/segmentation', 'fcn_resnet18', 11)
        >>> receipt.save("receipt.json")
    """

    source: str
    model: str
    family: str
    network: str
    files: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    others: list[str] = dataclasses.field(default_factory=list)
    prefix: str | None = None
    transplant: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)
    tensors: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    steps: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    ignored: dict[str, str] = dataclasses.field(default_factory=dict)
    untouched: dict[str, str] = dataclasses.field(default_factory=dict)
    dtype: str = ""
    preprocessing: Mapping[str, Any] | None = None
    prototxt: str | None = None
    parity: dict[str, Any] | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=lambda: package_versions())

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Writes the receipt as JSON.

        Args:
            path: where the file is written.
            overwrite: whether a file at `path` is replaced.
        Raises:
            ConversionError: the file exists and `overwrite` is not set, or it cannot be written.
        """
        with atomic(path, overwrite=overwrite) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        parameters = sum(math.prod(tensor["shape"]) for tensor in self.tensors)
        stored = "/".join(sorted({tensor["dtype"] for tensor in self.tensors}))
        lines = [f"{self.source} -> {self.model}"]
        lines += [f"  file        {file['size']:,} bytes, sha256 {file['sha256']}" for file in self.files]
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


def package_versions() -> dict[str, str]:
    """The versions of Python and of the packages that compute the result."""
    versions = {"python": platform.python_version()}
    for package in ("tfseg", "keras", "tensorflow", "numpy"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _listed(facts: Mapping[str, Any]) -> str:
    def text(value: Any) -> str:
        if isinstance(value, list | tuple):
            return "/".join(map(str, value))
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{key} {text(value)}" for key, value in facts.items())


def _grouped(reasons: Mapping[str, str]) -> Iterator[str]:
    """One line for each reason: how many, and the names, numbers in them as `*`."""
    groups: dict[str, Counter[str]] = {}
    for name, why in reasons.items():
        groups.setdefault(why, Counter())[re.sub(r"\d+", "*", name)] += 1
    for why, names in groups.items():
        listed = list(names)
        more = ", ..." if len(listed) > 4 else ""
        yield f"{names.total()} ({', '.join(listed[:4])}{more}): {why}"
