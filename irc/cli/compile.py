"""`irc compile`: a model becomes an artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from irc.backends.artifact import Artifact
from irc.backends.report import number_text
from irc.cli.options import (
    backend_options,
    feedback,
    force_option,
    json_option,
    model_options,
    pipeline_options,
    settings,
    voice_options,
)
from irc.cli.output import refuse_existing, write_ir
from irc.driver import compile_to, lower, read_backend, read_model, stages_of


@click.command(
    "compile",
    short_help="Model to artifact.",
    epilog="""\b
Examples:
  irc compile digits_vit.pt2 --passes quant8,fuse --backend hls --calib calib.npz
  irc compile model.pt2 --backend 'hls{clock=250}' --part zcu102 -o build/accelerator
  irc compile weights.safetensors --arch my_models:make --input 'x=f32[1,3,32,32]'
  irc compile model.pt2 --passes quant8 --stop-after quantize -o qdq.irc
""",
)
@click.argument("model")
@backend_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The artifact.  [default: <model>.<backend>]")
@force_option
@click.option("--save-temps", is_flag=True, help="Keep the IR behind every pass, in <output>.temps.")
@click.option("--schedule", type=click.Path(path_type=Path), metavar="FILE", help="How kernels are laid out.")
@click.option("--tune", is_flag=True, help="Measure on this machine how kernels are laid out best.")
@pipeline_options
@model_options
@json_option
@voice_options
def compile_command(
    model: str,
    output: Path | None,
    force: bool,
    save_temps: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Compile MODEL into an artifact: a folder with generated code, both graphs, weights, golden vectors and a report.

    MODEL is a .pt2 of torch.export.save, an .onnx file, a .irc text, a file of weights with --arch,
    package.module:factory, or an artifact, which stands for the model it was made of.
    """
    if save_temps and given["dump_ir"] is None:
        given["dump_ir"] = Path(f"{output or Path(model).stem}.temps")
    wanted = settings(**given)
    voice = feedback(verbose, quiet)
    if wanted.stop_after:
        if output is not None:
            refuse_existing(output, force)
        backend, _ = read_backend(wanted)
        stages = stages_of(wanted, backend)
        lowered = lower(read_model(model, wanted), stages, backend, wanted, voice)
        write_ir(lowered.module, output, force)
        return
    artifact = compile_to(model, output, wanted, voice, force=force)
    if as_json:
        click.echo(json.dumps({"artifact": str(artifact.path), **artifact.report}, indent=1))
    elif not quiet:
        click.echo(summary(artifact))


def summary(artifact: Artifact) -> str:
    """What came out, in a few lines."""
    facts = artifact.report["summary"]
    width = max(map(len, facts))
    lines = [f"{artifact.path}: {artifact.manifest['model']} on {artifact.manifest['backend']}"]
    return "\n".join([*lines, *(f"  {key:{width}}  {number_text(value)}" for key, value in facts.items())])
