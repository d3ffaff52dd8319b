"""The commands ``splat prices …``: what an hour of a training instance costs, and whose figures these are."""

from __future__ import annotations

from typing import Annotated

import typer

from splatlib.commands.told import errors_told
from splatlib.launch.prices import instances, price_of, read_price_list

app = typer.Typer(help="Prices that estimates and budgets reckon with.", no_args_is_help=True)


@app.command()
def update(
    regions: Annotated[list[str], typer.Option("--region", help="of AWS, e.g. eu-central-1; may be repeated")],
) -> None:
    """Read AWS's price list for training instances of a region, and keep it for estimates and budgets."""
    with errors_told(None):
        for region in regions:
            found = read_price_list(region)
            for instance in sorted(found):
                typer.echo(f"{region} {instance:<20} ${found[instance]:.4f} an hour")


@app.command()
def show(region: Annotated[str, typer.Option(help="of AWS")] = "us-east-1") -> None:
    """Prices of a region that are known here, with their dates and sources."""
    with errors_told(None):
        known = {name: price for name in instances() if (price := price_of(name, region)) is not None}
        for name, price in known.items():
            typer.echo(f"{name:<20} ${price.usd_per_hour:.4f} an hour  {price.date}")
        for source in dict.fromkeys(f"{price.date}: {price.source}" for price in known.values()):
            typer.echo(source)
        if not known:
            typer.echo(f"no price of {region} is known: splat prices update --region {region}")
