"""`tfseg-serve`: how it starts, what it prints, and how it stops."""

import concurrent.futures
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
    process = run_command.start(COMMAND, f"--model={folder}", "--port=0", "--name=street")
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
    assert "Traceback" not in err
    with pytest.raises(ConnectionRefusedError):
        call(port, "/health")


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
    code, _, err = run_command.run(COMMAND, f"--model={folder}", before="sys.modules['aiohttp'] = None")
    assert code == 1
    assert err.rstrip().splitlines()[-1].endswith(': Serving needs aiohttp: pip install "tfseg[serve]"')
    assert "Traceback" not in err


@pytest.mark.full
def test_an_occupied_port_is_an_error(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        code, _, err = run_command.run(COMMAND, f"--model={folder}", f"--port={address[1]}")
    assert code == 1
    assert f"Address already in use (while attempting to bind on address {address})" in err
    assert "Traceback" not in err
