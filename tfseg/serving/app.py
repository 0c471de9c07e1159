"""The routes, and what guards them: the web application that `tfseg-serve` runs."""

import asyncio
import concurrent.futures
import contextlib
import json
import logging

from aiohttp import web

from tfseg.serving import answers, images, page, rest
from tfseg.serving.errors import Refused

_LOG = logging.getLogger("tfseg.serving")
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_VERSION = r"{version:(/versions/\d+)?}"
_CONTENT_LIMIT = "A request has at most {most} bytes here. Received: {size}"


class Server:
    """An `Exported` model behind HTTP, within `Limits`.

    One thread decodes pictures and runs the model, which uses all cores by itself; the loop goes on answering.
    """

    def __init__(self, exported, limits):
        self.exported, self.limits = exported, limits
        self.busy = 0  # requests between their head and their answer
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="model")
        self._page, self._page_policy = page.fill(exported, limits)

    def app(self):
        """The `aiohttp.web.Application`."""
        app = web.Application(client_max_size=self.limits.max_bytes, middlewares=[self._tell_errors])
        app.router.add_get("/", self._show_page)
        app.router.add_get("/health", self._health)
        app.router.add_post("/segment", self._segment)
        app.router.add_get(f"/v1/models/{{name:[^/:]+}}{_VERSION}", self._status)
        app.router.add_get(f"/v1/models/{{name:[^/:]+}}{_VERSION}/metadata", self._signatures)
        app.router.add_post(f"/v1/models/{{name:[^/:]+}}{_VERSION}:predict", self._predict)
        app.on_response_prepare.append(_harden)
        app.on_cleanup.append(self._stop)
        return app

    async def _stop(self, app):
        self._thread.shutdown(cancel_futures=True)

    async def _show_page(self, request):
        headers = {"Content-Security-Policy": self._page_policy}
        return web.Response(text=self._page, content_type="text/html", headers=headers)

    async def _health(self, request):
        return web.json_response({"status": "ok", "model": self.exported.name, "requests": self.busy})

    async def _segment(self, request):
        output, wanted = request.query.get("output", "mask"), request.query.getall("class", [])
        if output not in answers.OUTPUTS:
            raise Refused(400, f"The output is one of {', '.join(answers.OUTPUTS)}. Received: {output!r}")
        if wanted and output not in answers.WITH_CHOICE:
            raise Refused(400, f"Classes are chosen with the outputs {', '.join(answers.WITH_CHOICE)}, not {output}.")
        chosen = answers.chosen_classes(wanted, self.exported)

        def answer(data):
            pixels = images.decode(data, self.limits.max_pixels)
            return answers.OUTPUTS[output](pixels, self.exported.segment(pixels), self.exported, chosen)

        async with self._admitted(request):
            data = await self._picture(request)
            images.count_pixels(data, self.limits.max_pixels)
            body, content_type = await self._run(answer, data)
        return web.Response(body=body, content_type=content_type)

    async def _picture(self, request):
        """The bytes of a picture: the body, or of a form the field that holds a file."""
        if not request.content_type.startswith("multipart/"):
            return await request.read()
        try:
            files = [field.file for field in (await request.post()).values() if isinstance(field, web.FileField)]
        except web.HTTPException:  # too large
            raise
        except Exception as error:  # a form that breaks off raises nearly anything
            reason = (str(error) or type(error).__name__).splitlines()[-1].strip()
            raise Refused(400, f"The form cannot be read: {reason}") from error
        if len(files) != 1:
            raise Refused(400, f"A form has one file, as of curl --form image=@photo.jpg. Received: {len(files)}")
        with files[0] as file:
            return file.read()

    async def _predict(self, request):
        self._check_name(request)

        def answer(body):
            signature, inputs, by_rows = rest.read_request(body, self.exported, self.limits.max_pixels)
            return rest.write_answer(self.exported.run(signature, inputs), by_rows)

        async with self._admitted(request):
            body = await self._run(answer, await request.read())
        return web.Response(body=body, content_type="application/json")

    async def _status(self, request):
        self._check_name(request)
        status = {"error_code": "OK", "error_message": ""}
        row = {"version": self.exported.version, "state": "AVAILABLE", "status": status}
        return web.json_response({"model_version_status": [row]})

    async def _signatures(self, request):
        self._check_name(request)
        spec = {"name": self.exported.name, "signature_name": "", "version": self.exported.version}
        metadata = {"signature_def": {"signature_def": self.exported.signature_def}}
        return web.json_response({"model_spec": spec, "metadata": metadata})

    def _check_name(self, request):
        name, version = request.match_info["name"], request.match_info["version"].rpartition("/")[2]
        if name != self.exported.name or version not in ("", self.exported.version):
            raise Refused(
                404,
                f"The model here is {self.exported.name}, version {self.exported.version}. "
                f"Received: {name}{version and f', version {version}'}",
            )

    @contextlib.asynccontextmanager
    async def _admitted(self, request):
        """A place among the requests, before the body takes memory; and the time that this one may take."""
        most, size = self.limits.max_bytes, request.content_length or 0
        if size > most:
            raise Refused(413, _CONTENT_LIMIT.format(most=most, size=size))
        if self.busy >= self.limits.queue:
            raise Refused(503, f"{self.busy} requests are waiting already: try again in a moment.")
        self.busy += 1
        try:
            async with asyncio.timeout(self.limits.timeout):
                yield
        except TimeoutError as error:
            status = 504 if request.content.is_eof() else 408  # the body came, or it did not
            raise Refused(status, f"The request took longer than {self.limits.timeout:g} s.") from error
        finally:
            self.busy -= 1

    async def _run(self, function, *arguments):
        """In the model's thread. A request that is given up while it waits is taken out of the queue."""
        return await asyncio.wrap_future(self._thread.submit(function, *arguments))

    @web.middleware
    async def _tell_errors(self, request, handler):
        """Errors as TF Serving tells them, whoever found them."""
        try:
            return await handler(request)
        except Refused as error:
            headers = {"Retry-After": "5"} if error.status == 503 else None
            return web.json_response({"error": str(error)}, status=error.status, headers=headers)
        except web.HTTPRequestEntityTooLarge:
            text = _CONTENT_LIMIT.format(most=self.limits.max_bytes, size="more")
            return web.json_response({"error": text}, status=413)
        except web.HTTPException as error:  # an unknown path, a wrong method
            if error.status >= 400:
                error.text, error.content_type = json.dumps({"error": error.reason}), "application/json"
            raise
        except Exception:
            _LOG.exception("%s %s", request.method, request.rel_url)
            return web.json_response({"error": "The server failed; its log says where."}, status=500)


async def _harden(request, response):
    response.headers.update(_HEADERS)
