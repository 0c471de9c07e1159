"""Serves an exported model over HTTP: TF Serving's REST form, pictures in and masks out, and a page to try it on.

    tfseg-serve --model=street

where `street` is a folder that tfseg-export made. Prints its address; Ctrl-C or SIGTERM stops it once the requests
that run are answered.
"""

import logging
import socket
import sys

from absl import flags

from tfseg.images import MAX_PIXELS
from tfseg.serving.limits import Limits
from tfseg_cli.launch import launch

_MODEL = flags.DEFINE_string("model", None, "The folder that tfseg-export made.", required=True)
_NAME = flags.DEFINE_string("name", None, "What the model is called in addresses; by default as its metadata say.")
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0: all of this machine's.")
_PORT = flags.DEFINE_integer("port", 8501, "Port to listen on; 0: any free one.", 0, 65535)
_MAX_BYTES = flags.DEFINE_integer("max_bytes", Limits().max_bytes, "Largest request.", 1)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels", Limits().max_pixels, "Largest picture, height times width.", 1, MAX_PIXELS
)
_TIMEOUT = flags.DEFINE_float("timeout", Limits().timeout, "Seconds that a request may take, waiting included.", 0.001)
_QUEUE = flags.DEFINE_integer("queue", Limits().queue, "Requests at once; those beyond are told to come again.", 1)


def main():
    launch(_serve)


def _serve():
    try:
        from aiohttp import web
    except ModuleNotFoundError as error:
        raise ValueError('Serving needs aiohttp: pip install "tfseg[serve]"') from error
    from tfseg.serving.app import Server
    from tfseg.serving.exported import Exported

    limits = Limits(_MAX_BYTES.value, _MAX_PIXELS.value, _TIMEOUT.value, _QUEUE.value)
    exported = Exported(_MODEL.value, _NAME.value)
    family = socket.AF_INET6 if ":" in _HOST.value else socket.AF_INET
    with socket.create_server((_HOST.value, _PORT.value), family=family) as listening:
        host, port = listening.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        print(f"{exported.name}, version {exported.version}: http://{address}", flush=True)
        web.run_app(
            Server(exported, limits).app(),
            sock=listening,
            print=None,
            backlog=max(1024, limits.queue),  # beyond it connections are lost before they could be refused
            shutdown_timeout=limits.timeout,
            handler_cancellation=True,  # who hangs up does not keep others waiting
            access_log=_request_log(),
            access_log_format='%a "%r" %s %b bytes %Tf s',
        )
    return 0


def _request_log():
    """A logger that writes one line a request to stderr."""
    log = logging.getLogger("tfseg.serving.requests")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    return log


if __name__ == "__main__":
    main()
