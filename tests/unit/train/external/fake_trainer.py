"""Stands in for a trainer's environment: answers the probe, and leaves what nerfstudio and 3DGRUT leave.

Run as ``python fake_trainer.py TRUTH_PLY [probe.py NAME … | launch_trainer.py ENTRY …]``. What it trains is known: the
Gaussians of TRUTH_PLY, moved as the trainer would move them. ``FAKE_TRAINER`` chooses what goes wrong. The orders of
properties and the names of files are recorded from nerfstudio at 50e0e3c and 3DGRUT at a37ef72.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from splatlib.gaussians import Gaussians
from splatlib.render import render_image

SHIFT, SCALE = np.array([0.5, -0.25, 1.5]), 0.4


def main() -> None:
    truth, script, *arguments = sys.argv[1:]
    mode = os.environ.get("FAKE_TRAINER", "")
    if Path(script).name == "probe.py":
        gpu = None if mode == "no-gpu" else "Fake GPU"
        versions = {name: "1.2.3" for name in arguments}
        print(json.dumps({"python": "3.11", "versions": versions, "gpu": gpu, "why_no_gpu": "no driver"}))
        return
    entry, *rest = arguments
    with Path(os.environ["FAKE_TRAINER_CALLS"]).open("a") as calls:
        calls.write(json.dumps([entry, *rest]) + "\n")
    trained = Gaussians.load_ply(truth)
    if entry.endswith("train"):
        misbehave(mode)
    if entry == "threedgrut-train":
        threedgrut(trained, {name: value for name, _, value in (word.partition("=") for word in rest[3:])}, mode)
    elif entry == "nerfstudio-train":
        nerfstudio_train(options(rest), rest[0], mode)
    elif entry == "nerfstudio-render":
        nerfstudio_render(trained, options(rest), mode)
    elif entry == "nerfstudio-export" and rest[0] == "poisson":
        target = Path(options(rest)["--output-dir"])
        target.mkdir(parents=True, exist_ok=True)
        (target / "mesh.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    elif entry == "mesh-to-glb":
        Path(rest[1]).write_text(rest[2])  # the matrix, for the test to look at
    elif entry == "nerfstudio-export":
        exported = darker(trained) if mode == "exports-darker" else trained
        write_nerfstudio_ply(exported, Path(options(rest)["--output-dir"]))
    elif entry == "splatfacto-w-export":
        write_nerfstudio_ply(trained, Path(options(rest)["--output_dir"]))


def darker(trained: Gaussians) -> Gaussians:
    sh = trained.sh.copy()
    sh[:, 0] -= 0.2
    return dataclasses.replace(trained, sh=sh)


def misbehave(mode: str) -> None:
    print("Setting up the scene")
    for step in (1, 101, 201):
        print("@splatlib " + json.dumps({"step": step, "loss": 0.5 / step, "num_gaussians": 300 + step}), flush=True)
    if mode == "out-of-memory":
        print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", file=sys.stderr)
        sys.exit(1)
    if mode == "killed":
        print("the last words", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "no-module":
        print("ModuleNotFoundError: No module named 'open3d'", file=sys.stderr)
        sys.exit(1)
    if mode == "fails":
        print("AssertionError: Data directory does not exist.", file=sys.stderr)
        sys.exit(3)
    if mode == "hangs":
        Path(os.environ["FAKE_TRAINER_CALLS"]).with_name("pid").write_text(str(os.getpid()))
        time.sleep(120)


def options(words: list[str]) -> dict[str, str]:
    return {words[i]: words[i + 1] for i in range(len(words) - 1) if words[i].startswith("--")}


def nerfstudio_train(given: dict[str, str], method: str, mode: str) -> None:
    name = {"splatfacto-big": "splatfacto", "splatfacto-mcmc": "splatfacto"}.get(method, method)
    base = Path(given["--output-dir"]) / given["--experiment-name"] / name / given["--timestamp"]
    (base / "nerfstudio_models").mkdir(parents=True, exist_ok=True)
    (base / "config.yml").write_text(given["--data"])
    transform = np.concatenate([np.eye(3), SHIFT[:, None]], axis=1)
    (base / "dataparser_transforms.json").write_text(json.dumps({"transform": transform.tolist(), "scale": SCALE}))
    if mode != "no-output":
        last = int(given["--max-num-iterations"]) - 1
        (base / "nerfstudio_models" / f"step-{last:09d}.ckpt").write_bytes(b"checkpoint")


def nerfstudio_render(trained: Gaussians, given: dict[str, str], mode: str) -> None:
    data = Path(Path(given["--load-config"]).read_text())
    document = json.loads((data / "transforms.json").read_text())
    drawn = [frame for frame in document["frames"] if frame["file_path"] in document["test_filenames"]]
    root = os.path.commonpath([frame["file_path"] for frame in drawn])
    for frame in drawn[: -1 if mode == "one-render-missing" else None]:
        pose = np.linalg.inv(np.array(frame["transform_matrix"]) @ np.diag([1.0, -1, -1, 1]))
        target = Path(given["--output-path"]) / "test" / "rgb" / os.path.relpath(frame["file_path"], root)
        draw(trained, frame, pose, target.with_suffix(".png"))


def draw(trained: Gaussians, frame: dict[str, float], pose: np.ndarray, target: Path) -> None:
    import cv2

    from splatlib.artifacts import Camera

    fx, fy, cx, cy = (float(frame[name]) for name in ("fl_x", "fl_y", "cx", "cy"))
    camera = Camera(int(frame["w"]), int(frame["h"]), fx, fy, cx, cy)
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), render_image(trained, camera, pose)[..., ::-1])


def write_nerfstudio_ply(trained: Gaussians, folder: Path) -> None:
    """In nerfstudio's frame and order: normals, then colours of degree 0, the others, opacity, scales, rotations."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(trained)
    columns = {axis: ((trained.means + SHIFT) * SCALE)[:, i] for i, axis in enumerate("xyz")}
    columns |= {name: np.zeros(count) for name in ("nx", "ny", "nz")}
    columns |= {f"f_dc_{i}": trained.sh[:, 0, i] for i in range(3)}
    rest = trained.sh[:, 1:].transpose(0, 2, 1).reshape(count, -1)
    columns |= {f"f_rest_{i}": rest[:, i] for i in range(rest.shape[1])}
    columns["opacity"] = trained.opacity_logits
    columns |= {f"scale_{i}": trained.log_scales[:, i] + np.log(SCALE) for i in range(3)}
    columns |= {f"rot_{i}": trained.quats[:, i] for i in range(4)}
    write_columns(folder / "splat.ply", columns, ["Generated by Nerstudio 1.1.5", "Vertical Axis: z"])


def write_columns(path: Path, columns: dict[str, np.ndarray], comments: list[str]) -> None:
    count = len(columns["x"])
    head = ["ply", "format binary_little_endian 1.0", *(f"comment {text}" for text in comments)]
    head += [f"element vertex {count}", *(f"property float {name}" for name in columns), "end_header"]
    body = np.stack([np.asarray(column, "<f4") for column in columns.values()], axis=1)
    path.write_bytes("".join(line + "\n" for line in head).encode() + body.tobytes())


def unquoted(value: str) -> str:
    """As hydra reads a quoted value."""
    return value[1:-1].replace("\\'", "'").replace("\\\\", "\\")


def threedgrut(trained: Gaussians, given: dict[str, str], mode: str) -> None:
    """Reads the COLMAP folder as its reader does: sorted by name, every n-th held out."""
    import cv2  # noqa: F401 - before pycolmap
    import pycolmap

    data, out = (Path(unquoted(given[name])) for name in ("path", "out_dir"))
    model = pycolmap.Reconstruction(data / "sparse" / "0")
    images = sorted(model.images.values(), key=lambda image: image.name)
    held_out = images[:: int(given["dataset.test_split_interval"])]
    run = out / "splatlib" / f"{data.name}-2711_141500" / f"ours_{given['n_iterations']}"
    for number, image in enumerate(held_out):
        camera = model.cameras[image.camera_id]
        frame = {"w": camera.width, "h": camera.height, "fl_x": camera.focal_length_x, "fl_y": camera.focal_length_y}
        frame |= {"cx": camera.principal_point_x, "cy": camera.principal_point_y}
        pose = np.concatenate([image.cam_from_world().matrix(), [[0, 0, 0, 1]]])
        draw(trained, frame, pose, run / "renders" / f"{number:05d}.png")
    if mode != "no-output":
        trained.save_ply(unquoted(given["export_ply.path"]))
    if given["compute_extra_metrics"] != "true":
        sys.exit("KeyError: 'ssim'")  # as its evaluation ends, at its first view
    if mode == "no-evaluation":
        (run / "renders" / "00000.png").unlink()
        sys.exit("the last words")
    (run.parent / "metrics.json").write_text('{"mean_psnr": NaN}')


if __name__ == "__main__":
    main()
