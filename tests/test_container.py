"""The Dockerfile's own steps, run as a script in fresh directories: a machine without a container engine can, too.

What only an engine does is not tested here: the base image, the user of few rights, the compose file's limits.
"""

import contextlib
import http.client
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from helpers import newcomer
from helpers.paths import ROOT
from helpers.served import write_folder

pytestmark = pytest.mark.full
_SECONDS_TO_START = 180


def instructions():
    """`(instruction, its text)` of each line of the Dockerfile, continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def texts(name):
    return [text for instruction, text in instructions() if instruction == name]


def copy(words, source, target):
    """`COPY`: of one folder its content, of several files the files."""
    for word in words:
        if (source / word).is_dir():
            shutil.copytree(source / word, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source / word, target)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The folder that the first stage installs into, made by its COPY and RUN lines."""
    source, root = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("image")
    known = {
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "USER",
        "ENV",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    assert {name for name, _ in instructions()} == known
    for text in texts("COPY"):
        *words, target = shlex.split(text)
        if words[0].startswith("--from"):
            continue
        folder = source / target
        folder.mkdir(exist_ok=True)
        copy(words, ROOT, folder)
    (install,) = [text for text in texts("RUN") if "pip install" in text]
    script = install.replace("python -m venv", f"{sys.executable} -m venv").replace("/opt/tfseg", str(root / "tfseg"))
    newcomer.run(script, source, newcomer.environment(root))
    shutil.rmtree(source)  # the second stage has the installed folder alone
    return root / "tfseg"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_the_ignored_files_do_not_hide_what_is_copied():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    words = [word for text in texts("COPY") if not text.startswith("--from") for word in shlex.split(text)[:-1]]
    assert set(words) == kept
    assert all((ROOT / word).exists() for word in words)


def test_the_installed_server_answers_and_ends_at_the_stop_signal(image, tmp_path):
    home, model, port = tmp_path / "home", tmp_path / "model", free_port()
    home.mkdir()
    write_folder(model, name="model")
    command = json.loads(texts("ENTRYPOINT")[0]) + json.loads(texts("CMD")[0])
    changes = {"/model": str(model), "--host=0.0.0.0": "--host=127.0.0.1", "--port=8501": f"--port={port}"}
    assert set(changes) <= set(command)
    environment = newcomer.environment(home, image / "bin") | {"PYTHONUNBUFFERED": "1"}
    log = tmp_path / "log"
    with open(log, "w") as lines:
        words = [changes.get(word, word) for word in command]
        server = subprocess.Popen(words, cwd=home, env=environment, stdout=lines, stderr=subprocess.STDOUT)
    try:
        (check,) = texts("HEALTHCHECK")
        check = [word.replace("8501", str(port)) for word in json.loads(check[check.index("[") :])]
        until = time.monotonic() + _SECONDS_TO_START
        while subprocess.run(check, env=environment, stderr=subprocess.DEVNULL).returncode:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(1)
        answer = ask(port, "localhost")
        assert answer == [[[1, 0], [2, 0]]], "the strongest color of each pixel"
        assert "elsewhere.example.org" in str(ask(port, "elsewhere.example.org")), "only the allowed name is answered"
    finally:
        server.send_signal(getattr(signal, texts("STOPSIGNAL")[0]))
        code = server.wait(timeout=60)
    assert code == 0, log.read_text()
    assert all(json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))


def ask(port, host):
    """The classes of two by two pixels; or what the server says instead."""
    image = [[[9, 255, 9], [255, 9, 9]], [[9, 9, 255], [255, 9, 9]]]
    body = json.dumps({"signature_name": "classes", "instances": [image]})
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        headers = {"Content-Type": "application/json", "Host": f"{host}:{port}"}
        connection.request("POST", "/v1/models/model:predict", body, headers)
        response = connection.getresponse()
        content = json.loads(response.read())
    return content.get("predictions", content)
