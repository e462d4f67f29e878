"""The report: one self-contained page, from plain data."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from importlib.resources import files
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from lakefeed.orchestration.inspect.overview import Overview
from lakefeed.orchestration.reports.lateness import advice_on
from lakefeed.site import wording
from lakefeed.site.attention import notices
from lakefeed.site.charts import HEIGHT, MOST_BARS, SLOT, loads_chart, runs_chart
from lakefeed.site.columns import lines_of_models, lines_of_tables
from lakefeed.site.graph import draw
from lakefeed.site.outcomes import messages, outcome_of
from lakefeed.transformation.lineage.project_lineage import Lineage
from lakefeed.wording import counted

REPORT = "index.html"
DBT_PAGE = "dbt.html"


def render(seen: Overview, lineage: Lineage, *, lacks_dbt: str = "") -> str:
    """The HTML of the page; names and messages are escaped.

    Args:
        lacks_dbt: why the dbt docs are missing, if they are.
    """
    templates = _templates()
    script = _text("page.js")
    templates.filters["before"] = partial(wording.before, now=seen.made_at)
    return templates.get_template("report.html.j2").render(
        seen=seen,
        style=_text("style.css"),
        script=script,
        script_hash=_hash(script),
        lacks_dbt=lacks_dbt,
        dbt_page=DBT_PAGE,
        notices=notices(seen),
        graph=draw(seen.tables, seen.models),
        table_lines=lines_of_tables(seen.tables, seen.models, lineage),
        model_lines=lines_of_models(seen.models, lineage),
        chart={"height": HEIGHT, "slot": SLOT, "most": MOST_BARS},
    )


def _text(name: str) -> str:
    return (files("lakefeed.site") / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """The hash that lets the content security policy run this script and no other."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("lakefeed.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "number": wording.number,
        "counted": counted,
        "seconds": wording.seconds,
        "moment": wording.moment,
        "machine_moment": wording.machine_moment,
        "span": wording.span,
        "outcome": outcome_of,
        "messages": messages,
        "plain_message": wording.plain_message,
        "runs_chart": runs_chart,
        "loads_chart": loads_chart,
        "advice": advice_on,
        # An id has no spaces, and a link must not decode into another id.
        "anchor": partial(quote, safe="."),
    }
    return templates
