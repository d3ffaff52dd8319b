"""AWS's Price List API for tests: moto has none. ``GetProducts`` in pages, requests checked by botocore's model."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore.validate import validate_parameters

TARGET = "AWSPriceListService.GetProducts"


def product(region: str, instance: str, usd: str, component: str = "Training", unit: str = "Hrs") -> dict[str, Any]:
    """One product as AWS's list of SageMaker has them."""
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}, "beginRange": "0", "endRange": "Inf"}
    attributes = {
        "regionCode": region,
        "instanceName": instance,
        "component": component,
        "servicecode": "AmazonSageMaker",
    }
    return {
        "product": {"productFamily": "ML Instance", "attributes": attributes, "sku": f"SKU{instance}{region}"},
        "serviceCode": "AmazonSageMaker",
        "terms": {"OnDemand": {"SKU.TERM": {"priceDimensions": {"SKU.TERM.RATE": dimension}}}},
    }


@dataclass
class PriceServer:
    """A running server.

    Attributes:
        endpoint: for AWS_ENDPOINT_URL_PRICING.
        products: all that it knows.
        page: how many of them go into one answer.
        refusal: error code and message of all answers, once set.
    """

    endpoint: str
    products: Sequence[dict[str, Any]]
    page: int = 2
    refusal: tuple[str, str] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, target: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.refusal is not None:
            return 400, {"__type": self.refusal[0], "Message": self.refusal[1]}
        assert target == TARGET, target
        shape = botocore.session.get_session().get_service_model("pricing").operation_model("GetProducts").input_shape
        validate_parameters(request, shape)
        self.requests.append(request)
        wanted = {entry["Field"]: entry["Value"] for entry in request["Filters"]}
        found = [json.dumps(p) for p in self.products if wanted.items() <= p["product"]["attributes"].items()]
        start = int(request.get("NextToken", 0))
        told: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": found[start : start + self.page]}
        if start + self.page < len(found):
            told["NextToken"] = str(start + self.page)
        return 200, told


@contextlib.contextmanager
def price_server(products: Sequence[dict[str, Any]]) -> Iterator[PriceServer]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, told = prices.answer(self.headers["X-Amz-Target"], body)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    prices = PriceServer(f"http://127.0.0.1:{server.server_port}", products)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield prices
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
