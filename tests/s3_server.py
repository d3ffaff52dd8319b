"""A local S3 (moto) that real boto3 talks to, and a server in front of it that answers badly on purpose."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlparse

BUCKET = "captures-of-tests"


class BadServer:
    """Passes requests on to S3, counts them, and breaks answers off.

    Attributes:
        asked: the paths of all GET requests.
        fetched: the keys that were asked for with GET, in order, with the Range header.
        cut_after_bytes: the connection closes after so many bytes of a body, while ``cuts_left`` is above 0.
        answer: instead of S3's answers to GET, this status and error code, while ``answers_left`` is above 0.
        put: the paths of all PUT requests that were passed on.
        puts_left: so many PUT requests pass; those after them are answered with ``answer``. None: all pass.
    """

    def __init__(self, endpoint: str) -> None:
        self.asked: list[str] = []
        self.fetched: list[tuple[str, str | None]] = []
        self.cut_after_bytes, self.cuts_left = 0, 0
        self.answer, self.answers_left = (503, "SlowDown"), 0
        self.put: list[str] = []
        self.puts_left: int | None = None
        self._lock = threading.Lock()
        self._target = urlparse(endpoint).netloc
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.pass_on(self)

            do_HEAD = do_PUT = do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def pass_on(self, request: BaseHTTPRequestHandler) -> None:
        is_object = request.command == "GET" and "list-type" not in request.path
        if request.command == "GET":
            self.asked.append(request.path)
        if is_object:
            self.fetched.append((request.path.partition("?")[0].lstrip("/"), request.headers.get("Range")))
        if request.command == "GET" and self.answers_left:
            self.answers_left -= 1
            status, code = self.answer
            return _send(request, status, [], f"<Error><Code>{code}</Code><Message>said so</Message></Error>".encode())
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.command == "PUT":
            with self._lock:
                refused = self.puts_left == 0
                if not refused:
                    self.put.append(request.path)
                    self.puts_left = None if self.puts_left is None else self.puts_left - 1
            if refused:
                status, code = self.answer
                text = f"<Error><Code>{code}</Code><Message>said so</Message></Error>"
                return _send(request, status, [], text.encode())
        connection = http.client.HTTPConnection(self._target)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        connection.request(request.command, request.path, body=body or None, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        passed = [(n, v) for n, v in answer.getheaders() if n.lower() not in ("connection", "transfer-encoding")]
        cut = None
        if is_object and self.cuts_left and len(body) > self.cut_after_bytes:
            self.cuts_left -= 1
            cut = self.cut_after_bytes
        return _send(request, answer.status, passed, body, cut)


def _send(
    request: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], body: bytes, cut: int | None = None
) -> None:
    request.send_response(status)
    for name, value in headers:
        request.send_header(name, value)
    if not any(name.lower() == "content-length" for name, _ in headers):
        request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        with contextlib.suppress(OSError):  # a client that gave up
            request.wfile.write(body[:cut])
            request.wfile.flush()
    request.close_connection = cut is not None


@contextlib.contextmanager
def local_s3() -> Iterator[tuple[BadServer, Any]]:
    """The server in front, and a client that writes into the bucket behind it. Ends with an empty S3."""
    import boto3
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    behind = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=behind, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    client.create_bucket(Bucket=BUCKET)
    front = BadServer(behind)
    try:
        yield front, client
    finally:
        front.close()
        http_reset(behind)
        moto.stop()


def http_reset(endpoint: str) -> None:
    connection = http.client.HTTPConnection(urlparse(endpoint).netloc)
    connection.request("POST", "/moto-api/reset")
    connection.getresponse().read()
