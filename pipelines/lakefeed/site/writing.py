"""Writes the site beside the existing one, then replaces that as a whole."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from lakefeed.declaration.project import Project
from lakefeed.errors import LakefeedError, Refused
from lakefeed.orchestration.inspect.overview import overview
from lakefeed.site.page import DBT_PAGE, REPORT, render
from lakefeed.transformation.dbt_adapter.dbt_docs import write_documentation
from lakefeed.transformation.lineage.project_lineage import read_lineage
from lakefeed.transformation.warehouse.declared import warehouse_of


@dataclass(frozen=True)
class Site:
    """Where the site is; `lacks_dbt` says why the dbt docs are missing, if they are."""

    report: Path
    lacks_dbt: LakefeedError | None = None


def write_site(project: Project, output: Path | None = None) -> Site:
    """Writes the report and the dbt docs into a folder, by default `data/docs`.

    Connects to no source. Waits for another process that writes the site, but never for runs, nor
    they for it. If dbt can't read the project, the report says why its docs are missing.

    Raises:
        Refused: the folder contains something other than such a site.
    """
    folder = (output or project.data / "docs").absolute()
    locks = project.data / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / "docs.lock"):
        _refuse_others(folder)
        part, work = (folder.with_name(f".{folder.name}.{what}") for what in ("part", "work"))
        for leftover in (part, work):
            shutil.rmtree(leftover, ignore_errors=True)
        part.mkdir(parents=True)
        lacks_dbt = _write_dbt_page(project, part / DBT_PAGE, work)
        seen = overview(project, dt.datetime.now(dt.UTC))
        page = render(seen, read_lineage(project), lacks_dbt=str(lacks_dbt or ""))
        (part / REPORT).write_text(page, encoding="utf-8")
        _replace(folder, part)
    return Site(folder / REPORT, lacks_dbt)


def _write_dbt_page(project: Project, page: Path, work: Path) -> LakefeedError | None:
    """Returns the error that kept the page from being written, if any."""
    try:
        apart = warehouse_of(project).apart(work)
        apart.fill_without_rows()
        write_documentation(project, page, work / "target", apart.run_dbt)
    except LakefeedError as error:
        return error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return None


def _refuse_others(folder: Path) -> None:
    """Refuses to replace a folder that contains other files."""
    known = {REPORT, DBT_PAGE}
    others = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if folder.exists() and (not folder.is_dir() or set(others) - known):
        raise Refused(
            f"{folder} contains files that aren't part of this site and would be lost",
            do="name an empty or new folder: lakefeed docs --output FOLDER",
        )


def _replace(folder: Path, part: Path) -> None:
    """Replaces the site by two renames: for a moment there is none, but never half of one."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    part.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
