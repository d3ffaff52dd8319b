"""gsplat's compiled kernels. Importing this builds or loads them; ask splatlib.render.device first whether it can."""

from __future__ import annotations

import importlib
from typing import Any

kernels: Any = importlib.import_module("gsplat.cuda._backend")._C
