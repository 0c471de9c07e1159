"""Serves an exported model over HTTP: TF Serving's REST API, images in and masks out, and a page to try it.

    tfseg serve street
    tfseg serve street --host=0.0.0.0 --allow_host=segmenter.example.org

`street` is a folder that `tfseg export` wrote. The command prints its address. After Ctrl-C or SIGTERM it answers the
requests that it has begun, and stops. `/health` answers as long as the server lives, `/ready` while it takes requests,
and `/metrics` with numbers for Prometheus.
"""

import errno
import gc
import importlib.util
import ipaddress
import logging
import os
import pathlib
import re
import socket
import sys
from typing import NoReturn

from tfseg_cli import flag_types, path_flags
from tfseg_cli.launch import UsageError, invalid, launch
from tfseg_cli.quiet import load_library


def _model_name(value: str) -> str:
    if not re.fullmatch(r"[^\s/:?#%]+", value):
        raise ValueError
    return value


def _bare_name(value: str) -> str:
    name = value.strip("[]").lower()
    if value == "*":
        return value
    if ":" in name:
        return str(ipaddress.IPv6Address(name))  # raises ValueError
    if not re.fullmatch(r"[a-z0-9._-]*[a-z0-9_-]\.?", name):
        raise ValueError
    return name.removesuffix(".")


def _origin(value: str) -> str:
    if value != "*" and not re.fullmatch(r"https?://[^\s/?#]+", value):
        raise ValueError
    return value.lower()


_MODEL = path_flags.exported_folder("model", "The folder that `tfseg export` wrote.")
_NAME = flag_types.define(
    "name",
    None,
    "Name of the model in addresses; by default the name in its metadata.",
    flag_types.Parser(_model_name, "a name for an address, without spaces and / : ? # %"),
)
_HOST = flag_types.text("host", "127.0.0.1", "Address to listen on; 0.0.0.0: all addresses of this machine.")
_PORT = flag_types.integer("port", 8501, "Port to listen on; 0: any free one.", least=0, most=65535)
_ALLOW_HOST = flag_types.define(
    "allow_host",
    [],
    "A name or address, without port, by which clients reach the server; *: any. Requests to other names are refused. "
    "This machine's own names, and --host, are always allowed; a public --host needs at least one more.",
    flag_types.Parser(_bare_name, "a name or an address without port, or *"),
    repeated=True,
)
_ALLOW_ORIGIN = flag_types.define(
    "allow_origin",
    [],
    "A site whose pages may use the server, such as https://example.org; *: any. Without it, only its own page may.",
    flag_types.Parser(_origin, "the address of a site, such as https://example.org, or *"),
    repeated=True,
)
_MAX_BYTES = flag_types.integer("max_bytes", 16 * 2**20, "Largest request, in bytes.", least=1)
_MAX_PIXELS = flag_types.integer(
    "max_pixels", 16_000_000, "Largest image, in pixels: its height times its width.", least=1, most=178_956_970
)
_MAX_ELEMENTS = flag_types.integer(
    "max_elements", 8_000_000, "Numbers, lists and objects in the JSON of a request, at most.", least=1
)
_HELD_BYTES = flag_types.integer(
    "held_bytes",
    256 * 2**20,
    "Bytes of all requests together that are not answered yet; further ones are asked to try again later.",
    least=1,
)
_TIMEOUT = flag_types.number(
    "timeout", 300.0, "Seconds that a request may take, waiting included.", least=0.001, most=1e6
)
_BODY_TIMEOUT = flag_types.number(
    "body_timeout", 30.0, "Seconds in which the body of a request must come.", least=0.001, most=1e6
)
_QUEUE = flag_types.integer(
    "queue", 256, "Requests at once; further ones are asked to try again later.", least=1, most=65535
)
_BATCH = flag_types.integer(
    "batch",
    8,
    "Requests for images of one size that share a run of the model at most, if they wait: as many as make it fastest.",
    least=1,
    most=1024,
)
_ENGINE = flag_types.choice(
    "engine",
    "auto",
    ("auto", "tensorflow", "openvino", "onnxruntime", "litert"),
    "What computes: tensorflow; openvino, onnxruntime or litert, if `tfseg export` wrote its format into the folder, "
    "too; auto: the fastest of those that are there and installed, measured at the start.",
)
_SAMPLE = path_flags.existing_file(
    "sample", "Picture that the page offers to try; by default a drawing of a street, if the model takes photographs."
)
_LOG_FORMAT = flag_types.choice(
    "log_format", "text", ("text", "json"), "Form of the log on stderr: lines of text, or one JSON object on each line."
)
_LOG_LEVEL = flag_types.choice(
    "log_level", "info", ("debug", "info", "warning", "error"), "What is logged; info: a line for every request, too."
)


def main() -> None:
    """Runs `tfseg serve`."""
    launch(_serve, required=("model",), positional="model")


def _serve() -> NoReturn:
    with _reserved_port() as listening:
        hosts = _allowed_hosts(listening.getsockname()[0])
        for package in ("aiohttp", "orjson", "prometheus_client"):
            if importlib.util.find_spec(package) is None:
                raise ValueError(f'Serving needs {package}: pip install "tfseg[serve]"')
        load_library()
        from tfseg.serving import monitoring, running
        from tfseg.serving.access import Access
        from tfseg.serving.app import Server
        from tfseg.serving.exported import ExportedModel
        from tfseg.serving.limits import Limits

        limits = Limits(
            _MAX_BYTES.value,
            _MAX_PIXELS.value,
            _MAX_ELEMENTS.value,
            _HELD_BYTES.value,
            _TIMEOUT.value,
            _BODY_TIMEOUT.value,
            _QUEUE.value,
            _BATCH.value,
        )
        sample = pathlib.Path(_SAMPLE.value).read_bytes() if _SAMPLE.value else None
        access = Access(hosts, tuple(_ALLOW_ORIGIN.value))
        _allow_many_connections()
        exported = ExportedModel(_MODEL.value, _NAME.value, _ENGINE.value)
        backlog = max(1024, limits.queue)  # further connections are lost before they can be refused
        try:
            listening.listen(backlog)
        except OSError as error:  # another server took the port while the model was loaded
            raise _refusal(error) from None
        host, port = listening.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        print(f"{exported.name}, version {exported.version}: http://{address}", flush=True)
        print(f"computed by {exported.engine}", flush=True)
        monitoring.write_log(_LOG_FORMAT.value, _LOG_LEVEL.value)
        server = Server(exported, limits, access, sample)
        gc.freeze()  # to look through all that was loaded stops every answer for half a second, and frees nothing
        running.run(server, listening)
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)  # threads may still compute for clients that hung up, and Python would wait for them


def _allowed_hosts(address: str) -> tuple[str, ...]:
    """The names by which clients may reach the server.

    Args:
        address: address to which the name of --host leads.
    Raises:
        UsageError: the server is to be public, and has no name.
    """
    local = ("localhost", "127.0.0.1", "::1")
    if address in ("0.0.0.0", "::") and not _ALLOW_HOST.value:
        raise invalid(
            _HOST,
            "all machines can reach this address. Name the server as its clients do: --allow_host=NAME, which may be "
            "repeated; --allow_host='*' allows any name",
        )
    return (*local, address, _HOST.value.lower().removesuffix("."), *_ALLOW_HOST.value)


def _allow_many_connections() -> None:
    """Lets the process have as many open connections as the system allows: clients may be silent, and many."""
    if importlib.util.find_spec("resource"):  # Windows has no such limits
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _reserved_port() -> socket.socket:
    """A socket with the address of --host and --port. It refuses connections until it listens.

    Raises:
        UsageError: the address is not one of this machine, or the port is not free.
    """
    family = socket.AF_INET6 if ":" in _HOST.value else socket.AF_INET
    try:
        reserved = socket.socket(family)
        try:
            if os.name == "posix":
                reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                reserved.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            reserved.bind((_HOST.value, _PORT.value))
        except BaseException:
            reserved.close()
            raise
    except (OSError, ValueError) as error:  # UnicodeError for what is no name of a host
        raise _refusal(error) from None
    return reserved


def _refusal(error: Exception) -> UsageError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return invalid(_PORT, "the port is in use. Choose another one, or 0 for any free one")
    if isinstance(error, PermissionError):
        return invalid(_PORT, "listening on this port is not allowed. Choose one from 1024 on")
    reason = (error.strerror if isinstance(error, OSError) else None) or "it is no name of a host"
    return invalid(_HOST, f"expected an address of this machine, such as 127.0.0.1 or 0.0.0.0 ({reason})")


if __name__ == "__main__":
    main()
