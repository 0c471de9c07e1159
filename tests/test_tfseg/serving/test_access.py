"""Names of the server, pages of other sites, and what operators ask."""

import json
import logging
import re
import socket
import warnings

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("aiohttp")

from helpers.served import call, encoded, photograph, serving

from tfseg.serving import monitoring
from tfseg.serving.access import Access

SITE = "https://example.org"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8501", "localhost.evil.example", "[::2]:80", "a b", "localhost/a", "a@localhost",
        "localhost@a", "localhost:80:80", "[::1", "localhost?", "localhost:a",
    ],
)  # fmt: skip
def test_requests_to_other_names_are_refused(port, host):
    status, _, answer = call(port, "/v1/models/colors", headers={"Host": host})
    assert (status, answer["error"][:18]) == (403, "This server is not")
    assert call(port, "/health", headers={"Host": host})[0] == 200
    assert call(port, "/ready", headers={"Host": host})[2] == {"status": "ready"}


def test_a_request_without_a_name_is_refused(port):
    status, _, answer = call(port, "/v1/models/colors", headers={"Host": ""})
    assert (status, answer["error"].endswith("Received: none")) == (403, True)


@pytest.mark.parametrize("origin", ["http://[", "http://a\u2100b", "http://\udcff", "://", "http://localhost@a"])
def test_an_origin_that_no_page_has_is_refused(port, origin):
    with socket.create_connection(("127.0.0.1", port)) as client:
        head = f"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n"
        client.sendall(head.encode("utf-8", "surrogateescape"))
        assert client.recv(1000).startswith(b"HTTP/1.1 403 ")


def test_own_and_allowed_names_are_answered(exported):
    with serving(exported) as port:
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8501", "[::1]:8501", "localhost.", "[0:0:0:0:0:0:0:1]"):
            assert call(port, "/", headers={"Host": host})[0] == 200
    with serving(exported, Access(("street.example",))) as port:
        assert call(port, "/", headers={"Host": "street.example:80"})[0] == 200
        assert call(port, "/", headers={"Host": "localhost"})[0] == 403
    with serving(exported, Access(("*",))) as port:
        assert call(port, "/", headers={"Host": "any.example"})[0] == 200


def test_pages_of_other_sites_are_refused_unless_they_are_allowed(exported, port):
    content = encoded(photograph())
    status, headers, answer = call(port, "/segment", content, {"Origin": SITE})
    assert (status, "Access-Control-Allow-Origin" in headers) == (403, False)
    assert answer == {"error": f"Pages of {SITE} may not use this server: start it with --allow_origin={SITE}"}
    assert call(port, "/segment", content, {"Origin": f"http://127.0.0.1:{port}"})[0] == 200
    assert call(port, "/segment", content, {"Origin": "null"})[0] == 403
    asks = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
    with serving(exported, Access(origins=(SITE,))) as port:
        status, headers, _ = call(port, "/segment", content, {"Origin": SITE})
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, SITE)
        status, headers, _ = call(port, "/segment", method="OPTIONS", headers=asks)
        assert (status, headers["Access-Control-Allow-Methods"]) == (204, "GET, POST")
        assert call(port, "/segment", content, {"Origin": "https://example.com"})[0] == 403


def test_no_answer_tells_versions(port):
    for path in ("/", "/health", "/nothing", "/segment"):
        assert call(port, path)[1]["Server"] == "tfseg"


def test_numbers_for_prometheus(exported):
    with serving(exported) as port:
        for body in (encoded(photograph()), b"no image"):
            call(port, "/segment", body)
        call(port, "/a/path/of/a/stranger")
        status, headers, body = call(port, "/metrics")
    text = body.decode()
    assert (status, headers.get_content_type()) == (200, "text/plain")
    assert 'tfseg_requests_total{route="/segment",status="200"} 1.0' in text
    assert 'tfseg_requests_total{route="/segment",status="415"} 1.0' in text
    assert 'tfseg_requests_total{route="other",status="404"} 1.0' in text
    assert 'tfseg_request_seconds_count{route="/segment"} 2.0' in text
    assert "tfseg_requests_waiting 0.0" in text
    assert "tfseg_held_bytes 0.0" in text
    assert int(float(re.search("^process_resident_memory_bytes (.+)$", text, re.MULTILINE)[1])) > 2**20
    assert "stranger" not in text


def test_the_log_has_one_json_object_on_each_line(capsys):
    from aiohttp.http_exceptions import BadHttpMessage

    logs = [logging.getLogger(name) for name in ("tfseg.serving", "aiohttp", "asyncio", "py.warnings")]
    before = [(log.handlers[:], log.level, log.propagate) for log in logs]
    try:
        monitoring.write_log("json", "info")
        monitoring.REQUESTS.info("a line", extra={"facts": {"path": "/a\nb", "status": 200}})
        logs[0].debug("not shown")
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            logs[0].exception("POST %s", "/segment")
        try:
            raise BadHttpMessage("No HTTP\nbut another\nthing")
        except BadHttpMessage:
            logging.getLogger("aiohttp.server").exception("Error handling request")
        logs[2].error("Task exception was never retrieved")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("a strange tag", stacklevel=1)
    finally:
        logging.captureWarnings(False)
        for log, (handlers, level, propagate) in zip(logs, before, strict=True):
            log.handlers, log.level, log.propagate = handlers, level, propagate
    request, failure, invalid, task = map(json.loads, capsys.readouterr().err.splitlines())
    assert (request["level"], request["path"], request["status"]) == ("info", "/a\nb", 200)
    assert (failure["level"], failure["message"]) == ("error", "POST /segment")
    assert "ZeroDivisionError" in failure["error"]
    assert invalid["message"] == "Error handling request: 400, message: No HTTP but another thing"
    assert (invalid["level"], "error" in invalid) == ("warning", False)
    assert task["message"] == "Task exception was never retrieved"


@pytest.mark.parametrize("host", ["localhost:99999", "::1", f"localhost:{'9' * 5000}"])
def test_a_port_that_there_is_not_is_refused(port, host):
    status, _, answer = call(port, "/docs", headers={"Host": host})
    assert status == 400
    assert "The header Host is no address" in answer["error"]
