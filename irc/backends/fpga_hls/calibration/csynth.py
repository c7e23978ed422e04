"""What Vitis HLS says of a synthesis, module by module: `csynth.xml` and the `<module>_csynth.xml` beside it.

Read of `csynth.xml` (UG1399): `ReportVersion/Version`; `UserAssignments` with `Part`, `TopModelName` and
`TargetClockPeriod`; `ModuleInformation/Module` with `Name` and `AreaEstimates/Resources`. The resources of a module
include those of what it calls. A file of one module has the same `AreaEstimates` at its top and is named after the
module; it counts where both are given.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from irc.ir.diagnostics import Diagnostic, UsageError
from irc.ir.files import reason_of

ENDING = "csynth.xml"
WHERE = "Vitis HLS writes it to <project>/<solution>/syn/report/csynth.xml"


@dataclass(frozen=True)
class Used:
    """LUTs and flip-flops of a module and of what it calls."""

    lut: int
    ff: int


@dataclass
class Synthesis:
    """The modules of a report, and which synthesis it was: tool, part, clock period in ns, top function."""

    version: str = ""
    part: str = ""
    period: str = ""
    top: str = ""
    modules: dict[str, Used] = field(default_factory=dict[str, Used])

    @property
    def text(self) -> str:
        """Which synthesis it was."""
        version = f"Vitis HLS {self.version}" if self.version else "HLS"
        return ", ".join(filter(None, (version, self.part, f"{self.period} ns" if self.period else "")))


def read_reports(paths: Sequence[Path]) -> Synthesis:
    """The reports of these files, and of all in these folders. Raises UsageError if one is no report, or of another
    synthesis than the others."""
    found = Synthesis()
    files = [file for path in paths for file in _files(path)]
    for file in sorted(files, key=lambda f: f.name != ENDING):  # what modules say of themselves comes last
        _read(file, found)
    return found


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(path.glob(f"*{ENDING}"))
    if not files:
        raise UsageError(Diagnostic(f"holds no *{ENDING}", place=str(path), hint=WHERE))
    return files


def _read(file: Path, found: Synthesis) -> None:
    try:
        root = ET.fromstring(file.read_bytes())
    except OSError as error:
        raise UsageError(Diagnostic(reason_of(error), place=str(file), hint=WHERE)) from error
    except ET.ParseError as error:
        raise _no_report(file, f"it is no XML: {error}") from error
    modules = root.findall("ModuleInformation/Module")
    if root.find("AreaEstimates") is None and not modules:
        raise _no_report(file, "it has neither AreaEstimates nor ModuleInformation")
    own = file.name.removesuffix(ENDING).removesuffix("_")
    for name, tag in (("version", "ReportVersion/Version"), ("part", "UserAssignments/Part")):
        _agree(file, found, name, root.findtext(tag, ""))
    _agree(file, found, "period", root.findtext("UserAssignments/TargetClockPeriod", ""))
    if modules or not own:
        _agree(file, found, "top", root.findtext("UserAssignments/TopModelName", ""))
    for module in modules:
        found.modules[module.findtext("Name", "")] = _used(file, module)
    if own and root.find("AreaEstimates") is not None:
        found.modules[own] = _used(file, root)


def _agree(file: Path, found: Synthesis, name: str, given: str) -> None:
    """What all files of a synthesis say alike."""
    known = getattr(found, name)
    if known and given and known != given:
        message = f"is a report of another synthesis: {name} {given}, the others have {known}"
        raise UsageError(Diagnostic(message, place=str(file)))
    setattr(found, name, known or given)


def _used(file: Path, module: ET.Element) -> Used:
    """A kind that is not there is not used."""
    texts = {kind: module.findtext(f"AreaEstimates/Resources/{kind}", "0").strip() for kind in ("LUT", "FF")}
    wrong = [f"{kind} is '{text}'" for kind, text in texts.items() if not (text.isascii() and text.isdecimal())]
    if wrong:
        raise _no_report(file, f"{' and '.join(wrong)}, not a count")
    return Used(*map(int, texts.values()))


def _no_report(file: Path, why: str) -> UsageError:
    return UsageError(Diagnostic(f"is no report of Vitis HLS: {why}", place=str(file), hint=WHERE))
