"""Factors fitted to synthesis reports: modules found by name, factors recovered, what is no report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from csynth_reports import USED, module_report, whole_report, write_whole
from hls_designs import job_of
from hls_examples import job

from irc.backends.fpga_hls.area import Area, Factors, total
from irc.backends.fpga_hls.backend import HLS, Options
from irc.backends.fpga_hls.calibration.csynth import Synthesis, Used, read_reports
from irc.backends.fpga_hls.calibration.fit import Unit, fit, residuals, units_of
from irc.backends.fpga_hls.calibration.record import Calibration, calibration_of
from irc.backends.fpga_hls.device import PARTS
from irc.backends.fpga_hls.engine.plan import Plan
from irc.backends.fpga_hls.stage_area import area, module_parts
from irc.backends.fpga_hls.utilisation import bill_of
from irc.ir.diagnostics import IrcError, UsageError

ZCU102 = PARTS["zcu102"]
TRUE = Factors(products=1.7, logic=0.8, ff=1.3)
TEXT = Calibration(TRUE, 12, 0.05, 0.1, "digits by Vitis HLS 2023.2").text


def units(style: str, **options: object) -> list[Unit]:
    given = replace(job("digits_cnn", "quant8", 16), options=Options(style=style, **options))  # type: ignore[arg-type]
    return units_of(HLS.lower(given))


def synthesised(found: list[Unit], factors: Factors = TRUE, ending: str = "") -> dict[str, USED]:
    """A report in which the formulas are off by exactly these factors; a unit is all in the first of its functions."""
    modules: dict[str, USED] = {}
    for unit in found:
        used = factors.of(unit.products, unit.rest)
        modules |= {f"{name}{ending}": (0, 0) for name in unit.functions}
        modules[f"{unit.functions[0]}{ending}"] = (used.lut, used.ff)
    return modules


@pytest.mark.parametrize(("style", "ending"), [("dataflow", ""), ("engine", "_Size_s")])
def test_factors_are_recovered(tmp_path: Path, style: str, ending: str):
    known = units(style)
    report = write_whole(tmp_path, synthesised(known, ending=ending))
    found = fit(known, read_reports([report]), "accelerator", "digits_cnn")
    factors = found.calibration.factors
    assert (factors.products, factors.logic, factors.ff) == pytest.approx((1.7, 0.8, 1.3), rel=0.01)
    assert found.calibration.parts == len(known) == len(found.points)
    assert not found.common
    assert max(residuals(found.points, factors)) < 0.01 < 0.2 < min(residuals(found.points))
    assert found.calibration.source == "digits_cnn by Vitis HLS 2023.2, xczu9eg-ffvb1156-2-e, 5.00 ns"


def test_what_a_module_says_of_itself_counts(tmp_path: Path):
    write_whole(tmp_path, {"fc": (900, 900), "relu": (20, 10)})
    (tmp_path / "fc_csynth.xml").write_text(module_report((100, 50), top="fc"))
    found = read_reports([tmp_path])
    assert found.modules["fc"] == Used(100, 50)
    assert found.modules["relu"] == Used(20, 10)
    assert found.top == "accelerator"
    alone = read_reports([tmp_path / "fc_csynth.xml"])
    assert alone.modules == {"fc": Used(100, 50)}
    assert alone.top == ""


def unit(name: str, products: int, rest: int) -> Unit:
    return Unit(name, name, (name,), Area(lut=products, ff=1), Area(lut=rest, ff=rest))


def fitted(known: list[Unit], modules: dict[str, USED]):
    return fit(known, Synthesis(top="top", modules={n: Used(*u) for n, u in modules.items()}), "top", "m")


def test_modules_are_found_by_the_names_of_functions():
    known = [unit("fc", 10, 10), unit("fc_2", 0, 30), unit("act", 0, 40), unit("gone", 0, 5)]
    modules = {"top": (9, 9), "top_fc": (20, 11), "fc_2": (30, 30), "act_s": (40, 40), "act_Pipeline_1": (7, 7)}
    found = fitted(known, modules)
    assert [(p.unit.name, p.reported.lut) for p in found.points] == [("fc", 20), ("fc_2", 30), ("act", 40)]
    assert [u.name for u in found.unknown] == ["gone"]


def test_one_factor_where_two_cannot_be_told_apart():
    """A negative factor, or as many products as all else everywhere."""
    negative = fitted([unit("a", 100, 100), unit("b", 0, 100)], {"a": (50, 9), "b": (100, 9)})
    assert negative.common
    assert negative.calibration.factors.products == negative.calibration.factors.logic == pytest.approx(0.4)
    assert fitted([unit("a", 100, 100)], {"a": (300, 9)}).common


def test_without_products_their_factor_stays():
    found = fitted([unit("a", 0, 100), unit("b", 0, 50)], {"a": (150, 9), "b": (75, 9)})
    assert (found.calibration.factors.products, found.calibration.factors.logic) == (1, 1.5)
    assert not found.common


def test_reports_of_something_else():
    known = [unit("fc", 10, 10)]
    with pytest.raises(UsageError, match="the report is of the top function 'top', the artifact has 'mine'"):
        fit(known, Synthesis(top="top", modules={"fc": Used(1, 1)}), "mine", "m")
    with pytest.raises(IrcError, match="none of the 1 modules of the report is a part of the artifact") as error:
        fitted(known, {"other": (1, 1)})
    assert "modules are known by the names of functions, here fc" in str(error.value)
    with pytest.raises(IrcError, match="take no LUTs or no flip-flops, so there is nothing to fit"):
        fitted(known, {"fc": (0, 0)})


def test_what_is_no_report(tmp_path: Path):
    file = tmp_path / "csynth.xml"
    with pytest.raises(UsageError, match="no such file"):
        read_reports([file])
    with pytest.raises(UsageError, match=r"holds no \*csynth.xml"):
        read_reports([tmp_path])
    for text, message in (
        ("<profile>", "is no report of Vitis HLS: it is no XML: no element found"),
        ("<profile/>", "it has neither AreaEstimates nor ModuleInformation"),
        (whole_report({"fc": (1, 2)}).replace("<LUT>1</LUT>", "<LUT>~0</LUT>"), "LUT is '~0', not a count"),
    ):
        file.write_text(text)
        with pytest.raises(UsageError, match=message):
            read_reports([file])
    write_whole(tmp_path, {"fc": (1, 2)})
    (tmp_path / "fc_csynth.xml").write_text(module_report((1, 2), version="2024.1"))
    with pytest.raises(UsageError, match=r"is a report of another synthesis: version 2024\.1, the others have 2023"):
        read_reports([tmp_path])


# -- the file, and what is made of it


def test_a_calibration_reads_back(tmp_path: Path):
    (tmp_path / "zcu102.json").write_text(TEXT + "\n")
    assert calibration_of(str(tmp_path / "zcu102.json")) == calibration_of(TEXT)
    assert calibration_of(TEXT).text == TEXT
    assert Options(calibration=str(tmp_path / "zcu102.json")).calibration == TEXT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "is no calibration: it is no JSON"),
        ({"schema": 2}, "is no calibration: its schema is 2, this irc reads 1"),
        ({"logic": 0}, "is no calibration: 'logic' is no number that it can be"),
        ({"ff": "1"}, "is no calibration: 'ff' is no number that it can be"),
        ({"source": 3}, "is no calibration: it does not say what it was fitted to"),
    ],
)
def test_what_is_no_calibration(tmp_path: Path, change: dict[str, object] | None, message: str):
    text = "{" if change is None else json.dumps({**json.loads(TEXT), **change})
    with pytest.raises(UsageError, match=message) as error:
        Options(calibration=text)
    assert "hls{calibration}" in str(error.value)
    assert "`irc calibrate` writes one" in str(error.value)
    with pytest.raises(UsageError, match="no such file"):
        Options(calibration=str(tmp_path / "nowhere.json"))


def test_areas_follow_the_calibration(tmp_path: Path):
    module = job("digits_cnn", "quant8", 16).module
    plain, calibrated = (HLS.lower(job_of(module, calibration=text, fps=100.0)) for text in ("", TEXT))
    assert [s.fold for s in plain.stages] == [s.fold for s in calibrated.stages]
    for stage in plain.stages:
        products, rest = module_parts(stage)
        alone = products.lut * 1.7 + (rest.lut + area(stage).lut - products.lut - rest.lut) * 0.8
        assert area(stage, TRUE).lut == pytest.approx(alone, abs=1)
        assert area(stage, TRUE).ff == pytest.approx(1.3 * area(stage).ff, abs=1)
        assert area(stage, TRUE).bram18 == area(stage).bram18
    given = job_of(module, calibration=TEXT, fps=100.0)
    told = HLS.emit(given, calibrated, tmp_path)
    bill = bill_of(calibrated, ZCU102, "m_axi", TRUE)
    assert sum(row["LUT"] for row in told["layers"]) == total([*bill.areas.values(), bill.beside]).lut
    assert told["notes"][-1].startswith(
        "LUT and FF are calibrated: the LUTs of sums of products times 1.7, all others times 0.8, FF times 1.3, fitted "
        "to 12 parts of digits by Vitis HLS 2023.2, with residuals of 5 % (LUT) and 10 % (FF)."
    )


def test_folding_keeps_to_the_calibrated_luts():
    module = job("digits_cnn", "quant8", 16).module
    large = Calibration(Factors(products=4), 1, 0, 0, "nothing").text
    plain, calibrated = (HLS.lower(job_of(module, lut=0.3, calibration=text)) for text in ("", large))
    multipliers = [sum(s.fold[0] * s.fold[1] for s in design.stages) for design in (plain, calibrated)]
    assert multipliers[1] < multipliers[0]


def test_an_engine_follows_the_calibration():
    given = replace(job("digits_cnn", "quant8", 16), options=Options(style="engine", calibration=TEXT))
    assert isinstance(HLS.lower(given), Plan)
