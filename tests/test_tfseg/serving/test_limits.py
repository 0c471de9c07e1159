"""Many requests at once, slow clients and invalid HTTP: the server stays up, and answers in time."""

import asyncio
import contextlib
import io
import json
import select
import socket
import threading

import numpy as np
import pytest

pytest.importorskip("tensorflow")
aiohttp = pytest.importorskip("aiohttp")

from helpers.served import call, encoded, expected, photograph, serving, until  # noqa: E402

from tfseg.serving.errors import Refused  # noqa: E402


class Slow:
    """A model that computes nothing until `go` is set."""

    def __init__(self, exported):
        self.go, self.calls, self.sizes, self.exported = threading.Event(), 0, [], exported

    def __getattr__(self, name):
        return getattr(self.exported, name)

    def run(self, signature, inputs):
        self.calls += 1
        self.sizes.append(len(inputs["images"]))
        self.go.wait(30)
        return {"classes": expected(inputs["images"])}


def post_all(port, bodies, path="/segment?output=npy"):
    """`[(status, body)]` of requests that are all sent before the first one is answered."""

    async def all_of_them():
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector) as session:

            async def post(body):
                async with session.post(path, data=body) as response:
                    return response.status, await response.read()

            return await asyncio.gather(*map(post, bodies))

    return asyncio.run(all_of_them())


def test_200_requests_at_once_get_the_right_answers(exported):
    photographs = [photograph(seed, (20 + seed % 7, 30 + seed % 11)) for seed in range(200)]
    broken = [b"no image", b"x" * 200_000, encoded(photograph())[:300]] * 10
    with serving(exported, max_bytes=100_000) as port:
        answers = post_all(port, [*broken[:15], *map(encoded, photographs), *broken[15:]])
        assert [status for status, _ in answers[:15] + answers[-15:]] == [415, 413, 400] * 10
        for image, (status, body) in zip(photographs, answers[15:-15], strict=True):
            assert status == 200
            np.testing.assert_array_equal(np.load(io.BytesIO(body)), expected(image))
        assert call(port, "/health")[2] == {"status": "ok", "model": "colors", "requests": 0}


def test_requests_beyond_the_queue_are_refused(exported):
    slow = Slow(exported)
    with serving(slow, queue=3) as port:
        content = encoded(photograph())
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(call(port, "/segment", content))) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: call(port, "/health")[2]["requests"] == 3)
        status, headers, answer = call(port, "/segment", content)
        assert (status, headers["Retry-After"]) == (503, "5")
        assert answer == {"error": "3 requests are waiting already: try again in a moment."}
        slow.go.set()
        for thread in threads:
            thread.join()
        assert [status for status, *_ in answers] == [200] * 3
        assert call(port, "/segment", content)[0] == 200


def test_requests_of_one_size_that_wait_share_a_run(exported):
    slow = Slow(exported)
    images = [photograph(seed, (20, 30 + seed // 3 % 2)) for seed in range(12)]
    with serving(slow, batch=4, max_pixels=20 * 31 * 3) as port:
        threading.Timer(0.5, slow.go.set).start()
        answers = post_all(port, [encoded(photograph(size=(8, 9))), *map(encoded, images)])
    for image, (status, body) in zip(images, answers[1:], strict=True):
        assert status == 200
        np.testing.assert_array_equal(np.load(io.BytesIO(body)), expected(image))
    assert sum(slow.sizes) == 13
    assert max(slow.sizes) in (2, 3)  # more pixels than those of three images are not computed at once


def test_an_image_that_fails_does_not_fail_those_that_it_shares_a_run_with(exported):
    class Picky(Slow):
        def run(self, signature, inputs):
            tried.append(len(inputs["images"]))
            if np.any(inputs["images"] == 77):
                raise Refused(400, "not this one")
            return super().run(signature, inputs)

    tried: list[int] = []  # images of each run, of those that fail, too
    picky, odd = Picky(exported), photograph().copy()
    odd[0, 0] = 77
    with serving(picky) as port:
        picky.go.set()
        post_all(port, [encoded(photograph(seed)) for seed in range(3)])  # how long one takes is known from now on
        picky.go.clear()
        tried.clear()
        threading.Timer(0.5, picky.go.set).start()
        bodies = [encoded(image) for image in (photograph(), odd, photograph(1), photograph(2))]
        assert [status for status, _ in post_all(port, bodies)] == [200, 400, 200, 200]
    assert max(tried) >= 2


def test_inputs_that_cannot_be_joined_do_not_hang(exported):
    slow = Slow(exported)
    slow.run = lambda signature, inputs: slow.go.wait(30) and exported.run(signature, inputs)
    with serving(slow, timeout=20) as port:
        threading.Timer(0.5, slow.go.set).start()
        scalar, image = {"signature_name": "classes", "inputs": 5}, photograph(size=(8, 9))[None].tolist()
        bodies = [json.dumps(body) for body in (scalar, scalar, scalar, {"signature_name": "classes", "inputs": image})]
        assert [status for status, _ in post_all(port, bodies, "/v1/models/colors:predict")] == [400, 400, 400, 200]


def test_answers_that_nobody_reads_hold_their_place_and_their_bytes(exported):
    content = encoded(np.zeros((2000, 2000, 3), "uint8"))
    head = b"POST /segment?output=npy HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(content)
    with serving(exported, timeout=1.5, held_bytes=3_000_000) as port, contextlib.ExitStack() as clients:
        silent: list[socket.socket] = []
        for _ in range(2):
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.sendall(head + content)
            silent.append(client)
        assert select.select(silent, [], [], 30)[0]  # the first bytes of an answer are here
        assert call(port, "/health")[2]["requests"] == 2  # one waits for the place of the other
        until(lambda: call(port, "/health")[2]["requests"] == 0, 10)
        assert call(port, "/segment", encoded(photograph()))[0] == 200


def test_memory_that_does_not_suffice_is_told(exported, monkeypatch):
    import tensorflow as tf

    def fail(**inputs):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setitem(exported._loaded.signatures._signatures, "classes", fail)
    with serving(exported) as port:
        status, _, answer = call(port, "/segment", encoded(photograph()))
    assert (status, answer["error"][:23]) == (413, "The memory does not suf")


def test_bytes_of_all_requests_are_bounded(exported):
    slow, content = Slow(exported), encoded(photograph())
    with serving(slow, held_bytes=int(2.5 * len(content))) as port:
        threading.Timer(0.5, slow.go.set).start()
        answers = post_all(port, [content] * 5)
        assert sorted(status for status, _ in answers) == [200, 200, 503, 503, 503]
        refused = next(json.loads(body)["error"] for status, body in answers if status == 503)
        assert refused.endswith("bytes of requests are waiting already: try again in a moment.")
        assert call(port, "/segment", content)[0] == 200


def test_requests_that_time_out_in_the_queue_never_run(exported):
    slow = Slow(exported)
    with serving(slow, timeout=1, batch=1) as port:
        answers = post_all(port, [encoded(photograph())] * 3)
        assert {(status, json.loads(body)["error"]) for status, body in answers} == {
            (504, "The request took longer than 1 s.")
        }
        slow.go.set()
        assert call(port, "/segment", encoded(photograph()))[0] == 200
        assert slow.calls == 2


def test_a_body_that_never_comes_times_out_and_holds_no_place(exported):
    with serving(exported, body_timeout=1, queue=1) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nfew")
        assert call(port, "/segment", encoded(photograph()))[0] == 200
        assert client.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert call(port, "/health")[2]["requests"] == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /segment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["no HTTP", "endless header", "negative length", "no chunk"],
)
def test_invalid_http_is_answered_with_400(port, sent):
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(sent)
        answer = client.recv(1000)
    assert b" 400 " in answer.splitlines()[0]
    assert b"\r\nServer: tfseg\r\n" in answer
    until(lambda: call(port, "/health")[2]["requests"] == 0)


def test_requests_of_clients_that_hang_up_leave_the_queue(exported):
    slow = Slow(exported)
    with serving(slow) as port:
        content = encoded(photograph())
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(
                    b"POST /segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(content) + content
                )
                until(lambda: slow.calls)
        until(lambda: not call(port, "/health")[2]["requests"])
        slow.go.set()
        assert call(port, "/segment", content)[0] == 200
        assert slow.calls <= 2


def test_an_internal_error_is_logged_and_hidden_from_the_client(exported, monkeypatch, caplog):
    monkeypatch.setattr(exported, "classes_of", lambda image, outputs: 1 / 0)
    with serving(exported) as port:
        status, _, answer = call(port, "/segment", encoded(photograph()))
        assert (status, answer) == (500, {"error": "The server failed; its log says where."})
        assert call(port, "/health")[0] == 200
    assert "ZeroDivisionError" in caplog.text
