"""A server that misbehaves in every known way, and the bytes that it serves."""

import contextlib
import hashlib
import http.server
import threading
import time
import urllib.parse

from converters.downloads import published

BODY = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()

CONFIRM_FORM = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<form id="search" action="/wrong"><input type="hidden" name="wrong" value="1"></form>
<p class="uc-warning-caption">Google Drive can't scan this file for viruses.</p>
<form id="download-form" action="{action}" method="get"><input type="submit" value="Download anyway"/>
<input type="hidden" name="id" value="ID"><input type="hidden" name="confirm" value="t">
<input type="hidden" name="uuid" value="5f0e-aa&amp;b"></form></body></html>"""
CONFIRM_LINK = """<html><head><title>Google Drive - Virus scan warning</title></head><body>
<a id="uc-download-link" href="/drive/old?export=download&amp;confirm=XyZ1&amp;id=ID">Download anyway</a>
</body></html>"""
QUOTA = """<html><head><title>Google Drive - Quota exceeded</title></head><body>
<p class="uc-error-caption">Sorry, you can't view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed
 or downloaded this file recently.</p></body></html>"""


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        with self.server.lock:
            self.server.hits.append(self.path)
        name = url.path.strip("/").replace("/", "_").partition(".")[0].partition("-")[0]
        getattr(self, "get_good" if name.startswith("good_") else f"get_{name}")()

    def answer(self, body=BODY, status=200, **headers):
        self.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def page(self, text, **headers):
        self.answer(text.encode(), Content_Type="text/html; charset=utf-8", **headers)

    def get_good(self):
        self.answer()

    def get_unsized(self):
        self.answer(Content_Length=None)

    def get_cut(self):
        self.answer(BODY[:1000], Content_Length=len(BODY))

    def get_long(self):
        self.answer(Content_Length=1000)

    def get_chunked(self):
        self.answer(b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked")

    def get_chunkedcut(self):
        self.answer(b"%x\r\n" % len(BODY) + BODY[:1000], Content_Length=None, Transfer_Encoding="chunked")

    def get_silent(self):
        self.server.closing.wait(10)

    def get_stall(self):
        self.answer(BODY[:1000], Content_Length=len(BODY))
        self.server.closing.wait(10)

    def get_drip(self):
        self.answer(b"", Content_Length=len(BODY))
        while not self.server.closing.wait(0.02):
            self.wfile.write(b"x")

    def drip(self, beginning, piece=b"x"):
        """Sends a beginning and then a little for ever."""
        self.wfile.write(beginning)
        while not self.server.closing.wait(0.02):
            self.wfile.write(piece)

    def get_driphead(self):
        self.drip(b"HTTP/1.1 200 OK\r\nX-Long: ")

    def get_dripstatus(self):
        self.drip(b"HTTP/1.1 ", b"2")

    def get_continues(self):
        self.drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")

    def get_dripextension(self):
        self.drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10;name=")

    def get_trailers(self):
        self.drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"A: b\r\n")

    def get_heavymove(self):
        """A redirect with a body of hundreds of megabytes."""
        self.answer(b"", status=302, Location="/good", Content_Length=1 << 30)
        with contextlib.suppress(OSError):
            for _ in range(300):
                self.wfile.write(BODY)
        self.close_connection = True

    def get_endless(self):
        self.answer(b"", Content_Length=None)
        with contextlib.suppress(OSError):
            while not self.server.closing.is_set():
                self.wfile.write(BODY)

    def get_slow(self):
        self.answer(b"", Content_Length=len(BODY))
        for start in range(0, len(BODY), 1 << 16):
            time.sleep(0.005)
            self.wfile.write(BODY[start : start + (1 << 16)])

    def get_wrong(self):
        self.answer(b"PK" + BODY[2:])

    def get_empty(self):
        self.answer(b"")

    def get_nocontent(self):
        self.answer(b"", status=204)

    def get_missing(self):
        self.answer(b"not here", status=404)

    def get_broken(self):
        self.answer(b"", status=500)

    def get_gzip(self):
        self.answer(Content_Encoding="gzip")

    def get_nonsense(self):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

    def get_moved(self):
        self.answer(b"", status=302, Location="/good")

    def get_loop(self):
        self.answer(b"", status=302, Location=f"/loop?{len(self.server.hits)}")

    def get_toftp(self):
        self.answer(b"", status=302, Location="ftp://127.0.0.1/x.pth")

    def get_tofile(self):
        self.answer(b"", status=302, Location="file:///etc/hostname")

    def get_html(self):
        self.page("<html><title>Please\n log in</title></html>")

    def get_plainhtml(self):
        self.answer(b"\n  <!DOCTYPE HTML><title>Welcome</title>", Content_Type="application/octet-stream")

    def get_mislabelled(self):
        self.answer(Content_Type="text/html")

    def get_drive_new(self):
        if self.query == {"id": "ID", "confirm": "t", "uuid": "5f0e-aa&b"}:
            self.answer()
        else:
            self.page(CONFIRM_FORM.format(action=self.query.get("action", "/drive/new")))

    def get_drive_old(self):
        if self.query.get("confirm") == "XyZ1" and "download_warning_ID=XyZ1" in self.headers.get("Cookie", ""):
            self.answer()
        else:
            self.page(CONFIRM_LINK, Set_Cookie="download_warning_ID=XyZ1; Path=/")

    def get_drive_again(self):
        self.page(CONFIRM_FORM.format(action="/drive/again"))

    def get_drive_quota(self):
        self.page(QUOTA)


class Server(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.hits, self.lock, self.closing = [], threading.Lock(), threading.Event()

    def handle_error(self, request, client_address):
        pass  # the client hung up, as most of these tests intend

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


@contextlib.contextmanager
def misbehaving():
    """A server that runs as long as the block."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def publish_in(monkeypatch):
    """A function that makes the table of published files one row."""

    def publish(*urls, hash=f"sha256:{SHA256}", name="net", mebibytes=None):
        row = published.PublishedFile(name, urls, "family", "network", hash, mebibytes, "none", "none")
        monkeypatch.setattr(published, "PUBLISHED", (row,))

    return publish
