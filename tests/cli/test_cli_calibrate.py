"""`irc calibrate`: from the artifact and its synthesis report to a compile that keeps to it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Irc

sys.path.insert(0, str(Path(__file__).parents[1] / "fpga_hls"))

from csynth_reports import USED, write_whole

from irc.backends.artifact import Artifact
from irc.backends.fpga_hls.area import Factors
from irc.backends.fpga_hls.backend import HLS
from irc.backends.fpga_hls.calibration.csynth import read_reports
from irc.backends.fpga_hls.calibration.fit import fit, units_of

COMPILE = ("--passes", "quant8,fuse", "--backend", "hls{style=dataflow}")


@pytest.fixture
def project(irc: Irc, model: Path, data: Path) -> Path:
    irc("compile", model, *COMPILE, "--calib", data)
    return Path("mlp.hls")


def synthesise(project: Path, folder: Path, factors: Factors, known: int | None = None) -> Path:
    """A report as if Vitis HLS had found the first `known` stages off by these factors, and no others."""
    job = Artifact.load(project).job()
    modules: dict[str, USED] = {}
    for unit in units_of(HLS.lower(job))[:known]:
        used = factors.of(unit.products, unit.rest)
        modules[unit.name] = (used.lut, used.ff)
    return write_whole(folder, modules)


def test_from_the_report_to_a_compile(irc: Irc, project: Path, model: Path, data: Path):
    report = synthesise(project, project / "src/accelerator_hls/solution/syn/report", Factors(2, 3, 4))
    printed = irc("calibrate", report).stdout
    assert "LUTs of sums of products  times 2" in printed
    assert "other LUTs                times 3" in printed
    assert "flip-flops                times 4" in printed
    assert "residual, LUT             0.0 % (before: " in printed
    assert "not in the report" not in printed
    assert "cannot be told apart" not in printed
    assert "calibration.json: fitted to " in printed
    columns = "part layer LUT reported estimated calibrated FF reported estimated calibrated"
    assert printed.splitlines()[0].split() == columns.split()
    assert "calibration.json: exists already" in irc("calibrate", report, code=2).stderr
    options = "hls{style=dataflow calibration=calibration.json}"
    irc("compile", model, *COMPILE[:2], "--backend", options, "--calib", data, "-o", "again")
    Path("calibration.json").unlink()  # the artifact has what it needs
    *_, note = json.loads(Path("again/report.json").read_text())["notes"]
    assert note.startswith("LUT and FF are calibrated: the LUTs of sums of products times 2")
    assert "LUT and FF are calibrated" in Path("again/report.html").read_text()
    assert "bit-equal to the interpreter" in irc("verify", "again").stdout


def test_as_json(irc: Irc, project: Path):
    report = synthesise(project, Path("reports"), Factors(2, 2, 1.25), known=1)
    told = json.loads(irc("calibrate", report, "--artifact", project, "-o", "mine.json", "--json").stdout)
    assert told["calibration"] == "mine.json"
    assert told["products"] == pytest.approx(2, rel=0.01)
    assert told["parts"] == len(told["points"]) == 1
    assert told["unknown"] == ["fc2"]
    assert told["common"]
    assert told["residuals_before"]["lut"] > 0.1
    printed = irc("calibrate", report, "--artifact", project).stdout
    assert "not in the report: fc2\ntwo factors of LUTs cannot be told apart by these parts: one for all\n" in printed
    assert json.loads(Path("mine.json").read_text())["source"].startswith("mlp by Vitis HLS 2023.2")


def test_what_can_hardly_be_is_said(irc: Irc, project: Path):
    report = synthesise(project, Path("reports"), Factors(2000, 2000, 1))
    told = irc("calibrate", report, "--artifact", project).stderr
    assert "warning: multipliers times " in told
    assert "warning: logic times " in told
    assert "no synthesis is known to be so far from the estimate" in told
    assert "flip-flops" not in told


def test_a_report_of_hardly_anything_is_said(project: Path):
    units = units_of(HLS.lower(Artifact.load(project).job()))
    synthesis = read_reports([synthesise(project, Path("reports"), Factors(), known=1)])
    more = [replace(unit, name=f"{unit.name}_2", functions=(f"{unit.name}_2",)) for unit in units]
    (doubt,) = fit([*units, *more], synthesis, "accelerator", "mlp").doubts
    assert doubt == f"the report has only 1 of the {2 * len(units)} parts of the artifact"


def test_what_cannot_be(irc: Irc, project: Path, artifact: Path, model: Path):
    report = synthesise(project, Path("reports"), Factors())
    assert "csynth.xml: lies in no artifact" in irc("calibrate", report, code=2).stderr
    assert "nowhere.xml: no such file" in irc("calibrate", "nowhere.xml", code=2).stderr
    assert "is an artifact, not a report of its synthesis" in irc("calibrate", project, code=2).stderr
    told = irc("calibrate", report, "--artifact", artifact, code=2).stderr
    assert "is an artifact of the backend reference, not hls" in told
    told = irc("compile", model, "--backend", "hls{calibration=nowhere.json}", code=2).stderr
    assert "nowhere.json: no such file" in told
    report.write_text("not XML")
    told = irc("calibrate", report, "--artifact", project, code=2).stderr
    assert "is no report of Vitis HLS: it is no XML" in told
    assert "syn/report/csynth.xml" in told
    assert not Path("calibration.json").exists()
