"""OpenCV in a process of its own: a network that it cannot run may end that process, and not the conversion.

It is started as a script. Messages are NumPy archives with their length before them.
"""

import io
import json
import struct
import sys
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

_LENGTH = struct.Struct("<Q")


def send(stream: IO[bytes], **arrays: Any) -> None:
    """Writes a message.

    Args:
        stream: where it is written.
        arrays: its parts: arrays, or texts.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    stream.write(_LENGTH.pack(buffer.tell()) + buffer.getbuffer())
    stream.flush()


def receive(stream: IO[bytes]) -> Mapping[str, np.ndarray]:
    """Reads a message; an empty one at the end of the stream.

    Args:
        stream: where it is read.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return {}
    with np.load(io.BytesIO(stream.read(*_LENGTH.unpack(head)))) as message:
        return {name: message[name] for name in message.files}


def main() -> None:
    """Reads a network, and computes its results for the images of each message that follows."""
    import cv2

    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    request = receive(requests)
    facts = json.loads(str(request["facts"]))
    try:
        model = np.fromfile(facts["weights"], np.uint8)
        net = cv2.dnn.readNetFromCaffe(np.frombuffer(facts["text"].encode(), np.uint8), model)
        net.enableWinograd(False)
        net.enableFusion(False)  # a normalization after a transposed convolution becomes another one
        send(answers, error="")
    except cv2.error as error:
        send(answers, error=str(error))
        return
    while request := receive(requests):
        try:
            for index, name in enumerate(facts["inputs"]):
                net.setInput(np.ascontiguousarray(request[f"image{index}"]), name)
            results = {f"result{index}": part for index, part in enumerate(net.forward(facts["outputs"]))}
            send(answers, error="", **results)
        except cv2.error as error:
            send(answers, error=str(error))


if __name__ == "__main__":
    main()
