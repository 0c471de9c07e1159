"""A small exported folder with known answers, a server of it in a thread, and a client."""

import asyncio
import base64
import contextlib
import http.client
import io
import json
import socket
import struct
import threading
import time
import zlib

import numpy as np
from PIL import Image

from tfseg.serving import running
from tfseg.serving.access import Access
from tfseg.serving.app import Server
from tfseg.serving.limits import Limits

CLASSES = ["red", "green", "</script><script>alert(1)</script>", "dark & <b>dull</b>"]
COLORS = [[200, 0, 0], [0, 200, 0], [0, 0, 200], [200, 0, 0]]  # two classes have the same color
DARK = np.float32(0.3)


def expected(images):
    """The classes of uint8 images `(..., height, width, 3)`: the strongest color, or dark."""
    logits = np.asarray(images, "float32") / np.float32(255)
    return np.concatenate([logits, np.full_like(logits[..., :1], DARK)], axis=-1).argmax(-1).astype("uint8")


def write_folder(folder, size=(None, None), **facts):
    """Writes what `tfseg.export` writes, for a network that needs no training."""
    import tensorflow as tf

    shape = (None, *size, 3)

    def logits(images):
        return tf.concat([images, tf.fill(tf.shape(images[..., :1]), DARK)], axis=-1)

    def classes(images):
        return tf.cast(tf.argmax(logits(tf.cast(images, "float32") / 255), axis=-1), "uint8")

    def decoded(image_bytes):
        def decode(content):
            return tf.io.decode_image(content, channels=3, expand_animations=False)

        return tf.map_fn(decode, image_bytes, fn_output_signature=tf.TensorSpec((None, None, 3), "uint8"))

    signatures = {
        "logits": (lambda images: {"logits": logits(images)}, "images", shape, "float32"),
        "classes": (lambda images: {"classes": classes(images)}, "images", shape, "uint8"),
        "classes_from_bytes": (
            lambda image_bytes: {"classes": classes(decoded(image_bytes))},
            "image_bytes",
            (None,),
            "string",
        ),
        "both": (
            lambda images: {"classes": classes(images), "sums": tf.reduce_sum(tf.cast(images, "int32"), (1, 2, 3))},
            "images",
            shape,
            "uint8",
        ),
    }
    functions = {
        name: tf.function(function).get_concrete_function(**{argument: tf.TensorSpec(shape, dtype, name=argument)})
        for name, (function, argument, shape, dtype) in signatures.items()
    }
    functions["serving_default"] = functions["logits"]
    tf.saved_model.save(tf.Module(), str(folder / "1"), signatures=functions)
    facts = {"name": "colors", "num_classes": 4, "classes": CLASSES, "colors": COLORS, "preprocessing": {}} | facts
    (folder / "metadata.json").write_text(json.dumps(facts))
    return folder


def photograph(seed=0, size=(65, 83)):
    """An image, uint8 `(height, width, 3)`, with patches of all classes."""
    patches = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype="uint8") // 2 * 2
    patches[0, 0] = 10
    return np.asarray(Image.fromarray(patches).resize(size[::-1], Image.NEAREST))


def encoded(image, format="PNG", **options):
    """The bytes of an image file."""
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, format, **options)
    return stream.getvalue()


def bomb(width, height):
    """The head of a PNG whose pixels would fill the memory: 60 bytes."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"")


@contextlib.contextmanager
def serving(exported, access=None, sample=None, **limits):
    """The port of a server that runs while the block does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    async def start():
        server = Server(exported, Limits(**limits), access or Access(), sample)
        await stack.enter_async_context(running.served(server, listening, patience=1))

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        stack = contextlib.AsyncExitStack()
        run(start())
        try:
            yield listening.getsockname()[1]
        finally:
            run(stack.aclose())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def call(port, path, body=None, headers=(), method=None):
    """`(status, headers, body)` of the answer to a request; a JSON body is parsed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method or ("GET" if body is None else "POST"), path, body, dict(headers))
        response = connection.getresponse()
        content = response.read()
    return (
        response.status,
        response.headers,
        json.loads(content) if response.headers.get_content_subtype() == "json" else content,
    )


def predict(port, path="/v1/models/colors:predict", **request):
    """`call` with a JSON request of TF Serving."""
    return call(port, path, json.dumps(request))


def b64(content):
    """Bytes as TF Serving takes them in JSON."""
    return {"b64": base64.b64encode(content).decode()}


def until(condition, seconds=60):
    """Waits until a condition holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
