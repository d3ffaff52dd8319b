"""Groups of commands of ``splat``, one module each; ``splatlib.cli`` joins them."""
