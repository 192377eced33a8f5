"""The HTML report: one file, no scripts, no network; pictures and plots are inside it."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from sdxl_lora.evaluation.claims import CLAIMS, NOTE
from sdxl_lora.evaluation.pictures import read_picture

MOST_PAIRS = 60  # shown with pictures, worst first; the others are in the JSON and CSV
THUMBNAIL = 256  # px
_CLAIMED = {claim.metric: claim.claimed for claim in CLAIMS}

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#1c2126}
h1{font-size:1.6rem;margin-bottom:.2rem} h2{margin-top:2.5rem;font-size:1.2rem} .dim{color:#68727c}
table{border-collapse:collapse;width:100%} td,th{padding:.35rem .6rem;border-bottom:1px solid
#e3e7ea;text-align:left; vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap} details{font-size:.85rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0} .pair{display:grid;grid-template-columns:256px
256px 1fr;gap:1rem;margin:1.2rem 0;border-top:1px solid #e3e7ea; padding-top:1.2rem}
img{width:256px;border-radius:4px;background:#f3f5f6} .warn{color:#8a4b00}
@media(max-width:800px){.pair{grid-template-columns:1fr 1fr}img{width:100%}}
"""


def to_html(report: Mapping[str, Any], folders: Mapping[str, Path]) -> str:
    """The whole page. `folders`: where pictures lie, by "generated" and "reference"; others are left out."""
    available = {key: metric for key, metric in report["metrics"].items() if "unavailable" not in metric}
    missing = {key: metric for key, metric in report["metrics"].items() if "unavailable" in metric}
    title = html.escape(report["label"] or "Evaluation")
    count = len(report["pairs"])
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>',
        f'<h1>{title}</h1><p class="dim">{count} pictures, report {report["id"]}</p>',
        *(f'<p class="warn">{html.escape(note)}</p>' for note in report["notes"]),
        "<h2>Metrics</h2>",
        _table(available, report["baselines"]),
        _unavailable(missing),
        "<h2>Pictures, worst first</h2>",
        _pictures(report, available, folders),
        "<h2>Provenance</h2>",
        f"<pre>{html.escape(_lines(report['provenance']))}</pre></html>",
    ]
    return "\n".join(parts) + "\n"


def number(value: float | None, digits: int = 4) -> str:
    """Decimals, without a sign where they are all 0; a dash where there is nothing."""
    return "–" if value is None else f"{value:z.{digits}f}"


def worst_first(report: Mapping[str, Any], key: str) -> list[int]:
    """Places of the pairs by one metric, worst first; those without a value at the end."""
    metric = report["metrics"][key]
    sign = 1 if metric["higher_is_better"] else -1
    values = metric["per_image"]
    return sorted(range(len(values)), key=lambda i: (values[i] is None, sign * (values[i] or 0.0), i))


def leading_metric(report: Mapping[str, Any]) -> str | None:
    """The metric pictures are sorted by unless somebody chooses: the first of these that has a value per
    picture.
    """
    for key in ("clip", "clip_mini", "lpips", "similarity_mini", "psnr"):
        if report["metrics"].get(key, {}).get("per_image"):
            return key
    return None


def _table(metrics: Mapping[str, Mapping[str, Any]], baselines: Mapping[str, Any]) -> str:
    heads = "".join(f"<th>{html.escape(entry['label'])}</th>" for entry in baselines.values())
    rows = []
    for key, metric in metrics.items():
        about = metric["settings"]
        arrow = "↑" if metric["higher_is_better"] else "↓"
        interval = f"{number(metric['ci95'][0])} … {number(metric['ci95'][1])}" if metric["ci95"] else "–"
        claim = f'<br><span class="warn">{_CLAIMED[key]}: {NOTE}</span>' if key in _CLAIMED else ""
        said = [about[name] for name in ("warning", "note") if name in about]
        warning = "".join(f'<br><span class="warn">{html.escape(text)}</span>' for text in said)
        provenance = f"<details><summary>how</summary><pre>{html.escape(_lines(about))}</pre></details>"
        others = "".join(
            f'<td class="n">{number(entry["metrics"].get(key))}</td>' for entry in baselines.values()
        )
        rows.append(
            f"<tr><td>{html.escape(about['name'])} {arrow}{warning}{claim}{provenance}</td>"
            f'<td class="n"><b>{number(metric["mean"])}</b> {html.escape(about.get("unit", ""))}</td>'
            f'<td class="n">{interval}</td><td class="n">{number(metric["std"])}</td>'
            f'<td class="n">{metric["n"]}</td>'
            f'<td class="n">{number(metric["top5_mean"])}</td>{others}</tr>'
        )
    return (
        "<table><tr><th>metric</th><th>mean of all</th><th>95 % interval</th><th>deviation</th><th>n</th>"
        f"<th>Top-5 avg</th>{heads}</tr>{''.join(rows)}</table>"
    )


def _unavailable(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    if not metrics:
        return ""
    items = "".join(
        f"<li>{key}: {html.escape(metric['unavailable'])}</li>" for key, metric in metrics.items()
    )
    return f"<details><summary>{len(metrics)} metrics not computed</summary><ul>{items}</ul></details>"


def _pictures(
    report: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]], folders: Mapping[str, Path]
) -> str:
    leading = leading_metric(report)
    order: Sequence[int] = worst_first(report, leading) if leading else range(len(report["pairs"]))
    blocks = []
    for place in order[:MOST_PAIRS]:
        pair = report["pairs"][place]
        values = "<br>".join(
            f"{key} {number(metric['per_image'][place])}"
            for key, metric in metrics.items()
            if metric["per_image"] and len(metric["per_image"]) == len(report["pairs"])
        )
        notes = [
            note for which in ("generated", "reference") for note in pair.get(which, {}).get("notes", ())
        ]
        treated = f'<p class="dim">{html.escape("; ".join(notes))}</p>' if notes else ""
        pictures = "".join(_picture(pair, which, folders) for which in ("generated", "reference"))
        text = f"<b>{html.escape(pair['name'])}</b><br>{html.escape(pair['caption'] or '')}"
        blocks.append(
            f'<div class="pair">{pictures}<div>{text}<p class="dim">{values}</p>{treated}</div></div>'
        )
    rest = len(report["pairs"]) - len(blocks)
    if rest > 0:
        blocks.append(f'<p class="dim">{rest} more pictures are in the JSON and CSV reports.</p>')
    sorted_by = f'<p class="dim">by {leading}; generated left, reference right</p>' if leading else ""
    return sorted_by + "".join(blocks)


def _picture(pair: Mapping[str, Any], which: str, folders: Mapping[str, Path]) -> str:
    path = folders[which] / pair[which]["file"] if which in pair and which in folders else None
    if path is None or not path.is_file():
        return "<div></div>"
    image = Image.fromarray(read_picture(path).pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{which} {html.escape(pair["name"])}">'


def _lines(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in values.items())
