"""Other trainers behind ``train_splat``: each a process in an environment of its own, its result measured as ours is.

``protocol`` says what a trainer is to us, one module a family implements it, ``stage`` runs it, ``launch_trainer`` is
what runs inside the other environment.
"""

from __future__ import annotations

from splatlib.errors import ConfigError
from splatlib.train.external.protocol import Trainer


def trainer_for(backend: str) -> Trainer:
    """The adapter of a backend. Raises ConfigError."""
    from splatlib.train.external.nerfacto import Nerfacto
    from splatlib.train.external.nerfstudio import Splatfacto
    from splatlib.train.external.splatfacto_w import SplatfactoW
    from splatlib.train.external.threedgrut import ThreeDGRUT

    match backend:
        case "splatfacto" | "splatfacto-big" | "splatfacto-mcmc":
            return Splatfacto(backend)
        case "splatfacto-w-light":
            return SplatfactoW()
        case "nerfacto":
            return Nerfacto()
        case "3dgut" | "3dgrt":
            return ThreeDGRUT(backend)
    raise ConfigError(f"there is no other trainer {backend!r}")
