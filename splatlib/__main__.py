"""``python -m splatlib`` is the ``splat`` command."""

from splatlib.cli import main

main()
