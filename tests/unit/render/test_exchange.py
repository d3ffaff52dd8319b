"""Drawing with other processes equals drawing alone, forwards and backwards.

gsplat's kernels need GPUs: stand-ins with the same arguments take their place, so that what is tested is the exchange
and the order of everything. tests/gpu/test_several_gpus.py does it with the kernels.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from tests.gpu.random_scene import relative_error
from tests.processes import two_processes

DRAWN = """
import pickle, sys
from pathlib import Path
from tests.unit.render import kernels_on_cpu
from splatlib.train import distributed

distributed.use_device = lambda: None
distributed.join()
rank = distributed.rank()
drawn = kernels_on_cpu.draw(rows=slice(rank, None, 2), views=slice(2 * rank, 2 * rank + 2), together=True)
Path(sys.argv[1], f"{rank}.pickle").write_bytes(pickle.dumps(drawn))
distributed._leave()
"""


def test_two_processes_draw_what_one_draws(tmp_path: Path) -> None:
    """Uneven shares, 21 and 20 Gaussians; each process draws two of four views, of the Gaussians of both."""
    assert [status for status, _ in two_processes(DRAWN, str(tmp_path))] == [0, 0]
    from tests.unit.render import kernels_on_cpu

    halves = [kernels_on_cpu.draw(rows=slice(None), views=slice(2 * i, 2 * i + 2), together=False) for i in range(2)]
    for rank in range(2):
        drawn = pickle.loads((tmp_path / f"{rank}.pickle").read_bytes())
        torch.testing.assert_close(drawn.picture, halves[rank].picture)
        torch.testing.assert_close(drawn.alpha, halves[rank].alpha)
        for name, gradient in drawn.gradients.items():
            # A Gaussian learns from the views of both processes.
            whole = halves[0].gradients[name] + halves[1].gradients[name]
            assert whole.abs().max() > 1e-4, name
            assert relative_error(gradient, whole[rank::2]) < 1e-4, name
        for name in ("screen", "absolute"):
            whole = torch.cat([getattr(half, name) for half in halves])
            assert relative_error(getattr(drawn, name), whole[:, rank::2]) < 1e-4, name
        assert torch.equal(drawn.radii, torch.cat([half.radii for half in halves])[:, rank::2])
