"""A process that holds a contender. It reads requests and writes replies, a line of JSON each."""

import json
import os
import sys
from typing import Any

from benchmarks.gpu.contenders import CONTENDERS, Contender, is_out_of_memory
from benchmarks.gpu.nets import Case


def describe() -> dict[str, Any]:
    """The device and the versions of what computes in this process."""
    import importlib.metadata

    facts: dict[str, Any] = {"python": sys.version.split()[0]}
    for name in ("keras", "jax", "torch", "torchvision", "torchfcn"):
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if os.environ.get("KERAS_BACKEND") == "jax":
        import jax

        facts["device"] = jax.local_devices()[0].device_kind
    else:
        import torch

        facts["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return facts


def answer(contender: Contender, request: dict[str, Any]) -> dict[str, Any]:
    """What a request asks for.

    Args:
        contender: the contender of this process.
        request: "do" is "describe", "load" with a case, "run" with a number of steps, or "drop".
    """
    if request["do"] == "describe":
        return describe()
    if request["do"] == "load":
        return contender.load(Case(**request["case"]))
    if request["do"] == "run":
        return {"seconds": contender.run(request["steps"])}
    contender.drop()
    return {}


def main(name: str, compiler: str) -> None:
    """Answers requests until there are no more.

    Args:
        name: name of the contender.
        compiler: backend of `torch.compile`.
    """
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not stand between the replies
    contender = Contender(name, compiler)
    for line in sys.stdin:
        try:
            reply = answer(contender, json.loads(line))
        except Exception as error:
            reply = {"error": "out of memory" if is_out_of_memory(error) else f"{type(error).__name__}: {error}"[:500]}
            error.__traceback__ = None  # its frames hold the memory that is missing
            contender.drop()
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    assert sys.argv[1] in CONTENDERS
    main(*sys.argv[1:])
