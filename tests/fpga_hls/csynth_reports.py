"""Synthesis reports in the format of Vitis HLS, written by us with numbers of our choice; nothing was synthesised."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

USED = tuple[int, int]  # LUT, FF

HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<profile>
<ReportVersion><Version>{version}</Version></ReportVersion>
<UserAssignments>
<unit>ns</unit>
<ProductFamily>zynquplus</ProductFamily>
<Part>{part}</Part>
<TopModelName>{top}</TopModelName>
<TargetClockPeriod>5.00</TargetClockPeriod>
<ClockUncertainty>1.35</ClockUncertainty>
<FlowTarget>vivado</FlowTarget>
</UserAssignments>
<PerformanceEstimates>
<PipelineType>dataflow</PipelineType>
<SummaryOfTimingAnalysis><unit>ns</unit><EstimatedClockPeriod>3.650</EstimatedClockPeriod></SummaryOfTimingAnalysis>
<SummaryOfOverallLatency>
<unit>clock cycles</unit>
<Best-caseLatency>100</Best-caseLatency>
<Worst-caseLatency>100</Worst-caseLatency>
<Interval-min>50</Interval-min>
<Interval-max>50</Interval-max>
</SummaryOfOverallLatency>
</PerformanceEstimates>
"""

AREA = """\
<AreaEstimates>
<Resources>
<BRAM_18K>0</BRAM_18K>
<FF>{ff}</FF>
<LUT>{lut}</LUT>
<URAM>0</URAM>
</Resources>
<AvailableResources>
<BRAM_18K>1824</BRAM_18K>
<DSP>2520</DSP>
<FF>548160</FF>
<LUT>274080</LUT>
<URAM>0</URAM>
</AvailableResources>
</AreaEstimates>
"""

TAIL = "</profile>\n"
FACTS = {"version": "2023.2", "part": "xczu9eg-ffvb1156-2-e", "top": "accelerator"}


def module_report(used: USED, **facts: str) -> str:
    """`<module>_csynth.xml`"""
    return HEAD.format(**{**FACTS, **facts}) + AREA.format(lut=used[0], ff=used[1]) + TAIL


def whole_report(modules: Mapping[str, USED], **facts: str) -> str:
    """`csynth.xml`: the top function, and every module with its place among the instances."""
    named = {**FACTS, **facts}
    instances = "".join(
        f"<Instance><InstName>{name}_U0</InstName><ModuleName>{name}</ModuleName><ID>{i}</ID></Instance>\n"
        for i, name in enumerate(modules)
    )
    listed = "".join(
        f"<Module>\n<Name>{name}</Name>\n{AREA.format(lut=lut, ff=ff)}</Module>\n"
        for name, (lut, ff) in modules.items()
    )
    top = AREA.format(lut=sum(lut for lut, _ in modules.values()), ff=sum(ff for _, ff in modules.values()))
    hierarchy = (
        f"<TopModule><ModuleName>{named['top']}</ModuleName><InstancesList>\n{instances}</InstancesList></TopModule>"
    )
    return (
        f"{HEAD.format(**named)}{top}<RTLDesignHierarchy>{hierarchy}</RTLDesignHierarchy>\n"
        f"<ModuleInformation>\n{listed}</ModuleInformation>\n{TAIL}"
    )


def write_whole(folder: Path, modules: Mapping[str, USED], **facts: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "csynth.xml").write_text(whole_report(modules, **facts))
    return folder / "csynth.xml"
