"""What a torch module does in training and its evaluation trace does not show.

A trace of evaluation mode has dropouts, which do nothing there, but not whether they act in training: `F.dropout(x,
training=self.training)` does and `F.dropout(x, training=False)` does not. So a copy of the module is run once in
training mode, and the calls that it makes are noted by module.
"""

import copy
import dataclasses
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from converters.building.graph import GraphStep, ProgramGraph
from converters.building.stochastic_depth import STEP, RandomDepth
from converters.proof.module_arguments import Arguments

_DROPOUTS = {
    "dropout": "dropout",
    "dropout_": "dropout",
    "feature_dropout": "feature_dropout",
    "feature_dropout_": "feature_dropout",
    "dropout1d": "feature_dropout",
    "dropout2d": "feature_dropout",
    "dropout3d": "feature_dropout",
    "alpha_dropout": "alpha_dropout",
    "alpha_dropout_": "alpha_dropout",
    "feature_alpha_dropout": "feature_alpha_dropout",
    "feature_alpha_dropout_": "feature_alpha_dropout",
}
_DROPOUT_CLASSES = "torch.nn.modules.dropout."
_ATTENTION = "scaled_dot_product_attention"
_NORM = "batch_norm"
_RANDOM = frozenset(
    "rand randn rand_like randn_like randint randint_like randperm bernoulli bernoulli_ uniform_ normal_ normal "
    "multinomial rrelu".split()
)
_OPERATIONS = frozenset((*_DROPOUTS.values(), _ATTENTION, _NORM))


class TrainingCall(NamedTuple):
    """A call that a module makes in training mode.

    Attributes:
        op: name of the operation, as the steps of a program have it.
        rate: share of the numbers that it drops; 0: none.
        batch: whether a BatchNorm uses the statistics of the batch.
    """

    op: str
    rate: float = 0.0
    batch: bool = True


class TrainingForm(NamedTuple):
    """What a module does in training.

    Attributes:
        calls: name of a module -> its calls in order; None if the module could not be run in training mode.
        random: names of the modules that draw random numbers by other means.
        depths: name of a module that drops whole branches at random -> how.
        note: a sentence for the receipt.
    """

    calls: Mapping[str, Sequence[TrainingCall]] | None
    random: Sequence[str]
    depths: Mapping[str, RandomDepth]
    note: str = ""


def still_parts(module: Any) -> frozenset[str]:
    """The names of the parts that a module in training mode has in evaluation mode, such as BatchNorms to keep.

    Args:
        module: live torch module. One in evaluation mode says nothing of its parts in training.
    """
    return frozenset(name for name, part in module.named_modules() if module.training and not part.training)


def read_training_form(
    module: Any, call: Arguments, depths: Mapping[str, RandomDepth], still: Collection[str] = ()
) -> TrainingForm:
    """Runs a copy of a module in training mode and notes what it calls.

    Args:
        module: live torch module, which is left as it is.
        call: arguments on which it runs.
        depths: modules that stand for branches dropped at random.
        still: names of the parts that stay in evaluation mode.
    """
    try:
        twin = copy.deepcopy(module).train()
        for name, part in twin.named_modules():
            part.training = part.training and name not in still
        calls, random = _run(twin, call)
    except Exception as error:  # the user's code may raise anything, as for targets that only training needs
        why = f"{type(error).__name__}: {str(error).strip()[:100]}"
        note = (
            f"what it does in training is not known beyond its modules, because it cannot be run in that mode ({why})"
        )
        return TrainingForm(None, (), depths, note)
    return TrainingForm(calls, sorted(random), depths)


def read_program_form() -> TrainingForm:
    """What a program in a file does in training: no more than its modules say."""
    return TrainingForm(None, (), {})


def _run(module: Any, call: Arguments) -> tuple[dict[str, list[TrainingCall]], set[str]]:
    import torch
    from torch.overrides import TorchFunctionMode

    stack = [""]
    calls: dict[str, list[TrainingCall]] = {}
    random: set[str] = set()

    class Watch(TorchFunctionMode):
        def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            name = getattr(function, "__name__", "")
            if call := _call(name, args, kwargs):
                calls.setdefault(stack[-1], []).append(call)
            elif name in _RANDOM:
                random.add(stack[-1])
            elif name == "multi_head_attention_forward" and _argument(args, kwargs, 14, "training", True):
                rate = float(_argument(args, kwargs, 10, "dropout_p", 0.0))
                calls.setdefault(stack[-1], []).append(TrainingCall(_ATTENTION, rate))
            return function(*args, **kwargs)

    hooks = []
    for name, part in module.named_modules():
        hooks.append(part.register_forward_pre_hook(lambda _part, _inputs, name=name: stack.append(name)))
        hooks.append(part.register_forward_hook(lambda _part, _inputs, _output: stack.pop() and None, always_call=True))
    with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings(), Watch():
        warnings.simplefilter("ignore")
        module(*call.args, **call.kwargs)
    return calls, random


def _argument(args: Sequence[Any], kwargs: Mapping[str, Any], place: int, name: str, default: Any) -> Any:
    return kwargs[name] if name in kwargs else args[place] if len(args) > place else default


def _call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TrainingCall | None:
    if name in _DROPOUTS:
        key = "training" if "training" in kwargs else "train"
        active = _argument(args, kwargs, 2, key, True)
        return TrainingCall(_DROPOUTS[name], float(_argument(args, kwargs, 1, "p", 0.5)) if active else 0.0)
    if name == _ATTENTION:
        return TrainingCall(_ATTENTION, float(_argument(args, kwargs, 4, "dropout_p", 0.0)))
    if name == _NORM and not hasattr(args[5] if len(args) > 5 else None, "shape"):
        return TrainingCall(_NORM, batch=bool(_argument(args, kwargs, 5, "training", False)))
    return None


def in_training_form(graph: ProgramGraph, form: TrainingForm) -> tuple[ProgramGraph, list[str], frozenset[str]]:
    """The program with what training does: dropouts that never act have the rate 0, dropped branches are steps.

    Args:
        graph: program of evaluation mode.
        form: what the module does in training.
    Returns: the program, sentences for the receipt, and the names of the modules whose BatchNorm keeps its statistics.
    """
    steps: list[GraphStep] = []
    unsure: list[str] = []
    frozen: set[str] = set()
    rows: dict[str, list[GraphStep]] = {}
    for step in graph.steps:
        if step.op in _OPERATIONS and plain_module(step) not in form.depths:
            rows.setdefault(plain_module(step), []).append(step)
    known: dict[str, TrainingCall] = {}
    for module, done in rows.items():
        calls = (form.calls or {}).get(module, ())
        if [step.op for step in done] == [call.op for call in calls]:
            known |= {step.name: call for step, call in zip(done, calls, strict=True)}
    for step in graph.steps:
        module = plain_module(step)
        if module in form.depths and step.op == "dropout":
            steps.append(_depth_step(step, form.depths[module]))
            continue
        call = known.get(step.name)
        if call is not None and call.op == _NORM and not call.batch:
            frozen.add(module)
        if step.op in _DROPOUTS.values():
            if call is None and not step.kind.startswith(_DROPOUT_CLASSES):
                unsure.append(module)
                call = TrainingCall(step.op, 0.0)
            step = step if call is None else _replaced(step, p=call.rate)
        elif step.op == _ATTENTION and call is not None and call.rate:
            step = _replaced(step, training_dropout=call.rate)
        steps.append(step)
    return dataclasses.replace(graph, steps=steps), _notes(form, unsure, frozen), frozenset(frozen)


def plain_module(step: GraphStep) -> str:
    """The name of a step's module; torch numbers the calls of one that runs again, as in "block@1"."""
    return re.sub(r"@\d+", "", step.module)


def _depth_step(step: GraphStep, depth: RandomDepth) -> GraphStep:
    arguments = {key: value for key, value in step.arguments.items() if key in ("input", "self")}
    return dataclasses.replace(step, op=STEP, arguments=arguments | {"p": depth.rate, "mode": depth.mode}, compute=None)


def _replaced(step: GraphStep, **changes: Any) -> GraphStep:
    return dataclasses.replace(step, arguments={**step.arguments, **changes})


def _notes(form: TrainingForm, unsure: Sequence[str], frozen: set[str]) -> list[str]:
    notes = []
    if form.note:
        notes.append(form.note)
    if unsure:
        notes.append(
            f"whether training drops numbers there is not known, and the model's does not: dropout in {_some(unsure)}"
        )
    if form.random:
        notes.append(f"in training it draws random numbers that the model does not draw: in {_some(form.random)}")
    if frozen:
        notes.append(f"{len(frozen)} BatchNorms keep their statistics in training, and so do the model's")
    return notes


def _some(names: Sequence[str]) -> str:
    listed = [name or "the network itself" for name in dict.fromkeys(names)]
    return ", ".join(listed[:4]) + (", ..." if len(listed) > 4 else "")
