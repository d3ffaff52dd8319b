"""Rendering on an NVIDIA GPU with gsplat's kernels."""
