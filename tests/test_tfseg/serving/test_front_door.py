"""Connections come in by a thread that answers health checks itself."""

import contextlib
import os
import pathlib
import re
import socket
import threading
import time

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("aiohttp")
if os.name != "posix":
    pytest.skip("Connections come in by the event loop here.", allow_module_level=True)

from helpers.served import call, encoded, photograph, serving, until

from tfseg.serving import front_door, running

PROBE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def exchange(port, *parts):
    """What a server says until it hangs up, to a client that says its parts one after the other."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.1)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.fixture
def busy(port, monkeypatch):
    """The event loop of the server does nothing while a test runs."""
    begun, end = threading.Event(), threading.Event()

    def work(*_):
        begun.set()
        end.wait(60)

    monkeypatch.setattr("tfseg.serving.access.Access.check", work)  # runs in the event loop
    client = threading.Thread(target=call, args=(port, "/ready"))
    client.start()
    assert begun.wait(60)
    yield end
    end.set()
    client.join()


def test_health_is_answered_while_the_event_loop_is_busy(port, busy):
    status, headers, answer = call(port, "/health")
    assert not busy.is_set()
    assert (status, answer) == (200, {"status": "ok", "model": "colors", "requests": 0})
    assert (headers["Content-Type"], headers["Server"]) == ("application/json", "tfseg")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_an_event_loop_that_is_lost_is_told(port, busy, monkeypatch):
    monkeypatch.setattr(running, "_STUCK", 0.2)
    until(lambda: call(port, "/health")[0] == 503)
    assert call(port, "/health")[2] == {"status": "stuck"}
    busy.set()
    until(lambda: call(port, "/health")[0] == 200)


@pytest.mark.parametrize(
    ("parts", "answers"),
    [
        ([PROBE], [b"200 OK"]),
        ([PROBE.replace(b"1.1", b"1.0")], [b"200 OK"]),
        ([PROBE[:7], PROBE[7:]], [b"200 OK"]),  # in two parts
        ([PROBE[:-2], PROBE[-2:]], [b"200 OK"]),
        ([PROBE * 2], [b"200 OK", b"200 OK"]),  # the second before the answer to the first
        ([PROBE.replace(b"GET", b"HEAD")], [b"200 OK"]),
        ([PROBE.replace(b"GET", b"POST")], [b"405 Method Not Allowed"]),
        ([PROBE.replace(b"health", b"healthy")], [b"404 Not Found"]),
        ([PROBE.replace(b"Host", b"Origin: http://a.example\r\nHost")], [b"200 OK"]),
        ([PROBE.replace(b"1.1", b"1.x y z")], [b"400 Bad Request"]),
        ([PROBE.replace(b"Host: ", b"Host")], [b"400 Bad Request"]),
        ([b"\r\n\r\n"], []),
        ([b"\xff" * 9000], [b"400 Bad Request"]),
    ],
)
def test_what_is_no_plain_health_check_is_answered_by_the_application(port, parts, answers):
    said = exchange(port, *parts)
    assert re.findall(rb"HTTP/1\.[01] (\d+ [\w ]+)\r", said) == answers


def test_health_checks_are_counted_and_logged(port, caplog):
    def count():
        lines = call(port, "/metrics")[2].decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith('tfseg_requests_total{route="/health"'))

    before = count()
    with caplog.at_level("INFO", "tfseg.serving.requests"):
        assert exchange(port, PROBE)
        until(lambda: '"GET /health HTTP/1.1" 200' in caplog.text)
    assert count() == before + 1


def open_sockets(port, clients):
    """How many sockets a server at a port holds for clients at these ports; those not accepted or closed have no inode."""
    lines = (line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:])
    ends = ([int(end.rpartition(":")[2], 16) for end in line[1:3]] for line in lines if line[9] != "0")
    return sum(here == port and there in clients for here, there in ends)


def test_silent_connections_that_end_leave_nothing(port):
    if not pathlib.Path("/proc/net/tcp").exists():
        pytest.skip("Open sockets cannot be counted here.")
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(50)]
        clients = {connection.getsockname()[1] for connection in silent}
        until(lambda: open_sockets(port, clients) == 50)
    until(lambda: open_sockets(port, clients) == 0)


def test_a_connection_that_stays_silent_is_closed(exported, monkeypatch):
    monkeypatch.setattr(front_door, "SILENCE", 0.3)
    with serving(exported) as port, socket.create_connection(("127.0.0.1", port), timeout=60) as silent:
        assert silent.recv(1) == b""
        assert call(port, "/health")[0] == 200


@pytest.mark.parametrize(
    "said", [b"G", b"GET /hea", b"\r\n\r\n", b"GET http://xn--a/ HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_a_connection_whose_request_has_no_end_is_closed(exported, monkeypatch, said):
    monkeypatch.setattr(front_door, "SILENCE", 0.3)
    with serving(exported) as port, socket.create_connection(("127.0.0.1", port), timeout=60) as silent:
        silent.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(1) == b""
        assert call(port, "/health")[0] == 200


def test_half_a_request_after_an_answer_is_closed(exported, monkeypatch):
    monkeypatch.setattr(running, "SILENCE", 0.3)
    with serving(exported) as port, socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        client.sendall(b"GET /re")
        while client.recv(1000):
            pass


def test_a_connection_that_has_asked_is_not_cut(exported, monkeypatch):
    """Its body has limits of its own."""
    monkeypatch.setattr(front_door, "SILENCE", 0.2)
    content = encoded(photograph())
    head = f"POST /segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    with serving(exported) as port, socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(head)
        time.sleep(1)
        client.sendall(content)
        assert client.recv(12) == b"HTTP/1.1 200"


def test_what_has_come_before_the_end_is_answered(exported):
    with socket.socket() as client:
        with serving(exported) as port:
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_refused_body_that_drips_does_not_delay_the_end(exported):
    with socket.socket() as client:
        with serving(exported) as port:
            client.connect(("127.0.0.1", port))
            client.sendall(b"POST /segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 413"
            dripping = threading.Thread(target=drip, args=(client,))
            dripping.start()
            start = time.monotonic()
        assert time.monotonic() - start < 8
        dripping.join()


def drip(client):
    """Sends a byte from time to time until the other end hangs up."""
    with contextlib.suppress(OSError):
        for _ in range(200):
            client.sendall(b"x")
            time.sleep(0.1)
