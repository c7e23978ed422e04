"""What the linter has to say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One fault: where, which rule, what is wrong, the way out."""

    file: str
    line: int
    rule: str
    message: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}\n  {self.way_out}"
