"""Changes in place, in the programs that torch.export gives.

Such a program names a changed tensor by the step that changed it. Parts and other forms of it, which changed too, keep
their old names: the program as it stands would read old numbers. torch writes it again without changes in place.
"""

from collections.abc import Sequence
from typing import Any

from converters.errors import ConversionError

# Operations whose result is their input, a part of it or another form of it: a change of one changes the other.
_VIEWS = frozenset(
    "slice select view reshape flatten permute transpose t expand squeeze unsqueeze unbind split chunk contiguous to "
    "split_with_sizes narrow unflatten getitem alias detach swapaxes movedim diagonal".split()
)
# In evaluation mode these return their input itself, and no program shows that.
_HIDDEN_VIEWS = frozenset(("dropout", "feature_dropout"))
_SUBPROGRAMS = ("wrap_with_autocast", "wrap_with_set_grad_enabled")


def without_changes(name: str, programs: Sequence[Any], first: Any = None) -> list[Any]:
    """The programs, written again where steps change tensors that are read by another name, or hold other programs.

    Args:
        name: name of the network, for messages.
        programs: `ExportedProgram`s of one network.
        first: another program of its, which decides whether these are written again; by default the first of them.
    Raises:
        ConversionError: a change that torch cannot write otherwise.
    """
    nodes = list((first or programs[0]).graph.nodes)
    if _late_change(nodes, _HIDDEN_VIEWS):
        raise _refusal(name, "of a dropout's input, which in evaluation mode is its result")
    nested = any(getattr(node.target, "__name__", "") in _SUBPROGRAMS for node in nodes)
    if not nested and not _late_change(nodes, frozenset()):
        return list(programs)
    written = [program.run_decompositions({}) for program in programs]
    for program in written:
        if program.graph_signature.buffers_to_mutate:
            raise _refusal(name, "of its own buffers, so that each call computes something else")
        if program.graph_signature.user_inputs_to_mutate:
            raise _refusal(name, "of the image that it is given")
    return written


def _refusal(name: str, what: str) -> ConversionError:
    return ConversionError(
        f"{name} makes a change in place {what}. A Keras model cannot do that. Write it without the change in place."
    )


def _late_change(nodes: Sequence[Any], hidden: frozenset[str]) -> bool:
    """Whether a tensor is changed in place and then read by another name.

    Args:
        nodes: steps of a program.
        hidden: operations through which the other name must have come; empty: any.
    """
    places = {node: index for index, node in enumerate(nodes)}
    roots: dict[Any, Any] = {}  # a tensor -> the one whose memory it may share
    passed: set[Any] = set()  # roots that a hidden view shares
    views = _VIEWS | _HIDDEN_VIEWS if hidden else _VIEWS
    for node in nodes:
        changed = _changed(node)
        operation = plain_name(node.target) if node.op == "call_function" else ""
        shares = bool(node.args) and (changed or operation in views)
        roots[node] = roots.get(node.args[0], node.args[0]) if shares else node
        if operation in hidden:
            passed.add(roots[node])
        if not changed or (hidden and roots[node] not in passed):
            continue
        for other, root in roots.items():
            if other is not node and root is roots[node] and any(places[user] > places[node] for user in other.users):
                return True
    return False


def _changed(node: Any) -> bool:
    """Whether a step writes into its first argument."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(a.alias_info and a.alias_info.is_write for a in schema.arguments)


def plain_name(target: Any) -> str:
    """The name of an operation: "add" for `aten.add_.Tensor`."""
    if not hasattr(target, "_schema"):
        return getattr(target, "__name__", "")
    name: str = target._schema.name.partition("::")[2]
    return name.removesuffix("_") if not name.startswith("_") else name
