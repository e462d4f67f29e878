"""Writes dbt's documentation as a single file that opens from disk.

dbt inspects an empty copy of the warehouse and writes into a separate folder, so that running
builds and readers aren't blocked.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.transformation.dbt_adapter.runner import writing_into

_POLICY = (
    "default-src 'none'; script-src 'unsafe-eval' %s; style-src 'unsafe-inline'; img-src data:; "
    "font-src data:"
)
# The page of dbt-core 1.11 requests two files by names that are unrendered templates, which logs
# errors in the browser's console. Remove these once dbt's page no longer does.
_PAGE_FIXES = (
    ('<link rel="shortcut icon" href="${require(\'./assets/favicons/favicon.ico\')}"/>', ""),
    ('xlink:href="{{ getIcon(', 'ng-attr-xlink:href="{{ getIcon('),
)
_BACK_LINK = (
    '<a href="index.html" target="_self" style="position:fixed;left:20px;bottom:16px;z-index:9;'
    'padding:6px 12px;border-radius:6px;background:#0b5f78;color:#fff">&larr; Report</a>'
)
_SCRIPT = re.compile(r"<script[^>]*>(.*?)</script>", re.DOTALL)


def write_documentation(
    project: Project, page: Path, target: Path, run: Callable[[str, Sequence[str]], object]
) -> None:
    """Writes dbt's documentation of the project to `page`.

    Args:
        target: a folder to which dbt writes.
        run: runs a dbt command on a copy of the warehouse, which needs no rows.

    Raises:
        BuildFailed: dbt can't read the project.
    """
    arguments = writing_into(project, target)
    run("parse", arguments)
    # Compiled, the models over raw would list the names of all their files.
    run("docs", ["generate", "--no-compile", *arguments])
    page.write_text(_as_one_page(target), encoding="utf-8")


def _as_one_page(target: Path) -> str:
    """dbt's page with the manifest and catalog embedded.

    `dbt docs generate --static` (https://github.com/dbt-labs/dbt-core/issues/8614) embeds them
    unescaped, so that `</script>` in a description would end the script. The content security
    policy makes sure that only the page's own scripts run and that nothing is fetched, whatever a
    description contains.
    """
    page = (target / "index.html").read_text(encoding="utf-8")
    for name in ("manifest", "catalog"):
        document = (target / f"{name}.json").read_text(encoding="utf-8")
        page = page.replace(f'"{name.upper()}.JSON INLINE DATA"', document.replace("<", "\\u003c"))
    for wrong, right in _PAGE_FIXES:
        page = page.replace(wrong, right)
    page = page.replace("</body>", f"{_BACK_LINK}</body>", 1)
    scripts = " ".join(map(_hash, _SCRIPT.findall(page)))
    tag = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY % scripts}">'
    return page.replace("<head>", f"<head>{tag}", 1)


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
