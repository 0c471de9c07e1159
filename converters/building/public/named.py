"""A file of weights and the code that a user names for them: a Keras model of the network that the code builds."""

from collections.abc import Sequence
from typing import Any

from converters.building.assemble import BuiltProgram
from converters.building.build import build_from_module
from converters.building.public.blank_module import build_blank
from converters.building.public.callables import PublicCallable, find_callable
from converters.building.public.file_account import account_for_file
from converters.building.public.fill_module import fill
from converters.building.public.matching_tensors import MatchingTensors, match_tensors
from converters.building.public.mismatches import other_head
from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.reading.files import naming

FAMILY = "public code"
"""What a receipt calls the family of a model whose code the user named."""


def build_from_public(
    source: Source,
    public: Any,
    *,
    prefix: str | None = None,
    skip: Sequence[str] = (),
    example: Any = None,
    allow_nonfinite: bool = False,
) -> BuiltProgram:
    """A Keras model of the network that a callable builds, with the weights of a file.

    The callable runs, and what its module imports. Nothing of the file runs.

    Args:
        source: the opened file.
        public: text such as "torchvision.models:resnet18(num_classes=5)"; or a callable without arguments.
        prefix: text before the network's keys in the file; None: found.
        skip: regular expressions of tensors in the file that are left out.
        example: an image that the network takes, as for `build_from_module`.
        allow_nonfinite: accept NaN and infinite weights.
    Raises:
        ConversionError: no such callable, or it builds another network; and as `build_from_module`.
    """
    code, module, matched = _matched(source, public, prefix, skip)
    with naming(source.name):
        filled = fill(module, matched.source, allow_nonfinite=allow_nonfinite)
    built = build_from_module(module, example=example)
    added = ", ".join(f"{name}={value!r}" for name, value in code.added.items())
    notes = [f"its network is what {code.text} builds ({code.package()})"]
    notes += [f"called with {added}, since the file has the weights"] if added else []
    return account_for_file(
        built,
        matched.source,
        filled,
        family=FAMILY,
        network=code.text,
        ignored=matched.ignored,
        notes=[*notes, *matched.notes],
    )


def match_public(source: Source, public: Any, *, prefix: str | None = None) -> str:
    """A sentence which says that the tensors of a file are those of the network that a callable builds.

    Args:
        source: the opened file.
        public: text or callable as for `build_from_public`, which runs.
        prefix: text before the network's keys in the file; None: found.
    Raises:
        ConversionError: as `build_from_public`: no such callable, or it builds another network.
    """
    code, module, matched = _matched(source, public, prefix, ())
    lines = [
        f"public code: {code.text} builds it ({type(module).__name__} of {code.package()})",
        f"  all {len(matched.source)} tensors have the names and shapes of that module",
    ]
    return "\n".join([*lines, *(f"  {note}" for note in matched.notes)])


def _matched(
    source: Source, public: Any, prefix: str | None, skip: Sequence[str]
) -> tuple[PublicCallable, Any, MatchingTensors]:
    """The callable, the module that it builds, and the tensors of the file that fill it."""
    if source.module is not None or any(checkpoint.graph is not None for checkpoint in source.checkpoints):
        kind = "a live torch module" if source.module is not None else "an ONNX file"
        raise ConversionError(
            f"public= names the code of a network for a file of weights. {source.name} is {kind}, which has its own "
            "program: leave public= out."
        )
    code = find_callable(public)
    module = build_blank(code.build)
    matched = match_tensors(module, source, prefix=prefix, skip=skip)
    if matched.mismatches:
        raise _refusal(source, code, module, matched)
    return code, module, matched


def _refusal(source: Source, code: PublicCallable, module: Any, matched: MatchingTensors) -> ConversionError:
    """The error for a callable that builds another network than the file's."""
    head = other_head(matched.mismatches, code.arguments())
    if head:
        call = code.with_arguments(**{head.argument: head.classes})
        way = f'The head of the file has {head.classes} classes: public="{call}".'
    else:
        way = "Give the callable or the arguments that built the file's network, or install its version of the package."
        if matched.mismatches.unused and not matched.mismatches.missing:
            way += " Tensors that the network does not need are left out with skip= (--skip)."
    under = f" under {matched.prefix!r}" if matched.prefix else ""
    return ConversionError(
        f"{source.name} does not have the network that public={code.text!r} builds. Compared with the "
        f"{type(module).__name__} of {code.package()}, with the file's tensors{under}: {matched.mismatches}. {way} "
        f"Received: {len(source)} tensors."
    )
