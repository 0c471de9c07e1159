"""The network in the form that a torch network's modules say: with their output stride, where the usual one differs."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from converters.conversion.build_network import BuildRequest, BuiltNetwork, build_network
from converters.errors import ConversionError
from converters.identification.fits import Fit
from converters.identification.sources import Source
from converters.programs.torch_modules import module_differences

_STRIDES = (8, 16, 32, 4)
# What another output stride changes; a difference in anything else says that it is no other stride.
_OF_STRIDES = (" has stride ", " has dilation ", " has pad ", "AvgPool2d", "Upsampl")


def in_stated_form(
    built: BuiltNetwork, fit: Fit, source: Source, request: BuildRequest, **options: Any
) -> tuple[BuiltNetwork, list[str]]:
    """The network that is built, or the same with the output stride that the source's modules have.

    Args:
        built: network in its usual form.
        fit: network whose names the weights have.
        source: source of the weights.
        request: what the caller asks for; who asks for a form gets it.
        options: further options of `build_network`.
    Returns: the network, and sentences for the receipt.
    """
    if not source.modules or request.output_stride is not None or request.convention is not None:
        return built, []
    live = source.module is not None
    differences = module_differences(source, built.model, fit, unused=not live)
    if not differences or not all(any(words in difference for words in _OF_STRIDES) for difference in differences):
        return built, []
    for form in _forms(fit, request):
        try:
            other = build_network(fit.network.name, fit, source, form, **options)
        except ConversionError:  # the network lacks the form
            continue
        if not module_differences(source, other.model, fit, unused=not live):
            convention = f" and convention {form.convention!r}" if form.convention else ""
            return other, [f"built with output stride {form.output_stride}{convention}, which its modules have"]
    return built, []


def _forms(fit: Fit, request: BuildRequest) -> Iterator[BuildRequest]:
    if not (fit.family.dilates and fit.network.dilates):
        return
    conventions = (None, *fit.family.conventions) if len(fit.family.conventions) > 1 else (None,)
    for convention in conventions:
        for stride in _STRIDES:
            yield dataclasses.replace(request, output_stride=stride, convention=convention)
