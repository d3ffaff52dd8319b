"""Python environments of other trainers, whose pins contradict ours and each other's: described, found, installed.

Each folder here describes one: ``environment.toml``, ``requirements.txt`` and ``lock.txt``, every version pinned. The
container image and ``splat backend install`` build the same from it.
"""

from splatlib.environments.described import Description as Description
from splatlib.environments.described import described as described
from splatlib.environments.described import description_for as description_for
from splatlib.environments.found import Environment as Environment
from splatlib.environments.found import Status as Status
from splatlib.environments.found import look_for as look_for
from splatlib.environments.found import require as require
from splatlib.environments.found import variables as variables
from splatlib.environments.install import install as install
