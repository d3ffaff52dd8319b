"""Which pixels show the scene, and which something that only passed by.

What is in one photo and in no other stays badly rendered, so the worst pixels are left out of the loss: a trimmed
loss, with votes that keep fine detail in. Sabour et al., "RobustNeRF: Ignoring Distractors with Robust Losses" (2023).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

INLIER_QUANTILE = 0.8  # RobustNeRF's published configuration
SMOOTH_PX, SMOOTH_VOTE = 3, 0.5
PATCH_PX, NEIGHBORHOOD_PX, PATCH_VOTE = 8, 16, 0.6
# A quantile also trims captures where nobody passed by, of what is hard to render. So an error has to be this large
# too, of values in [0, 1]: a passer-by differs more from what is behind, or hardly shows in the splat.
MIN_OUTLIER_ERROR = 0.15
# RobustNeRF draws each batch from many photos and takes its quantile as it is; we draw few, so it is averaged over
# about twenty steps.
MEMORY = 0.95
# For a fifth of the steps nothing is left out: a splat straight from its points is wrong where it lacks points, and
# what is left out then is never learned. By then the coarse pictures are done, the passers-by are a blur that few views
# saw, and most of the densification, which would give them Gaussians of their own, is still to come.
WARM_UP_SHARE = 0.2
MAX_SAMPLES = 16_384


class RobustLoss:
    """Keeps the threshold between usual and unusual errors; the device computes it, and nothing waits for it."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self._first_step = round(WARM_UP_SHARE * steps)
        self._threshold = torch.full((), torch.inf, device=device)

    @torch.no_grad()
    def weights(self, error: Tensor, mask: Tensor | None, step: int) -> Tensor | None:
        """The mask [C, H, W] without outliers, 0 or 1; during the warm-up the mask as it is.

        error: [C, H, W] of the pixels. mask: [C, H, W], 0 = ignore, or None.
        """
        inliers = None if step < self._first_step else inlier_mask(error, self._threshold, mask)
        self._note(error, mask)
        if inliers is None:
            return mask
        return inliers if mask is None else inliers * mask

    def _note(self, error: Tensor, mask: Tensor | None) -> None:
        stride = 1
        while error[:, ::stride, ::stride].numel() > MAX_SAMPLES:
            stride += 1
        sample = error[:, ::stride, ::stride]
        if mask is not None:
            sample = sample.where(mask[:, ::stride, ::stride] > 0, torch.nan)
        quantile = torch.nanquantile(sample.reshape(-1), INLIER_QUANTILE)
        mean = torch.where(self._threshold.isinf(), quantile, torch.lerp(quantile, self._threshold, MEMORY))
        # A view that is masked all over has no quantile.
        self._threshold = torch.where(quantile.isnan(), self._threshold, mean)

    def state(self) -> dict[str, Any]:
        return {"threshold": self._threshold}

    def restore(self, state: dict[str, Any]) -> None:
        self._threshold = state["threshold"].to(self._threshold.device)


def inlier_mask(error: Tensor, threshold: Tensor, mask: Tensor | None = None) -> Tensor:
    """[C, H, W] 1 where a pixel is no worse than the threshold, or most pixels around it, or around its patch, are not.

    No error under MIN_OUTLIER_ERROR is an outlier's. Around a pixel: 3x3. Patches have 8x8 pixels and are judged by the
    16x16 about them. Masked pixels have no vote.
    """
    height, width = error.shape[-2:]
    counted = torch.ones_like(error) if mask is None else mask
    inliers = (error <= threshold.clamp(min=MIN_OUTLIER_ERROR)).to(error.dtype) * counted

    def votes(size: int, stride: int, share: float) -> Tensor:
        padding = (size - stride) // 2
        kept, of = (
            avg_pool2d(x[:, None], size, stride, padding, ceil_mode=True, count_include_pad=False)[:, 0]
            for x in (inliers, counted)
        )
        return kept > share * of

    smooth = votes(SMOOTH_PX, 1, SMOOTH_VOTE)
    patches = votes(NEIGHBORHOOD_PX, PATCH_PX, PATCH_VOTE)
    patches = patches.repeat_interleave(PATCH_PX, dim=1).repeat_interleave(PATCH_PX, dim=2)[:, :height, :width]
    return ((inliers > 0) | smooth | patches).to(error.dtype)
