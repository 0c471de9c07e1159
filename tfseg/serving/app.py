"""The web application that `tfseg serve` runs: its routes, and the limits that guard them."""

import asyncio
import concurrent.futures
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from tfseg.serving import answers, page, rest, uploads
from tfseg.serving.errors import Refused
from tfseg.serving.exported import ExportedModel
from tfseg.serving.limits import Limits

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Result = TypeVar("Result")

_LOG = logging.getLogger("tfseg.serving")
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_VERSION = r"{version:(/versions/\d+)?}"
_CONTENT_LIMIT = "A request has at most {max_bytes} bytes here. Received: {size}"


class Server:
    """A model over HTTP, within limits.

    One thread decodes images and runs the model, which uses all cores by itself. Meanwhile the event loop answers.

    Args:
        exported: model to serve.
        limits: what a request may cost.
    """

    def __init__(self, exported: ExportedModel, limits: Limits) -> None:
        self.exported, self.limits = exported, limits
        self.busy = 0  # requests whose head has come, but whose answer has not been sent
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="model")
        self._page, self._page_policy = page.fill(exported, limits)

    def app(self) -> web.Application:
        """The application, for `aiohttp.web.run_app`."""
        app = web.Application(client_max_size=self.limits.max_bytes, middlewares=[self._answer_errors])
        app.router.add_get("/", self._show_page)
        app.router.add_get("/health", self._health)
        app.router.add_post("/segment", self._segment)
        app.router.add_get(f"/v1/models/{{name:[^/:]+}}{_VERSION}", self._status)
        app.router.add_get(f"/v1/models/{{name:[^/:]+}}{_VERSION}/metadata", self._signatures)
        app.router.add_post(f"/v1/models/{{name:[^/:]+}}{_VERSION}:predict", self._predict)
        app.on_response_prepare.append(_harden)
        app.on_cleanup.append(self._stop)
        return app

    async def _stop(self, app: web.Application) -> None:
        self._thread.shutdown(cancel_futures=True)

    async def _show_page(self, request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": self._page_policy}
        return web.Response(text=self._page, content_type="text/html", headers=headers)

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "model": self.exported.name, "requests": self.busy})

    async def _segment(self, request: web.Request) -> web.Response:
        output, names = request.query.get("output", "mask"), request.query.getall("class", [])
        if output not in answers.OUTPUTS:
            raise Refused(400, f"The output is one of {', '.join(answers.OUTPUTS)}. Received: {output!r}")
        if names and output not in answers.OUTPUTS_WITH_CHOICE:
            allowed = ", ".join(answers.OUTPUTS_WITH_CHOICE)
            raise Refused(400, f"Classes are chosen with the outputs {allowed}, not {output}.")
        chosen = answers.chosen_classes(names, self.exported)

        def answer(content: bytes) -> answers.Answer:
            image = uploads.decode(content, self.limits.max_pixels, self.exported.channels)
            return answers.OUTPUTS[output](image, self.exported.segment(image), self.exported, chosen)

        async with self._admitted(request):
            content = await self._uploaded(request)
            uploads.count_pixels(content, self.limits.max_pixels, self.exported.channels)
            body, content_type = await self._run(lambda: answer(content))
        return web.Response(body=body, content_type=content_type)

    async def _uploaded(self, request: web.Request) -> bytes:
        """The bytes of an image file: the body, or the field of a form that holds a file."""
        if not request.content_type.startswith("multipart/"):
            return await request.read()
        try:
            files = [field.file for field in (await request.post()).values() if isinstance(field, web.FileField)]
        except web.HTTPException:  # the form is too large
            raise
        except Exception as error:  # an incomplete form raises nearly anything
            reason = (str(error) or type(error).__name__).splitlines()[-1].strip()
            raise Refused(400, f"The form cannot be read: {reason}") from error
        if len(files) != 1:
            raise Refused(400, f"A form has one file, as in curl --form image=@photo.jpg. Received: {len(files)}")
        with files[0] as file:
            return file.read()

    async def _predict(self, request: web.Request) -> web.Response:
        self._check_name(request)

        def answer(body: bytes) -> bytes:
            signature, inputs, by_rows = rest.read_request(body, self.exported, self.limits.max_pixels)
            return rest.write_answer(self.exported.run(signature, inputs), by_rows)

        async with self._admitted(request):
            body = await request.read()
            result = await self._run(lambda: answer(body))
        return web.Response(body=result, content_type="application/json")

    async def _status(self, request: web.Request) -> web.Response:
        self._check_name(request)
        status = {"error_code": "OK", "error_message": ""}
        row = {"version": self.exported.version, "state": "AVAILABLE", "status": status}
        return web.json_response({"model_version_status": [row]})

    async def _signatures(self, request: web.Request) -> web.Response:
        self._check_name(request)
        spec = {"name": self.exported.name, "signature_name": "", "version": self.exported.version}
        metadata = {"signature_def": {"signature_def": self.exported.signature_def}}
        return web.json_response({"model_spec": spec, "metadata": metadata})

    def _check_name(self, request: web.Request) -> None:
        name, version = request.match_info["name"], request.match_info["version"].rpartition("/")[2]
        if name != self.exported.name or version not in ("", self.exported.version):
            raise Refused(
                404,
                f"The model here is {self.exported.name}, version {self.exported.version}. "
                f"Received: {name}{version and f', version {version}'}",
            )

    @contextlib.asynccontextmanager
    async def _admitted(self, request: web.Request) -> AsyncIterator[None]:
        """Counts the request before its body takes memory, and limits its time."""
        max_bytes, size = self.limits.max_bytes, request.content_length or 0
        if size > max_bytes:
            raise Refused(413, _CONTENT_LIMIT.format(max_bytes=max_bytes, size=size))
        if self.busy >= self.limits.queue:
            raise Refused(503, f"{self.busy} requests are waiting already: try again in a moment.")
        self.busy += 1
        try:
            async with asyncio.timeout(self.limits.timeout):
                yield
        except TimeoutError as error:
            status = 504 if request.content.is_eof() else 408  # at its end, the body has come
            raise Refused(status, f"The request took longer than {self.limits.timeout:g} s.") from error
        finally:
            self.busy -= 1

    async def _run(self, function: Callable[[], Result]) -> Result:
        """Runs a function in the model's thread. A request that is canceled while it waits leaves the queue."""
        return await asyncio.wrap_future(self._thread.submit(function))

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answers all errors in TF Serving's form, those of aiohttp, too."""
        try:
            return await handler(request)
        except Refused as error:
            headers = {"Retry-After": "5"} if error.status == 503 else None
            return web.json_response({"error": str(error)}, status=error.status, headers=headers)
        except web.HTTPRequestEntityTooLarge:
            text = _CONTENT_LIMIT.format(max_bytes=self.limits.max_bytes, size="more")
            return web.json_response({"error": text}, status=413)
        except web.HTTPException as error:  # an unknown path, a wrong method
            if error.status >= 400:
                error.text, error.content_type = json.dumps({"error": error.reason}), "application/json"
            raise
        except Exception:
            _LOG.exception("%s %s", request.method, request.rel_url)
            return web.json_response({"error": "The server failed; its log says where."}, status=500)


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
