"""`lakefeed demo`: loads and builds an online shop three times, with changes in between."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
from psycopg2.extensions import connection as PgConnection
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.declaration.project import Project, open_project
from lakefeed.demo.lake import demo_lake, empty_lake
from lakefeed.demo.server import create_database, embedded_postgres, require_server
from lakefeed.demo.shop import CONNECTION_VARIABLE, DATABASE, create_shop, generate_shop
from lakefeed.demo.shop_events import live_a_day, place_order
from lakefeed.errors import Refused
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.run import run
from lakefeed.render.parts.wording import short
from lakefeed.render.progress import ProgressLines
from lakefeed.render.report import console, print_run
from lakefeed.site.writing import write_site
from lakefeed.transformation.generate.generated_files import write_generated
from lakefeed.transformation.warehouse.declared import warehouse_of

if TYPE_CHECKING:
    # Needs a package of the extra, whose absence is told in words.
    from lakefeed.demo.elsewhere import Elsewhere

_REVENUE = """
select
    d.month_start as month,
    p.category_name as category,
    sum(f.quantity) as items,
    sum(f.line_total) as revenue
from marts.fct_order_line as f
join marts.dim_date as d on d.date_day = f.ordered_on
join marts.dim_product as p on p.product_key = f.product_key
where not f.is_cancelled
group by 1, 2
order by 1 desc, revenue desc
limit 8
"""

_MOVED = """
select
    c.full_name as customer,
    c.city,
    c.valid_from,
    c.valid_to,
    count(o.order_id) as orders
from marts.dim_customer as c
left join marts.fct_order as o on o.customer_key = c.customer_key
where c.customer_id = 1
group by all
order by valid_from
"""


def run_demo(
    root: Path, *, scale: float, seed: int, keep: bool, elsewhere: Elsewhere | None = None
) -> int:
    """Runs the demo in the project at `root`; returns the exit code of the last run.

    Side effects: replaces the lake in `data/`, which must be the demo's own or absent.

    Args:
        elsewhere: run a copy of the project, below `data/`, whose data isn't there.

    Raises:
        Refused: this isn't the demo's project; or `data/` contains a lake that isn't the demo's or
            that `make airflow` is using.
        ExtraMissing: the embedded PostgreSQL isn't installed.
    """
    require_server("`lakefeed demo`")
    out = console()
    project = _demo_project(root)
    with demo_lake(project):
        _start_over(project)
        with embedded_postgres(project.data / "postgres", keep=keep) as url:
            shop_url = create_database(url, DATABASE)
            os.environ[CONNECTION_VARIABLE] = shop_url
            with closing(psycopg2.connect(shop_url)) as session:
                shop = generate_shop(scale, seed)
                create_shop(session, shop)
                out.print(f"An online shop in an embedded PostgreSQL: {shop.count():,} rows.\n")
                place = elsewhere(out, project, url) if elsewhere else nullcontext(project)
                with place as used:
                    code = _story(out, used, session, shop_url, seed)
                    out.rule("documentation site", align="left")
                    site = write_site(open_project(used.root))
                    shown = site.report.relative_to(root)
                    out.print(f"wrote {shown}: runs, late rows, tests, lineage.")
                    out.print(f"open it in a browser: {site.report.as_uri()}\n", soft_wrap=True)
            if elsewhere is None:
                _farewell(out, project, shop_url, keep=keep)
    return code


def _demo_project(root: Path) -> Project:
    """The project in this folder, which must be the demo's."""
    if (root / DECLARATION_FILE).exists():
        project = open_project(root)
        source = project.declaration.sources.get(DATABASE)
        if source and CONNECTION_VARIABLE in (source.connection or ""):
            return project
    raise Refused(
        f"{root} isn't the demo's project",
        do="run `make demo` in a clone of Lakefeed's repository",
    )


def _story(out: Console, project: Project, session: PgConnection, url: str, seed: int) -> int:
    late = psycopg2.connect(url)
    with late.cursor() as cursor:
        late_order = place_order(cursor, customer=1, products=[(1, 2), (9, 1)], paid=True)
    with session, session.cursor() as cursor:
        order = place_order(cursor, customer=2, products=[(3, 1)], paid=True)
    newest = _newest_order(session)
    out.rule("first load: everything", align="left")
    out.print(
        f"Order {late_order} is being placed in a transaction that is still open. Order {order} "
        "was placed later\nand is already committed, so the newest cursor value is past both.\n",
        soft_wrap=True,
    )
    code = _load(out, project)
    if code:
        return code
    out.rule("a day in the shop", align="left")
    for event in live_a_day(session, seed):
        out.print(f"  {event.what}")
    late.commit()
    late.close()
    out.print(f"  order {late_order} was committed; its timestamps are older than the first load\n")
    plain = _later_orders(session, newest)
    out.rule("second load: what changed", align="left")
    code = _load(out, project)
    out.rule("third load: nothing changed", align="left")
    code = _load(out, project) or code
    out.rule(f"order {late_order}, which was committed late", align="left")
    out.print(_late_order_grid(project, late_order, newest, plain))
    out.rule("revenue by month and category, from the star schema", align="left")
    out.print(_grid(project, _REVENUE))
    out.rule("a customer who moved: each order keeps the address of its time", align="left")
    out.print(_grid(project, _MOVED))
    return code


def _newest_order(session: PgConnection) -> dt.datetime:
    """The checkpoint of a plain cursor after a load."""
    with session, session.cursor() as cursor:
        cursor.execute("select max(updated_at) from orders")
        (newest,) = cursor.fetchone() or (None,)
    assert isinstance(newest, dt.datetime)
    return newest


def _later_orders(session: PgConnection, newest: dt.datetime) -> list[int]:
    """The orders that a plain cursor reads in the next load."""
    with session, session.cursor() as cursor:
        cursor.execute("select order_id from orders where updated_at > %s", [newest])
        return [order for (order,) in cursor.fetchall()]


def _late_order_grid(
    project: Project, late_order: int, newest: dt.datetime, plain: Sequence[int]
) -> Grid:
    """Compares a plain cursor and Lakefeed on the order that was committed late."""
    (table,) = (table for table in project.tables if table.shown == "shop.orders")
    loads = CommitLog(project.raw, table.lake_name).loads()
    first, second = sorted(loads, key=lambda load: load.order)[:2]
    _, found = warehouse_of(project).published.query(
        f"select 1 from marts.fct_order where order_id = {late_order}"
    )
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("after load 1", "checkpoint", "read by load 2", "late order"):
        grid.add_column(heading, justify="right" if heading.startswith("read") else "left")
    grid.add_row(
        "plain cursor",
        f"{newest.astimezone(dt.UTC):%F %T} (newest order)",
        f"{len(plain):,}",
        "found" if late_order in plain else "lost",
    )
    grid.add_row(
        "Lakefeed",
        f"{short(first.checkpoint)} (oldest open transaction)",
        f"{second.rows_read:,}",
        "in the star schema" if found else "MISSING",
    )
    return grid


def _load(out: Console, project: Project) -> int:
    report = run(open_project(project.root), LoadRequest(), ProgressLines(out))
    print_run(out, report)
    out.print()
    return report.exit_code


def _start_over(project: Project) -> None:
    _stop_kept_server(project.data / "postgres")
    empty_lake(project)
    write_generated(project)


def _stop_kept_server(folder: Path) -> None:
    """Stops the server that an earlier `lakefeed demo --keep` left running."""
    if (folder / "postmaster.pid").exists():
        with embedded_postgres(folder):
            pass


def _grid(project: Project, sql: str) -> Grid:
    columns, rows = warehouse_of(project).published.query(sql)
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        numeric = column in ("items", "revenue", "orders")
        grid.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        grid.add_row(*map(_text, row))
    return grid


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case int():
            return f"{value:,}"
        case dt.datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case dt.date():
            return f"{value:%Y-%m}"
        case _:
            return str(value)


def _farewell(out: Console, project: Project, url: str, *, keep: bool) -> None:
    raw, warehouse = project.declaration.raw.url, warehouse_of(project).shown
    out.print(f"raw files   {raw}/shop__orders/orders/load_date=…/*.parquet")
    out.print(f"warehouse   {warehouse}   (schemas staging, history and marts)")
    if not is_activated():
        out.print(f"activate    {how_to_activate()}", soft_wrap=True)
    out.print("try         lakefeed status · lakefeed explain shop.orders · ", end="")
    out.print("dlt pipeline shop__orders info")
    if keep:
        out.print("\nThe database is still running. To continue from here:")
        out.print(f"  export {CONNECTION_VARIABLE}='{url}'", soft_wrap=True)
        out.print(f'  psql "${CONNECTION_VARIABLE}"   # change something, then: lakefeed run')


def is_activated() -> bool:
    """Whether `lakefeed` is on the PATH."""
    return shutil.which("lakefeed") is not None


def how_to_activate() -> str:
    """The command that puts it on the PATH."""
    return f"source {os.path.relpath(Path(sys.prefix) / 'bin' / 'activate')}"
