"""dbt's own documentation as one file that opens from disk, made beside the warehouse.

Nobody waits for it, and nothing that runs is disturbed: dbt looks at a copy of the warehouse
without its rows, and writes into a folder of its own.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from pathlib import Path

import duckdb

from lakefeed.declaration.project import Project
from lakefeed.sql import literal, quote
from lakefeed.transformation.dbt_adapter.runner import run_dbt, writing_into
from lakefeed.transformation.warehouse.open_file import reading, writing

_POLICY = (
    "default-src 'none'; script-src 'unsafe-eval' %s; style-src 'unsafe-inline'; img-src data:; "
    "font-src data:"
)
# dbt's page asks for two files by names that are templates (dbt-docs 1.11), which only fills the
# console with errors.
_MENDED = (
    ('<link rel="shortcut icon" href="${require(\'./assets/favicons/favicon.ico\')}"/>', ""),
    ('xlink:href="{{ getIcon(', 'ng-attr-xlink:href="{{ getIcon('),
)
_BACK = (
    '<a href="index.html" target="_self" style="position:fixed;left:20px;bottom:16px;z-index:9;'
    'padding:6px 12px;border-radius:6px;background:#0b5f78;color:#fff">&larr; Report</a>'
)
_SCRIPT = re.compile(r"<script[^>]*>(.*?)</script>", re.DOTALL)


def write_documentation(project: Project, page: Path, work: Path) -> None:
    """Writes dbt's documentation of the project into this page; works in a folder of its own.

    Raises:
        BuildFailed: dbt can't read the project, or another program is writing the warehouse.
    """
    warehouse, target = work / project.warehouse.name, work / "target"
    _copy_without_rows(project.warehouse, warehouse)
    arguments = writing_into(project, target)
    run_dbt(project, "parse", arguments, warehouse)
    # Compiling the models over raw would write out the names of all their files.
    run_dbt(project, "docs", ["generate", "--no-compile", *arguments], warehouse)
    page.write_text(_as_one_page(target), encoding="utf-8")


def _copy_without_rows(published: Path, copy: Path) -> None:
    """Schemas, tables, views and comments, which is all that dbt asks for."""
    if not published.exists():
        return
    try:
        with reading(published), writing(copy) as session:
            session.execute(f"attach {literal(str(published))} as published (read_only)")
            (name,) = session.execute("select current_database()").fetchall()[0]
            session.execute(f"copy from database published to {quote(name)} (schema)")
            session.execute("detach published")
    except duckdb.Error:
        # A view that reads what isn't there any more can't be made again.
        with reading(published):
            shutil.copyfile(published, copy)


def _as_one_page(target: Path) -> str:
    """dbt's page with its two documents in it.

    `dbt docs generate --static` puts them in as they are, so that `</script>` in a description
    would end the script. And whatever a description holds, nothing but the page's own scripts is to
    run, and nothing is to be fetched.
    """
    page = (target / "index.html").read_text(encoding="utf-8")
    for name in ("manifest", "catalog"):
        document = (target / f"{name}.json").read_text(encoding="utf-8")
        page = page.replace(f'"{name.upper()}.JSON INLINE DATA"', document.replace("<", "\\u003c"))
    for wrong, right in _MENDED:
        page = page.replace(wrong, right)
    page = page.replace("</body>", f"{_BACK}</body>", 1)
    scripts = " ".join(map(_hash, _SCRIPT.findall(page)))
    tag = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY % scripts}">'
    return page.replace("<head>", f"<head>{tag}", 1)


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
