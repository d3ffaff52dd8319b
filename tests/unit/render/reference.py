"""A plain float64 torch rasteriser: every Gaussian on every pixel, no tiles, gradients by autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from splatlib.artifacts import Camera

SH_C1 = 0.4886025119029199
SH_C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
SH_C3 = (
    -0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154, -0.4570457994644658,
    1.445305721320277, -0.5900435899266435,
)  # fmt: skip


def sh_basis(directions: Tensor) -> Tensor:
    """[N, 3] unit directions to [N, 16] real spherical harmonics, as 3DGS evaluates them."""
    x, y, z = directions.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    return torch.stack(
        [
            torch.full_like(x, 0.28209479177387814),
            -SH_C1 * y, SH_C1 * z, -SH_C1 * x,
            SH_C2[0] * x * y, SH_C2[1] * y * z, SH_C2[2] * (2 * zz - xx - yy), SH_C2[3] * x * z, SH_C2[4] * (xx - yy),
            SH_C3[0] * y * (3 * xx - yy), SH_C3[1] * x * y * z, SH_C3[2] * y * (4 * zz - xx - yy),
            SH_C3[3] * z * (2 * zz - 3 * xx - 3 * yy), SH_C3[4] * x * (4 * zz - xx - yy), SH_C3[5] * z * (xx - yy),
            SH_C3[6] * x * (xx - 3 * yy),
        ],
        dim=-1,
    )  # fmt: skip


def rotation_matrices(quats: Tensor) -> Tensor:
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(-1, 3, 3)


def render(
    parameters: dict[str, Tensor], camera: Camera, cam_from_world: Tensor, sh_degree: int, background: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """image [3, H, W], alpha [H, W], depth [H, W]."""
    rotation, translation = cam_from_world[:3, :3], cam_from_world[:3, 3]
    in_camera = parameters["means"] @ rotation.T + translation
    x, y, z = in_camera.unbind(-1)
    limit_x, limit_y = 0.15 * camera.width / camera.fx, 0.15 * camera.height / camera.fy
    slope_x = torch.clamp(x / z, -camera.cx / camera.fx - limit_x, (camera.width - camera.cx) / camera.fx + limit_x)
    slope_y = torch.clamp(y / z, -camera.cy / camera.fy - limit_y, (camera.height - camera.cy) / camera.fy + limit_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [camera.fx / z, zero, -camera.fx * slope_x / z, zero, camera.fy / z, -camera.fy * slope_y / z], dim=-1
    ).reshape(-1, 2, 3)
    axes = rotation_matrices(parameters["quats"]) * torch.exp(parameters["scales"])[:, None, :]
    half = jacobian @ rotation @ axes
    conics = torch.linalg.inv(half @ half.transpose(1, 2) + 0.3 * torch.eye(2, dtype=z.dtype))
    centers = torch.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], dim=-1)
    opacities = torch.sigmoid(parameters["opacities"])

    center_of_camera = -rotation.T @ translation
    directions = torch.nn.functional.normalize(parameters["means"] - center_of_camera, dim=-1)
    count = (sh_degree + 1) ** 2
    coefficients = torch.cat([parameters["sh0"], parameters["shN"]], dim=1)[:, :count]
    colors = torch.clamp((sh_basis(directions)[:, :count, None] * coefficients).sum(1) + 0.5, min=0)

    columns = torch.arange(camera.width, dtype=z.dtype) + 0.5
    rows = torch.arange(camera.height, dtype=z.dtype) + 0.5
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    transmittance = torch.ones(camera.height, camera.width, dtype=z.dtype)
    image = torch.zeros(camera.height, camera.width, 3, dtype=z.dtype)
    depth = torch.zeros_like(transmittance)
    for i in torch.argsort(z, stable=True).tolist():
        if z[i] <= 0.01:
            continue
        d = pixels - centers[i]
        power = 0.5 * torch.einsum("hwi,ij,hwj->hw", d, conics[i], d)
        alpha = torch.clamp(opacities[i] * torch.exp(-power), max=0.999)
        alpha = torch.where((alpha >= 1 / 255) & (transmittance >= 1e-4), alpha, torch.zeros_like(alpha))
        weight = alpha * transmittance
        image = image + weight[..., None] * colors[i]
        depth = depth + weight * z[i]
        transmittance = transmittance - weight
    image = image + transmittance[..., None] * background
    return image.permute(2, 0, 1), 1 - transmittance, depth
