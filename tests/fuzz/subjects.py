"""The loaders, what is damaged for each, and how it is damaged."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import onnx
import onnx.backend.test
import torch
from damage import PAYLOADS, damage_message, damaged_bytes, damaged_json, damaged_text
from torch import nn

from irc.backends.artifact import Artifact
from irc.backends.contents import file_hash
from irc.backends.folder import MANIFEST
from irc.driver import Settings, compile_to
from irc.feedback import Feedback, silence
from irc.frontend.capture import capture
from irc.frontend.load import load
from irc.frontend.onnx.read import read
from irc.frontend.untyped import quiet
from irc.ir.files import read_module

FILETESTS = Path(__file__).parents[1] / "filetests"
LARGEST = 60_000  # bytes of a file to start from
CAPTURED = 50  # of so many programs one is captured


@dataclass(frozen=True)
class Subject:
    """A loader under test.

    `prepare` writes sound files (or folders) to start from into a folder; `damage` writes a damaged one, made from one
    of them, into another folder and gives its path; `load` reads it and gives something that prints.
    """

    prepare: Callable[[Path], None]
    damage: Callable[[Path, Path, random.Random], Path]
    load: Callable[[Path], object]


def one_of(folder: Path, rng: random.Random) -> Path:
    return rng.choice(_listed(folder))


@cache
def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


# -- models to start from


class Dense(nn.Module):
    """Weights, a constant, and a batch that varies."""

    example = (torch.randn(2, 4),)
    dynamic = {"x": {0: torch.export.Dim("b", min=1, max=9)}}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.fc(x)) * torch.tensor([1.0, 2.0, 3.0])


class Convolutional(nn.Module):
    """Convolution, batch norm, pooling, padding, slices, joined again."""

    example = (torch.randn(1, 2, 6, 6),)
    dynamic = None

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2)
        x = torch.cat([x[:, :2], nn.functional.pad(x[:, 2:], (0, 1))[..., :3]], 1)
        return self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


class Tokens(nn.Module):
    """Embedding, layer norm, attention, softmax."""

    example = (torch.tensor([[1, 2, 0, 3, 1]]),)
    dynamic = None

    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm, self.qkv = nn.Embedding(5, 8), nn.LayerNorm(8), nn.Linear(8, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm(self.table(x))).view(1, 5, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return nn.functional.gelu(y.transpose(1, 2).reshape(1, 5, 8)).softmax(-1)


MODELS: tuple[type[nn.Module], ...] = (Dense, Convolutional, Tokens)


def programs(folder: Path, models: Sequence[type[nn.Module]] = MODELS) -> None:
    for model in models:
        torch.manual_seed(0)
        with quiet():
            exported = torch.export.export(model().eval(), model.example, dynamic_shapes=model.dynamic)
            torch.export.save(exported, folder / f"{model.__name__}.pt2")


def compiled(folder: Path, backend: str, passes: str, models: Sequence[type[nn.Module]] = MODELS) -> None:
    """An artifact of each model: `Dense.hls`."""
    saved = folder / "programs"
    saved.mkdir()
    programs(saved, models)
    quietly = Feedback(warn=silence)
    for path in sorted(saved.iterdir()):
        compile_to(path, folder / f"{path.stem}.{backend}", Settings(passes=passes, backend=backend), quietly)
    shutil.rmtree(saved)


# -- text


def texts(folder: Path) -> None:
    for path in sorted(FILETESTS.rglob("*.irc")):
        functions = path.read_text(encoding="utf-8").split("\nfunc @main")
        for i, function in enumerate(functions[1:]):
            (folder / f"{path.parent.name}-{path.stem}-{i:03}.irc").write_text(
                f"func @main{function}", encoding="utf-8"
            )


def damage_text(seeds: Path, folder: Path, rng: random.Random) -> Path:
    path, content = folder / "m.irc", one_of(seeds, rng).read_bytes()
    if rng.random() < 0.1:
        content = damaged_bytes(content, rng)
    else:
        content = damaged_text(content.decode(), rng).encode("utf-8", "replace")
    path.write_bytes(content)
    return path


def load_text(path: Path) -> object:
    return read_module(path)


# -- ONNX


def onnx_files(folder: Path) -> None:
    data = Path(onnx.backend.test.__file__).parent / "data"
    for path in sorted(data.glob("pytorch-*/*/model.onnx")):
        if path.stat().st_size <= LARGEST:
            shutil.copyfile(path, folder / f"{path.parent.name}.onnx")
    for passes in ("qdq8", "quant8"):
        artifacts = folder / passes
        artifacts.mkdir()
        compiled(artifacts, "onnx", passes)
        for path in sorted(artifacts.iterdir()):
            shutil.copyfile(path / "model.onnx", folder / f"{path.stem}-{passes}.onnx")
        shutil.rmtree(artifacts)


def damage_onnx(seeds: Path, folder: Path, rng: random.Random) -> Path:
    path, content = folder / "m.onnx", one_of(seeds, rng).read_bytes()
    if rng.random() < 0.3:
        path.write_bytes(damaged_bytes(content, rng))
    else:
        model = onnx.ModelProto.FromString(content)
        damage_message(model, rng)
        path.write_bytes(model.SerializeToString())
    return path


def load_onnx(path: Path) -> object:
    return read(path).module


# -- saved programs


def damage_program(seeds: Path, folder: Path, rng: random.Random) -> Path:
    """Mostly in the records of the archive, so that checksums fit."""
    source, path = one_of(seeds, rng), folder / "m.pt2"
    if rng.random() < 0.2:
        path.write_bytes(damaged_bytes(source.read_bytes(), rng))
        return path
    with zipfile.ZipFile(source) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    jsons = [name for name in records if name.endswith(".json")]
    name = rng.choice(jsons) if rng.random() < 0.85 else rng.choice(list(records))
    if rng.random() < 0.9 and name in jsons:
        records[name] = damaged_json(records[name], rng)
    elif rng.random() < 0.1:
        del records[name]
    elif rng.random() < 0.1:
        records[name.rpartition("/")[0] + "/" + rng.choice(PAYLOADS)] = records.pop(name)
    else:
        records[name] = damaged_bytes(records[name], rng)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(name.encode("utf-8", "replace").decode().replace("\x00", "0"), content)
    return path


def load_program(path: Path) -> object:
    """The file as a program of torch; one in many of those that are sound as IR too, which takes a second."""
    found = load(path).model
    return capture(path).module if zlib.crc32(path.read_bytes()) % CAPTURED == 0 else type(found)


# -- artifacts


def artifacts(folder: Path) -> None:
    compiled(folder, "reference", "clean", (Convolutional,))
    compiled(folder, "cpu", "quant8", (Dense,))


def damage_artifact(seeds: Path, folder: Path, rng: random.Random) -> Path:
    """One file, mostly with the right hash of it in the manifest; or the manifest."""
    path = folder / "m.art"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(one_of(seeds, rng), path)
    manifest = path / MANIFEST
    names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    name = MANIFEST if rng.random() < 0.25 else rng.choice([n for n in names if not n.startswith("lib/")])
    file = path / name
    content = file.read_bytes()
    if name.endswith(".json") and rng.random() < 0.8:
        content = damaged_json(content, rng)
    elif name.endswith((".irc", ".txt")) and rng.random() < 0.8:
        content = damaged_text(content.decode(), rng).encode("utf-8", "replace")
    else:
        content = damaged_bytes(content, rng)
    file.write_bytes(content)
    if name != MANIFEST and rng.random() < 0.9:
        facts = json.loads(manifest.read_text())
        facts["files"][name] = file_hash(file)
        manifest.write_text(json.dumps(facts))
    return path


def load_artifact(path: Path) -> object:
    """Everything that is read of an artifact before it runs."""
    artifact = Artifact.load(path)
    return [artifact.captured, artifact.module, artifact.report, artifact.job(), artifact.samples(None)]


SUBJECTS = {
    "text": Subject(texts, damage_text, load_text),
    "onnx": Subject(onnx_files, damage_onnx, load_onnx),
    "pt2": Subject(programs, damage_program, load_program),
    "artifact": Subject(artifacts, damage_artifact, load_artifact),
}
