"""`irc calibrate`: the estimate of LUTs and flip-flops fitted to a synthesis of the user's."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from irc.backends.artifact import Artifact
from irc.backends.folder import MANIFEST
from irc.backends.fpga_hls.area import UNCALIBRATED
from irc.backends.fpga_hls.backend import HLS
from irc.backends.fpga_hls.calibration.csynth import WHERE, read_reports
from irc.backends.fpga_hls.calibration.fit import Fit, Point, fit, residuals, units_of
from irc.cli.options import force_option, json_option, warn
from irc.cli.output import refuse_existing, table
from irc.ir.diagnostics import Diagnostic, UsageError
from irc.ir.files import replace_file


@click.command(
    "calibrate",
    short_help="Fit the estimate of LUTs and FFs to a synthesis report.",
    epilog="""\b
Examples:
  irc calibrate digits_vit.hls/src/accelerator_hls/solution/syn/report/csynth.xml
  irc calibrate reports/ --artifact digits_vit.hls -o zcu102.json
  irc compile model.pt2 --backend 'hls{calibration=zcu102.json}' ...

What csynth reports is an estimate itself, of about twice the LUTs that Vivado needs in the end.
""",
)
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--artifact", type=click.Path(path_type=Path), help="What was synthesised.  [default: what REPORTS lie in]"
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("calibration.json"),
    show_default=True,
    help="The fit.",
)
@force_option
@json_option
def calibrate_command(
    reports: tuple[Path, ...], artifact: Path | None, output: Path, force: bool, as_json: bool
) -> None:
    """Fit three factors of the estimate (LUTs of sums of products, other LUTs, flip-flops) to what Vitis HLS reports.

    REPORTS are csynth.xml, files <module>_csynth.xml, or folders of them.
    """
    refuse_existing(output, force)
    opened = Artifact.load(artifact or _above(reports[0]))
    if opened.backend is not HLS:
        raise UsageError(
            Diagnostic(f"is an artifact of the backend {opened.backend.name}, not hls", place=str(opened.path))
        )
    job = opened.job()
    found = fit(units_of(HLS.lower(job)), read_reports(reports), job.options.top, opened.manifest["model"])
    replace_file(output, lambda partial: partial.write_text(found.calibration.text + "\n", encoding="ascii"))
    for doubt in found.doubts:
        warn(doubt)
    if as_json:
        click.echo(json.dumps({"calibration": str(output), **_as_json(found)}, indent=1))
    else:
        click.echo("\n".join(_lines(found, output)))


def _above(report: Path) -> Path:
    """The artifact that a report lies in. Raises UsageError if there is none."""
    if not report.exists():
        raise UsageError(Diagnostic("no such file", place=str(report), hint=WHERE))
    if (report / MANIFEST).is_file():
        raise UsageError(Diagnostic("is an artifact, not a report of its synthesis", place=str(report), hint=WHERE))
    for folder in report.absolute().parents:
        if (folder / MANIFEST).is_file():
            return folder
    raise UsageError(Diagnostic("lies in no artifact", place=str(report), hint="--artifact names what was synthesised"))


def _rows(points: list[Point], found: Fit) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for point in points:
        unit, after = point.unit, found.calibration.factors.of(point.unit.products, point.unit.rest)
        luts = {"LUT reported": point.reported.lut, "estimated": unit.area.lut, "calibrated": after.lut}
        ffs = {"FF reported": point.reported.ff, "estimated ": unit.area.ff, "calibrated ": after.ff}
        rows.append({"part": unit.name, "layer": unit.layer, **luts, **ffs})
    return rows


def _lines(found: Fit, output: Path) -> list[str]:
    fitted, before = found.calibration, residuals(found.points)
    factors = asdict(fitted.factors)
    lines = [table(_rows(found.points, found)), ""]
    if found.unknown:
        lines.append(f"not in the report: {', '.join(unit.name for unit in found.unknown)}")
    if found.common:
        lines.append("two factors of LUTs cannot be told apart by these parts: one for all")
    for label, name in (("LUTs of sums of products", "products"), ("other LUTs", "logic"), ("flip-flops", "ff")):
        lines.append(f"{label:26}times {factors[name]:g}")
    after = (fitted.lut_residual, fitted.ff_residual)
    for kind, old, new in zip(("LUT", "FF"), before, after, strict=True):
        lines.append(f"{f'residual, {kind}':26}{100 * new:.1f} % (before: {100 * old:.1f} %)")
    return [*lines, f"{output}: fitted to {fitted.parts} parts of {fitted.source}"]


def _as_json(found: Fit) -> dict[str, Any]:
    before = dict(zip(("lut", "ff"), residuals(found.points, UNCALIBRATED), strict=True))
    points = [{"part": p.unit.name, "layer": p.unit.layer, **asdict(p.reported)} for p in found.points]
    unknown = [unit.name for unit in found.unknown]
    facts = json.loads(found.calibration.text)
    return {**facts, "residuals_before": before, "common": found.common, "points": points, "unknown": unknown}
