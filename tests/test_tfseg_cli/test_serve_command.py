"""`tfseg serve`: how it starts, what it prints, and how it stops."""

import concurrent.futures
import contextlib
import json
import re
import signal
import socket

import numpy as np
import pytest
from helpers import run_command

pytest.importorskip("tensorflow")
pytest.importorskip("aiohttp")

from helpers.served import call, encoded, expected, photograph, until, write_folder

COMMAND = "tfseg_cli.serve"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("exported") / "colors")


def test_sigterm_stops_the_server_after_the_requests_it_has_begun(folder):
    process = run_command.start(COMMAND, folder, "--port=0", "--name=street")
    try:
        line = process.stdout.readline()
        port = int(re.fullmatch(r"street, version 1: http://127\.0\.0\.1:(\d+)\n", line)[1])
        assert call(port, "/v1/models/street")[0] == 200
        image = photograph(size=(1500, 2000))
        content, classes = encoded(image, compress_level=1), expected(image)
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            answers = [pool.submit(call, port, "/segment?output=npy", content) for _ in range(10)]
            until(lambda: call(port, "/health")[2]["requests"] == 10)
            process.send_signal(signal.SIGTERM)
            for answer in answers:
                status, _, body = answer.result()
                assert status == 200
                np.testing.assert_array_equal(np.frombuffer(body[-classes.size :], "uint8"), classes.ravel())
    finally:
        code, _, err = run_command.finish(process)
    assert code == 0
    assert (
        len(re.findall(r' 127\.0\.0\.1 "POST /segment\?output=npy HTTP/1\.1" 200 30\d+ bytes \d+\.\d+ s\n', err)) == 10
    )
    assert all('"GET /' in line or '"POST /' in line for line in err.splitlines())
    with pytest.raises(ConnectionRefusedError):
        call(port, "/health")


@pytest.mark.full
def test_silent_connections_do_not_delay_the_end(folder):
    process = run_command.start(COMMAND, folder, "--port=0", "--log_format=json")
    try:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        with contextlib.ExitStack() as connections:
            for _ in range(50):
                silent = connections.enter_context(socket.create_connection(("127.0.0.1", port)))
            silent.sendall(b"POST /segment HTTP/1.1\r\nHost: localhost\r\nContent-Le")
            assert call(port, "/ready")[0] == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    finally:
        _, _, err = run_command.finish(process)
    assert [json.loads(line)["path"] for line in err.splitlines()] == ["/ready"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0", "0:0::0"])
def test_a_public_server_says_its_names(folder, host):
    code, _, err = run_command.run(
        COMMAND, folder, "--port=0", f"--host={host}", before="sys.modules['tensorflow'] = None"
    )
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"tfseg-serve: --host={host}: all machines can reach this address. Name the server")
    assert "--allow_host=NAME" in err


@pytest.mark.parametrize(
    ("flag", "value"),
    [("allow_host", "a:80"), ("allow_host", "http://a"), ("allow_host", ""), ("allow_origin", "example.org")],
)
def test_names_that_nothing_can_have_are_refused(folder, flag, value):
    code, _, err = run_command.run(COMMAND, folder, f"--{flag}={value}", before="sys.modules['tensorflow'] = None")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"tfseg-serve: --{flag}={value}: expected ")


def test_default_flags_are_the_default_limits():
    script = """
from absl import flags
from tfseg.serving.limits import Limits
from tfseg_cli import serve
print([name for name, value in Limits()._asdict().items() if flags.FLAGS[name].default != value])
"""
    code, out, err = run_command.forked(script)  # a process has the flags of one command only
    assert (code, out) == (0, "[]\n"), err


@pytest.mark.full
def test_without_aiohttp_the_error_says_what_to_install(folder):
    code, _, err = run_command.run(COMMAND, folder, "--port=0", before="sys.modules['aiohttp'] = None")
    assert (code, err) == (1, 'tfseg-serve: Serving needs aiohttp: pip install "tfseg[serve]"\n')


def test_an_occupied_port_is_refused_before_anything_is_loaded(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run_command.run(COMMAND, folder, f"--port={port}", before="sys.modules['tensorflow'] = None")
    assert code == 2
    assert err == f"tfseg-serve: --port={port}: the port is in use. Choose another one, or 0 for any free one\n"


@pytest.mark.full
def test_a_port_that_another_server_takes_while_the_model_loads_is_told(folder):
    """Two sockets may be bound to one port as long as none listens."""
    before = """
import errno, socket
def listen(*_):
    raise OSError(errno.EADDRINUSE, "Address already in use")
socket.socket.listen = listen
"""
    code, out, err = run_command.run(COMMAND, folder, "--port=0", before=before)
    assert (code, out) == (2, "")
    assert err == "tfseg-serve: --port=0: the port is in use. Choose another one, or 0 for any free one\n"


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "x" * 300])
def test_a_host_of_another_machine_is_refused(folder, host):
    code, _, err = run_command.run(COMMAND, folder, "--port=0", f"--host={host}")
    assert code == 2
    assert err.startswith(f"tfseg-serve: --host={host}: expected an address of this machine, such as 127.0.0.1")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a b", "a?b"])
def test_a_name_that_no_address_can_have_is_refused(folder, name):
    code, _, err = run_command.run(COMMAND, folder, f"--name={name}")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"tfseg-serve: --name={name}: expected a name for an address")


def test_a_folder_that_export_did_not_write_is_refused(tmp_path):
    for name, message in (
        ("nowhere", "expected a folder that `tfseg export` wrote. There is nothing there"),
        (".", "expected a folder that `tfseg export` wrote. It has no metadata.json"),
        ("keras", "it has no SavedModel. Export the model with --format=saved_model"),
    ):
        (tmp_path / "keras").mkdir(exist_ok=True)
        (tmp_path / "keras" / "metadata.json").write_text("{}")
        code, _, err = run_command.run(COMMAND, name, cwd=tmp_path)
        assert (code, err) == (2, f"tfseg-serve: --model={name}: {message}\n")


@pytest.mark.full
def test_the_engine_that_computes_is_told(folder):
    process = run_command.start(COMMAND, folder, "--port=0", "--engine=tensorflow")
    try:
        port = int(process.stdout.readline().rpartition(":")[2])
        assert process.stdout.readline() == "computed by tensorflow\n"
        image = photograph()
        status, _, body = call(port, "/segment?output=npy", encoded(image))
        classes = expected(image)
        assert status == 200
        np.testing.assert_array_equal(np.frombuffer(body[-classes.size :], "uint8"), classes.ravel())
    finally:
        process.send_signal(signal.SIGTERM)
        code, _, err = run_command.finish(process)
    assert code == 0, err


@pytest.mark.full
def test_an_engine_without_its_artifact_is_refused(folder):
    ended = run_command.finish(run_command.start(COMMAND, folder, "--port=0", "--engine=onnxruntime"))
    assert ended.code == 1
    assert "onnx" in ended.err
    assert len(ended.err.splitlines()) == 1
