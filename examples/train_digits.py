"""Make the digit canvases, train the two example models on them, export both and report what they score.

Everything lands in the folder of this script, unless told otherwise:

    python examples/train_digits.py                # data and both models
    python examples/train_digits.py --data-only    # only digits_test.npz and digits_calib.npz
    python examples/train_digits.py --model vit --epochs 10 --out build
"""

from __future__ import annotations

import copy
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
import torch
import torch.nn.functional as F
from models import CANVAS, digits_cnn, digits_vit
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

# The data never depend on --seed: whatever is trained, the test file stays the same.
DATA_SEED = 1998
TEST_DIGITS, TEST_PLACEMENTS = 400, 5
CALIB_DIGITS, CALIB_PLACEMENTS = 96, 2
VAL_DIGITS, VAL_PLACEMENTS = 150, 5

# Pixels are multiples of this, so that they are exact in float and the files compress.
PIXEL_STEP = 1 / 64


@dataclass(frozen=True)
class Split:
    """Digits or canvases with their classes."""

    x: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Recipe:
    """How one model is built and trained."""

    build: Callable[[], nn.Module]
    epochs: int
    learning_rate: float
    batch: int


RECIPES = {
    "cnn": Recipe(digits_cnn, epochs=120, learning_rate=3e-3, batch=64),
    "vit": Recipe(digits_vit, epochs=800, learning_rate=1e-3, batch=64),
}


# ---- data --------------------------------------------------------------------------------------------------


def split_digits() -> dict[str, Split]:
    """Deal the 1797 digits out, stratified by class: a digit is in one split only."""
    pixels, classes = cast(tuple[NDArray[np.float64], NDArray[np.int64]], load_digits(return_X_y=True))
    rest = np.arange(len(classes))
    parts: dict[str, NDArray[np.int64]] = {}
    for name, count in (("test", TEST_DIGITS), ("calib", CALIB_DIGITS), ("val", VAL_DIGITS)):
        drawn = train_test_split(rest, test_size=count, stratify=classes[rest], random_state=DATA_SEED)
        rest, parts[name] = cast(list[NDArray[np.int64]], drawn)
    parts["train"] = rest
    images = torch.from_numpy((pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8))
    labels = torch.from_numpy(classes.astype(np.int64))
    return {name: Split(images[index], labels[index]) for name, index in parts.items()}


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def place(digits: Tensor, generator: torch.Generator, warp: float) -> Tensor:
    """Paste each 8x8 digit, 12 to 16 pixels large, at a random place on an empty canvas.

    `warp` is the largest rotation and shear, in radians; only training canvases are warped.
    """
    n = len(digits)
    size = uniform(generator, 12, 16, n)
    # Canvas coordinates run from -1 to 1; the whole digit stays on the canvas.
    centre = uniform(generator, -1, 1, n, 2) * (1 - size / CANVAS)[:, None]
    angle = uniform(generator, -warp, warp, n)
    shear = uniform(generator, -warp, warp, n)
    cos, sin = angle.cos(), angle.sin()
    rows = (torch.stack((cos, -sin + shear * cos), dim=1), torch.stack((sin, cos + shear * sin), dim=1))
    linear = torch.stack(rows, dim=1) * (CANVAS / size)[:, None, None]
    theta = torch.cat((linear, -linear @ centre[:, :, None]), dim=2)
    grid = F.affine_grid(theta, [n, 1, CANVAS, CANVAS], align_corners=False)
    return F.grid_sample(digits, grid, align_corners=False)


def scratches(n: int, generator: torch.Generator, count: int = 4) -> Tensor:
    """Canvases with a few short faint strokes: clutter that is not a digit."""
    start = uniform(generator, 0, CANVAS, n, count, 2)
    angle = uniform(generator, 0, 2 * math.pi, n, count)
    along = torch.stack((angle.cos(), angle.sin()), dim=-1)
    length = uniform(generator, 1, 5, n, count)
    brightness = uniform(generator, 0.1, 0.3, n, count)
    axis = torch.arange(CANVAS) + 0.5
    pixel = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).reshape(-1, 2)
    offset = pixel - start[:, :, None]
    # The distance to the nearest point of the stroke decides how dark a pixel gets.
    nearest = (offset * along[:, :, None]).sum(-1).clamp(min=0).minimum(length[:, :, None])
    distance = (offset - nearest[..., None] * along[:, :, None]).square().sum(-1)
    strokes = brightness[:, :, None] * torch.exp(-distance)
    return strokes.amax(dim=1).reshape(n, 1, CANVAS, CANVAS)


def make_canvases(digits: Tensor, generator: torch.Generator, warp: float = 0.0) -> Tensor:
    """Digits with random brightness on a cluttered, noisy background, in [0, 1]."""
    n = len(digits)
    ink = place(digits, generator, warp) * uniform(generator, 0.7, 1.0, n, 1, 1, 1)
    noise = 0.05 * torch.randn(ink.shape, generator=generator)
    canvas = (torch.maximum(ink, scratches(n, generator)) + noise).clamp(0, 1)
    return (canvas / PIXEL_STEP).round() * PIXEL_STEP


def make_fixed(digits: Split, placements: int, seed: int) -> Split:
    """Canvases that are drawn once; canvas i shows digit i modulo the number of digits."""
    generator = torch.Generator().manual_seed(seed)
    x = make_canvases(digits.x.repeat(placements, 1, 1, 1), generator)
    return Split(x, digits.labels.repeat(placements))


def save_split(split: Split, path: Path) -> None:
    # The key is the name of the argument of forward.
    np.savez_compressed(path, x=split.x.numpy(), labels=split.labels.numpy())
    click.echo(f"{path.name}: {len(split.x)} canvases, {path.stat().st_size / 1e6:.2f} MB")


# ---- training ----------------------------------------------------------------------------------------------


@torch.no_grad()
def logits_of(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.cat([model(part) for part in x.split(250)])


def top1(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(1) == labels).double().mean().item()


def train(recipe: Recipe, digits: Split, val: Split, epochs: int, seed: int) -> tuple[nn.Module, float]:
    """Train with fresh canvases every epoch; return the model that was best on `val`, and its top-1 there."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    model = recipe.build()
    # Matrices and kernels are decayed; norms, biases (1-d), class token and positions (3-d) are not.
    weights = [p for p in model.parameters() if p.ndim in (2, 4)]
    others = [p for p in model.parameters() if p.ndim not in (2, 4)]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
    )
    steps = epochs * math.ceil(len(digits.x) / recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=steps, pct_start=0.05, cycle_momentum=False
    )
    best, best_score = copy.deepcopy(model), (-1.0, 0.0)
    started = time.monotonic()
    for epoch in range(1, epochs + 1):
        model.train()
        x = make_canvases(digits.x, generator, warp=0.15)
        total = 0.0
        for index in torch.randperm(len(x), generator=generator).split(recipe.batch):
            loss = F.cross_entropy(model(x[index]), digits.labels[index], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(index)
        if epoch % 5 == 0 or epoch == epochs:
            logits = logits_of(model.eval(), val.x)
            score = (top1(logits, val.labels), -F.cross_entropy(logits, val.labels).item())
            if score > best_score:
                best, best_score = copy.deepcopy(model), score
            click.echo(
                f"epoch {epoch:3d}  loss {total / len(x):.4f}  val top-1 {100 * score[0]:.2f} %"
                f"  {time.monotonic() - started:.0f} s"
            )
    return best.eval(), best_score[0]


# ---- export ------------------------------------------------------------------------------------------------


def export(model: nn.Module, sample: Tensor, path: Path) -> None:
    batch = torch.export.Dim("b", min=1, max=4096)
    program = torch.export.export(model, (sample,), dynamic_shapes={"x": {0: batch}})
    # Stack traces stay, the folders of the machine that trained the model do not.
    folders = re.compile(r'(?<=File ").*/(?=(?:torch|examples)/)')
    for node in program.graph.nodes:
        if trace := node.meta.get("stack_trace"):
            node.meta["stack_trace"] = folders.sub("", trace)
    torch.export.save(program, path)


def reload(path: Path) -> Callable[[Tensor], Tensor]:
    return cast(Any, torch.export.load(path)).module()


@click.command()
@click.option("--model", type=click.Choice(["cnn", "vit", "all"]), default="all", show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of each model's own number.")
@click.option("--seed", default=0, show_default=True, help="Of the weights and the training canvases.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(__file__).parent,
    help="Folder to write to.  [default: the folder of this script]",
)
@click.option("--data-only", is_flag=True, help="Write the .npz files and stop.")
def main(model: str, epochs: int | None, seed: int, out: Path, data_only: bool) -> None:
    """Make the data, train, export, report."""
    out.mkdir(parents=True, exist_ok=True)
    digits = split_digits()
    click.echo(", ".join(f"{name}: {len(split.x)} digits" for name, split in digits.items()))
    test = make_fixed(digits["test"], TEST_PLACEMENTS, DATA_SEED)
    calib = make_fixed(digits["calib"], CALIB_PLACEMENTS, DATA_SEED + 1)
    val = make_fixed(digits["val"], VAL_PLACEMENTS, DATA_SEED + 2)
    save_split(test, out / "digits_test.npz")
    save_split(calib, out / "digits_calib.npz")
    if data_only:
        return
    for name, recipe in RECIPES.items():
        if model not in (name, "all"):
            continue
        trained, val_top1 = train(recipe, digits["train"], val, epochs or recipe.epochs, seed)
        path = out / f"digits_{name}.pt2"
        # A copy: a slice would drag the storage of the whole split into the archive.
        export(trained, calib.x[:4].clone(), path)
        logits = logits_of(trained, test.x)
        torch.testing.assert_close(logits_of(reload(path), test.x), logits, rtol=1e-5, atol=1e-5)
        parameters = sum(p.numel() for p in trained.parameters())
        click.echo(
            f"{path.name}: {parameters} parameters, {path.stat().st_size / 1e6:.2f} MB,"
            f" top-1 val {100 * val_top1:.2f} %, test {100 * top1(logits, test.labels):.2f} %"
        )


if __name__ == "__main__":
    main()
