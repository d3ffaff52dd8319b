"""One place for the compiler's options.

``fastmath`` leaves out ``nnan`` and ``ninf``, which would delete the kernels' guards against NaN. Compiled code is
cached beside the source (or in the user's cache folder when that is read-only), so only the first run waits.
Numba does not notice an edit in an imported module: a kernel's helpers live in the kernel's own file, and whoever
changes a constant that another file's kernels import removes the cache (``make clean``).
"""

from __future__ import annotations

import functools

import numba

_OPTIONS = {
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "error_model": "numpy",
    "boundscheck": False,
    "cache": True,
}

kernel = functools.partial(numba.njit, nogil=True, **_OPTIONS)
inline = functools.partial(numba.njit, inline="always", **_OPTIONS)
