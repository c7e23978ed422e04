"""A report as one HTML page that loads nothing."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from irc.backends.report import columns_of, number_text

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem;color:#1c2530;background:#fff}
h1{font-size:1.4rem;margin:0} h2{font-size:1.05rem;margin:2rem 0 .5rem}
p.sub{color:#5b6773;margin:.2rem 0 0} .warn{background:#fff4d6;padding:.4rem .7rem;border-left:3px solid #e0a100}
table{border-collapse:collapse;width:100%} th,td{padding:.25rem .6rem;border-bottom:1px solid #e4e8ec;text-align:left}
th{font-weight:600;background:#f5f7f9;position:sticky;top:0}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.bar{background-repeat:no-repeat;background-image:linear-gradient(#cfe3f7,#cfe3f7)} code{font-size:.9em}
.wide{overflow-x:auto}
@media (prefers-color-scheme:dark){body{background:#14181d;color:#dfe5ea}th{background:#1e242b}
th,td{border-color:#2b333c}.warn{background:#3a3012}td.bar{background-image:linear-gradient(#23405c,#23405c)}}
"""


def page(report: Mapping[str, Any]) -> str:
    """The page of a report; every text of the model is escaped."""
    title = f"{report['model']} on {report['backend']}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>{_escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_escape(title)}</h1>",
        f'<p class="sub">target {_escape(report["target"])} · irc {_escape(report["irc"])}</p>',
        f'<p class="sub">passes <code>{_escape(report["pipeline"] or "none")}</code></p>',
        *(f'<p class="warn">{_escape(text)}</p>' for text in report["warnings"]),
        "<h2>Summary</h2>",
        _table([{"": key, "value": value} for key, value in report["summary"].items()]),
        "<h2>Layers</h2>",
        _table(report["layers"], bars=("macs", "bytes")),
    ]
    if report["notes"]:
        parts += ["<h2>Notes</h2><ul>", *(f"<li>{_escape(note)}</li>" for note in report["notes"]), "</ul>"]
    return "\n".join([*parts, "</body></html>", ""])


def _escape(value: Any) -> str:
    return html.escape(str(value))


def _table(rows: Sequence[Mapping[str, Any]], bars: Sequence[str] = ()) -> str:
    columns = columns_of(rows)
    numeric = {c for c in columns if all(isinstance(row.get(c, 0), int | float) for row in rows)}
    most = {c: max((float(row.get(c, 0)) for row in rows), default=0.0) for c in bars if c in numeric}
    head = "".join(f'<th class="n">{_escape(c)}</th>' if c in numeric else f"<th>{_escape(c)}</th>" for c in columns)

    def line(row: Mapping[str, Any]) -> str:
        return "".join(_cell(row.get(c, ""), c in numeric, most.get(c, 0.0)) for c in columns)

    body = "\n".join(f"<tr>{line(row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _cell(value: Any, numeric: bool, most: float) -> str:
    text = _escape(number_text(value))
    if numeric and most and value:
        return f'<td class="n bar" style="background-size:{100 * value / most:.1f}% 100%">{text}</td>'
    return f'<td class="n">{text}</td>' if numeric else f"<td>{text}</td>"
