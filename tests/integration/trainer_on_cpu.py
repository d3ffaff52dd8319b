"""Runs ``launch_trainer.py`` in a trainer's environment on a machine without a GPU: what asks for one gets the CPU.

``python trainer_on_cpu.py LAUNCHER ENTRY ARGUMENT …``. For proofs of everything but the kernels.
"""

from __future__ import annotations

import runpy
import sys
from typing import Any

import torch

torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[assignment,method-assign]
torch.nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[assignment,method-assign]


def main() -> Any:
    sys.argv = sys.argv[1:]
    sys.path.insert(0, "")  # which the launcher removes, as it removes its own folder
    return runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
