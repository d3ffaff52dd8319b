"""A 3D Gaussian rasteriser for CPUs, forward and backward, as Numba kernels.

The stages of a picture, one module each: ``projection`` (EWA splatting of each Gaussian, with its
vector-Jacobian product), ``binning`` (depth order, tiles), ``compositing`` (tiles to pixels and back).
``rasterizer`` drives them from a thread pool; ``renderer`` offers them to torch.
"""
