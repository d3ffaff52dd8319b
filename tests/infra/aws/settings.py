"""What the test that starts the server asks of it: one JSON document in the environment."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

VARIABLE = "SPLATLIB_LOCAL_AWS"


@dataclass
class ServerSettings:
    """
    Attributes:
        time_scale: seconds of AWS' waits (retries, Wait states) are multiplied with this.
        fault_rates: of ``dynamodb`` (throttled), ``sagemaker`` (a job could not be created),
            ``lambda_before`` (never ran), ``lambda_after`` (ran, answer lost),
            ``duplicate`` (an event comes twice), ``shuffle`` (an event comes late).
        training: pairs of a pattern of the training job's name and what becomes of it (see ``training.py``).
        workers: child interpreters for one function.
        seed: of the faults.
    """

    time_scale: float = 0.01
    fault_rates: dict[str, float] = field(default_factory=dict)
    training: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    workers: int = 2
    seed: int = 0

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def of_environment(cls) -> ServerSettings:
        return cls(**json.loads(os.environ.get(VARIABLE, "{}")))


HERE = ServerSettings.of_environment()
