"""SageMaker's training instances and what an hour of one costs: a dated table, and AWS's price list if asked for."""

from __future__ import annotations

import datetime
import difflib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from splatlib.errors import ConfigError, LaunchError
from splatlib.files import os_errors_translated, write_atomically

_TABLE = Path(__file__).with_name("instances.json")


@dataclass(frozen=True)
class Instance:
    """One type of instance.

    Attributes:
        gpu: name of its GPUs, empty where it has none.
        nvme_gb: its own disk, which SageMaker then uses instead of a volume (and which admits no KMS key); 0: none.
    """

    name: str
    usd_per_hour: float
    gpus: int
    gpu: str
    gpu_gib: int
    vcpus: int
    memory_gib: int
    nvme_gb: int


@dataclass(frozen=True)
class Price:
    """Dollars an hour on demand, where they hold, and where the figure is from."""

    usd_per_hour: float
    region: str
    date: str
    source: str


@cache
def _table() -> dict[str, Any]:
    return json.loads(_TABLE.read_text())


def instances() -> dict[str, Instance]:
    """All types that splatlib knows, by name."""
    return {name: Instance(name, **fields) for name, fields in _table()["instances"].items()}


def instance_called(name: str) -> Instance:
    """Raises ConfigError for one that is not known."""
    known = instances()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2) or difflib.get_close_matches(f"ml.{name}", known, n=2)
        raise ConfigError(
            f"the instance {name!r} is not known",
            why="SageMaker's names begin with ml." if not name.startswith("ml.") else "",
            hint=f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}",
        )
    return known[name]


def price_of(instance: str, region: str) -> Price | None:
    """Of AWS's price list if it was read (``read_price_list``), else of the table; None where neither has it."""
    own = _read_file(region)
    if own and instance in own["usd_per_hour"]:
        return Price(own["usd_per_hour"][instance], region, own["date"], own["source"])
    table = _table()
    if region in table["regions"] and instance in table["instances"]:
        return Price(table["instances"][instance]["usd_per_hour"], region, table["date"], table["source"])
    return None


def read_price_list(region: str) -> dict[str, float]:
    """Ask AWS's price list for a region's prices of training, and keep them in the user's cache folder.

    Returns:
        Dollars an hour, by instance.

    Raises:
        LaunchAccessError: no credentials, or without pricing:GetProducts. LaunchError: the list has nothing for it.
    """
    from splatlib.launch.aws.session import aws_errors_translated, client

    # the price list itself lives in few regions
    with aws_errors_translated("the price list", needs="pricing:GetProducts"):
        pages = (
            client("pricing", "us-east-1")
            .get_paginator("get_products")
            .paginate(
                ServiceCode="AmazonSageMaker",
                Filters=[
                    {"Type": "TERM_MATCH", "Field": "regionCode", "Value": region},
                    {"Type": "TERM_MATCH", "Field": "component", "Value": "Training"},
                ],
            )
        )
        products = [json.loads(text) for page in pages for text in page["PriceList"]]
    found: dict[str, float] = {}
    for product in products:
        name = product["product"]["attributes"].get("instanceName", "")
        for usd in _on_demand(product):
            if name and usd > 0:
                found[name] = max(usd, found.get(name, 0.0))
    if not found:
        raise LaunchError(f"AWS's price list has no training prices for {region}", hint="check the region's name")
    document = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "source": "AWS Price List (pricing:GetProducts, AmazonSageMaker, component Training)",
        "usd_per_hour": found,
    }
    path = _file(region)
    with os_errors_translated(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(document, indent=1))
    return found


def _on_demand(product: dict[str, Any]) -> list[float]:
    terms = product.get("terms", {}).get("OnDemand", {}).values()
    dimensions = [dimension for term in terms for dimension in term["priceDimensions"].values()]
    return [float(d["pricePerUnit"].get("USD", 0)) for d in dimensions if d["unit"].lower() in ("hrs", "hour", "hours")]


def _file(region: str) -> Path:
    if folder := os.environ.get("SPLATLIB_CACHE"):
        return Path(folder) / f"prices-{region}.json"
    import platformdirs

    return Path(platformdirs.user_cache_dir("splatlib")) / f"prices-{region}.json"


def _read_file(region: str) -> dict[str, Any] | None:
    path = _file(region)
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise LaunchError(f"{path} is damaged", hint="delete it, or: splat prices update --region " + region) from error
