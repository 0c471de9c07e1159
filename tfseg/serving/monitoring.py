"""What operators see: a log of requests, as lines of text or JSON, and numbers in the form of Prometheus."""

import json
import logging
import sys
from typing import Any

from aiohttp import abc, web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tfseg.serving.admission import Admission

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
REQUESTS = logging.getLogger("tfseg.serving.requests")
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Numbers:
    """What `/metrics` answers.

    Args:
        admission: counts what waits.
    """

    def __init__(self, admission: Admission) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, processor time, open files; on Linux only
        self._requests = Counter(
            "tfseg_requests", "Requests that were answered.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "tfseg_request_seconds",
            "Seconds from the head of a request to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        waiting = Gauge("tfseg_requests_waiting", "Requests that wait for their answer.", registry=self._registry)
        waiting.set_function(lambda: admission.places)
        held = Gauge("tfseg_held_bytes", "Bytes of the requests that are not answered yet.", registry=self._registry)
        held.set_function(lambda: admission.held)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Counts an answered request.

        Args:
            route: path of the request as the application knows it.
            status: HTTP status of the answer.
            seconds: time from its head to its answer.
        """
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def response(self) -> web.Response:
        """All numbers, in the text form of Prometheus."""
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def route_of(request: web.BaseRequest) -> str:
    """The path of a request as the application knows it: a stranger's paths make no new names.

    Args:
        request: request of any path.
    """
    if isinstance(request, web.Request) and (resource := request.match_info.route.resource):
        return str(resource.canonical)
    return "other"


class RequestLog(abc.AbstractAccessLogger):
    """Writes a line for every request, without its body or the headers that the client sent."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Writes the line of a request.

        Args:
            request: request that has been answered.
            response: its answer.
            time: seconds that it took.
        """
        asked = request.method, request.path_qs, f"HTTP/{request.version.major}.{request.version.minor}"
        log_request(request.remote, asked, response.status, response.body_length, time)


def log_request(remote: str | None, asked: tuple[str, ...], status: int, size: int, seconds: float) -> None:
    """Writes the line of a request.

    Args:
        remote: address of the client.
        asked: method, path and version, as in the first line of the request.
        status: HTTP status of the answer.
        size: bytes of its body.
        seconds: what it took.
    """
    method, path, *_ = asked
    facts = {
        "remote": remote,
        "method": method,
        "path": path,
        "status": status,
        "bytes": size,
        "seconds": round(seconds, 6),
    }
    line = f'{remote} "{" ".join(asked)}" {status} {size} bytes'
    REQUESTS.info("%s %.6f s", line.encode("unicode_escape").decode(), seconds, extra={"facts": facts})


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        facts: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.exc_info:
            facts["error"] = self.formatException(record.exc_info)
        return json.dumps(facts | getattr(record, "facts", {"message": record.getMessage()}))


class _OfStrangers(logging.Filter):
    """Makes a warning of one line of what strangers send that is no HTTP; aiohttp writes it as an error of many."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        record.msg, record.args = "%s: %s", (record.getMessage(), reason)
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return self._level <= logging.WARNING


def write_log(form: str, level: str) -> None:
    """Lets the server write its log to stderr.

    Args:
        form: "text", or "json" for one JSON object on each line.
        level: lowest level that is written: "debug", "info" (requests, too), "warning" or "error".
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AsJson() if form == "json" else logging.Formatter("%(asctime)s %(message)s"))
    logging.captureWarnings(True)  # a stranger's file can make libraries warn of thousands of its parts
    for name in ("tfseg.serving", "aiohttp", "asyncio", "py.warnings"):
        log = logging.getLogger(name)
        log.addHandler(handler)
        log.setLevel("ERROR" if name == "py.warnings" and level != "debug" else level.upper())
        log.propagate = False
    logging.getLogger("aiohttp.server").addFilter(_OfStrangers(logging.getLevelNamesMapping()[level.upper()]))
