"""The network that a source's own description agrees with, among those whose tensors it has."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import keras

from converters.conversion.build_network import BuildRequest, BuiltNetwork, build_network
from converters.conversion.stated_form import in_stated_form
from converters.errors import ConversionError
from converters.identification.agreement import Agreement
from converters.identification.fits import Candidates, Fit
from converters.identification.sources import Source
from converters.programs.check_source import check_source
from converters.programs.keras_ends import add_stated_end
from converters.programs.torch_modules import check_forward, check_modules


@dataclasses.dataclass(frozen=True)
class AgreeingNetwork:
    """An empty network that is what the source says of itself, where it says anything.

    Attributes:
        fit: network whose names the tensors have.
        model: the model.
        built: how it was built.
        agreement: what is stated beside the tensors.
        notes: sentences for the receipt: what was compared, and what could not be.
    """

    fit: Fit
    model: keras.Model
    built: BuiltNetwork
    agreement: Agreement
    notes: list[str]


def agreeing_network(
    candidates: Candidates, fit: Fit, request: BuildRequest, *, network: str | None, skip: Sequence[str] = ()
) -> AgreeingNetwork:
    """Builds the network of a fit; where the source's program contradicts it, that of another fit that agrees.

    Several networks have the same tensors: the program tells which one the source is. A network that the caller names
    is not exchanged for one of another name.

    Args:
        candidates: networks that the source could be.
        fit: the one among them that the names say.
        request: what the caller asks for.
        network: name of the network that the caller asks for.
        skip: regular expressions of tensors and variables that are left alone.
    Raises:
        ConversionError: no fit agrees; it says how the first one differs.
    """
    wanted = _Wanted(candidates, request, network, skip)
    refusals: list[ConversionError] = []
    usual: list[tuple[Fit, BuiltNetwork, Agreement]] = []
    for other in (fit, *_others(candidates, fit, network)):
        try:
            built, agreement = wanted.build(other)
            usual.append((other, built, agreement))
            chosen = wanted.check(other, built, agreement)
        except ConversionError as refusal:
            refusals.append(refusal)
            continue
        return chosen if other is fit else dataclasses.replace(chosen, notes=[_note(fit, other), *chosen.notes])
    for other, built, agreement in usual:
        form = wanted.in_stated_form(other, built, agreement)
        with contextlib.suppress(ConversionError):
            if form is not None:
                return wanted.check(other, form[0], agreement, form[1])
    raise refusals[0]


def _others(candidates: Candidates, fit: Fit, network: str | None) -> Iterator[Fit]:
    """The other fits that a program can choose, one for each function."""
    if not _tells(candidates.source) or network not in (None, fit.network.name):
        return
    tried = [_function(fit)]
    for other in candidates.matches:
        if network in (None, other.network.name) and not other.is_any_trunk and _function(other) not in tried:
            tried.append(_function(other))
            yield other


def _tells(source: Source) -> bool:
    """Whether the source describes what it computes."""
    configured = any(checkpoint.keras_config for checkpoint in source.checkpoints)
    return configured or bool(source.modules) or source.graph is not None


def _function(fit: Fit) -> object:
    return fit.network.name, {**fit.family.options, **fit.network.options}


def _note(fit: Fit, other: Fit) -> str:
    return (
        f"its tensors fit {' '.join(fit.names)}, too, which is not what it says that it computes: {other.names[1]} is"
    )


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """What the caller asks for, of any of the fits."""

    candidates: Candidates
    request: BuildRequest
    network: str | None
    skip: Sequence[str]

    def build(self, fit: Fit) -> tuple[BuiltNetwork, Agreement]:
        """The network of a fit in its usual form.

        Raises:
            ConversionError: the source is only a part of it, has another head, or states something else.
        """
        source, target, with_head = self.candidates.source, self.target(fit), self.request.include_top is not False
        if with_head or fit.differences:
            fit.check_parts(source)
        if with_head and target == fit.network.name:
            fit.check_head(source, self.skip)
        agreement = self.candidates.agree(fit, network=self.network, head=with_head)
        return build_network(target, fit, source, self.request, stated=agreement.options), agreement

    def in_stated_form(
        self, fit: Fit, built: BuiltNetwork, agreement: Agreement
    ) -> tuple[BuiltNetwork, list[str]] | None:
        """The network in the form that the source's modules have; None if that is the usual one, or none."""
        if self.target(fit) != fit.network.name:
            return None
        form, notes = in_stated_form(built, fit, self.candidates.source, self.request, stated=agreement.options)
        return (form, notes) if notes else None

    def check(self, fit: Fit, built: BuiltNetwork, agreement: Agreement, notes: Sequence[str] = ()) -> AgreeingNetwork:
        """The network, held against what the source says that it computes.

        Raises:
            ConversionError: it is something else.
        """
        source, request, skip = self.candidates.source, self.request, self.skip
        whole, with_head = self.target(fit) == fit.network.name, request.include_top is not False
        model = add_stated_end(built.model, source) if whole and with_head else built.model
        asked = request.output_stride is not None or request.convention is not None
        named, live = self.network is not None, source.module is not None and bool(source.modules)
        checked = check_source(source, model, fit, asked=asked, features=not with_head, skip=skip, named=named)
        check_modules(source, model, fit, asked=asked, whole=whole, unused=not live)
        if not live:  # a live module is run when the model is filled
            checked += check_forward(source, fit, named=named)
        return AgreeingNetwork(fit, model, built, agreement, [*notes, *checked])

    def target(self, fit: Fit) -> str:
        """Name of the network to build."""
        return self.network or fit.network.name
