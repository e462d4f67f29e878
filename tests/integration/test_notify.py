"""`notify`: who is told how `lakefeed run`, `load` and `build` end."""

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Database, Lake
from tests.listeners import Webhook, mailbox, webhook

pytestmark = pytest.mark.builds

SECRET = "TIiajkdnlazkcOXrIdevi7FQ"
TABLES = "good: {cursor: at}\nbad: {cursor: at}"
TEST = Path("dbt/tests/no_bad_row.sql")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as kept:
        monkeypatch.setenv("HOOK_URL", f"{kept.url}/{SECRET}?sig={SECRET}")
        yield kept


@pytest.fixture
def told(lake: Lake, database: Database, hook: Webhook) -> Lake:
    """A lake with two tables, of which one can be broken, and whoever is told of it."""
    for table in ("good", "bad"):
        database.execute(
            f"create table {table} (id int primary key, at timestamptz default now())",
            f"insert into {table} values (1)",
        )
    return declare(lake)


def declare(lake: Lake, *references: str, tables: str = TABLES) -> Lake:
    lake.declare(tables)
    listed = "".join(f'  - "{reference}"\n' for reference in references or ["${HOOK_URL}"])
    with (lake.root / "sources.yaml").open("a") as file:
        file.write(f"notify:\n{listed}")
    return lake


def break_bad(database: Database) -> None:
    database.execute("alter table bad rename to gone")


def mend_bad(database: Database) -> None:
    database.execute("alter table gone rename to bad")


def titles(hook: Webhook) -> list[str]:
    return [message["title"] for message in hook.messages]


def test_who_is_named_is_told_of_a_failure_and_of_its_end(
    told: Lake, database: Database, hook: Webhook
) -> None:
    name = told.root.name

    assert told.command("load").returncode == 0
    assert hook.messages == []

    break_bad(database)
    assert told.command("load").returncode == 1
    assert titles(hook) == [f"{name}: lakefeed load failed"]
    (message,) = hook.messages
    assert message["type"] == "failure"
    assert message["message"].startswith(
        "1 of 2 tables failed to load\nsources.yaml:7: `public.bad` doesn't exist in the database"
    )
    assert f"project: {told.root} on " in message["message"]

    assert told.command("load").returncode == 1
    assert len(hook.messages) == 1, "the same failure is told once"

    mend_bad(database)
    assert told.command("load", "--select", "shop.good").returncode == 0
    assert len(hook.messages) == 1, "a run without the table says nothing of it"

    assert told.command("load").returncode == 0
    assert titles(hook)[1:] == [f"{name}: lakefeed load recovered"]
    assert hook.messages[1]["type"] == "success"
    assert hook.messages[1]["message"].startswith("recovered: shop.bad\nproject: ")

    assert told.command("load").returncode == 0
    assert len(hook.messages) == 2


def test_a_failure_that_lasts_is_told_again_after_a_day(
    told: Lake, database: Database, hook: Webhook
) -> None:
    break_bad(database)
    told.command("load")
    record = told.root / "data/notified.json"
    known = json.loads(record.read_text())
    known["failing"]["shop.bad"] = "2026-01-01T00:00:00Z"
    record.write_text(json.dumps(known))

    told.command("load")
    told.command("load")

    assert titles(hook) == [f"{told.root.name}: lakefeed load failed"] * 2


def test_a_failed_test_and_the_models_that_it_holds_back_are_told(
    told: Lake, database: Database, hook: Webhook
) -> None:
    (told.root / TEST).parent.mkdir(exist_ok=True)
    (told.root / TEST).write_text("select * from {{ ref('stg_shop__bad') }} where id > 1")
    told.command("run")
    database.execute("insert into bad values (2)")

    assert told.command("run").returncode == 1
    (message,) = hook.messages
    assert "test no_bad_row failed: Got 1 result, configured to fail if != 0" in message["message"]
    assert (
        "held back at the last published version, because test no_bad_row failed: stg_shop__bad"
        in message["message"]
    )

    (told.root / TEST).write_text("select * from {{ ref('stg_shop__bad') }} where id > 2")
    assert told.command("build").returncode == 0
    assert titles(hook)[1:] == [f"{told.root.name}: lakefeed build recovered"]
    assert "recovered: no_bad_row, stg_shop__bad" in hook.messages[1]["message"]


def test_a_change_in_the_source_is_told_once(told: Lake, database: Database, hook: Webhook) -> None:
    told.command("load")
    database.execute("alter table good add column note text")

    assert told.command("load").returncode == 0
    assert told.command("load").returncode == 0

    (message,) = hook.messages
    assert message["title"] == f"{told.root.name}: a source changed"
    assert message["type"] == "warning"
    assert (
        "changed in the source: shop.public.good: column `note` (text) was added"
        in (message["message"])
    )


def test_a_refresh_that_would_remove_too_much_is_told_with_the_decision_it_needs(
    told: Lake, database: Database, hook: Webhook
) -> None:
    declare(told, tables="good: {mode: full_refresh}")
    database.execute("insert into good select i from generate_series(2, 1000) i")
    told.command("load")
    database.execute("delete from good where id > 1")

    assert told.command("load").returncode == 1
    assert "--allow-shrink" in hook.messages[0]["message"]


def test_an_error_that_ends_a_command_is_told(told: Lake, hook: Webhook) -> None:
    told.command("load")
    declare(told, tables="good: {cursor: at}")

    assert told.command("build").returncode == 1
    assert titles(hook) == [f"{told.root.name}: lakefeed build failed"]
    assert "out of date with sources.yaml" in hook.messages[0]["message"]


def test_a_plan_that_is_refused_is_told(told: Lake, database: Database, hook: Webhook) -> None:
    assert told.command("plan", "--save", "plan.json").returncode == 0
    database.execute("alter table good add column extra int")

    assert told.command("run", "--plan", "plan.json").returncode == 1

    assert titles(hook) == [f"{told.root.name}: lakefeed run failed"]
    assert "a run would no longer do what this plan says" in hook.messages[0]["message"]


def test_whoever_types_a_mistake_sees_it_and_nobody_is_told(told: Lake, hook: Webhook) -> None:
    assert told.command("run", "--select", "shop.godo").returncode == 2
    assert hook.messages == []


def test_a_message_that_cannot_be_sent_fails_no_run_and_shows_no_secret(
    told: Lake, database: Database, hook: Webhook
) -> None:
    break_bad(database)
    hook.status = 403

    ended = told.command("load")

    assert ended.returncode == 1
    assert ended.stderr == (
        "note: sources.yaml:9: the notification wasn't sent (webhook): Failed to send JSON POST "
        "notification: error=403; to try again: lakefeed notify\n"
    )
    assert SECRET not in ended.stdout + ended.stderr
    hook.status = 200
    told.command("load")
    assert len(hook.messages) == 2, "what nobody has received is told by the next run"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "the variable HOOK_URL isn't set"),
        (f"nothing://{SECRET}", "the value of `${HOOK_URL}` isn't an address that Apprise knows"),
        (SECRET, "the value of `${HOOK_URL}` isn't an address that Apprise knows"),
        (f"http://127.0.0.1:1/{SECRET}", "A Connection error occurred"),
        (f"https://x:{SECRET}@[::1/", "the value of `${HOOK_URL}` isn't an address"),
        (f"tgram://123456789:{SECRET}/123", "the notification wasn't sent (Telegram)"),
    ],
)
def test_an_address_of_no_use_is_told_without_its_value(
    told: Lake, value: str, reason: str
) -> None:
    # Nothing outside is asked.
    ended = told.command("notify", HOOK_URL=value, HTTPS_PROXY="http://127.0.0.1:1")

    assert ended.returncode > 0
    assert ended.stderr.startswith("error: sources.yaml:9: ")
    assert reason in ended.stderr
    assert SECRET not in ended.stdout + ended.stderr


def test_a_test_message_reaches_everyone(told: Lake, hook: Webhook) -> None:
    with mailbox() as box:
        mail = f"mailto://127.0.0.1:{box.port}?from=lake@example.org&to=team@example.org"
        declare(told, "${HOOK_URL}", "${MAIL_URL}", "${NOBODY:-}")

        ended = told.command("notify", MAIL_URL=mail)

    assert (ended.returncode, ended.stdout) == (0, "sent 2 test messages\n")
    assert titles(hook) == [f"{told.root.name}: test"]
    assert hook.paths == [f"/{SECRET}?sig={SECRET}"], "the URL is used as it is"
    (sent,) = box.mails
    read = email.message_from_string(sent, policy=email.policy.default)
    assert read["Subject"] == f"{told.root.name}: test"
    assert read["To"] == "team@example.org"


def test_messages_name_the_environment(told: Lake, hook: Webhook) -> None:
    (told.root / ".env.prod").touch()

    told.command("--env", "prod", "notify")

    assert titles(hook) == [f"{told.root.name} (prod): test"]


def test_check_needs_no_address_and_says_what_is_wrong_with_one(told: Lake, hook: Webhook) -> None:
    told.command("sync")

    unset = told.command("check", HOOK_URL="")
    assert unset.returncode == 0
    assert (
        "warning: sources.yaml:9: the environment variable HOOK_URL isn't set, so `notify` can't "
        "use it" in unset.stdout
    )
    wrong = told.command("check", HOOK_URL=f"nothing://{SECRET}")
    assert wrong.returncode == 2
    assert "error: sources.yaml:9: the value of `${HOOK_URL}` isn't an address" in wrong.stderr
    assert SECRET not in wrong.stdout + wrong.stderr
    assert told.command("check", "--connect").returncode == 0
    assert hook.messages == [], "checking tells nobody"


def test_no_command_prints_an_address_or_keeps_it(told: Lake, database: Database) -> None:
    break_bad(database)
    printed = ""
    for command in ("load", "explain shop.good", "status", "plan", "metrics", "check"):
        ended = told.command(*command.split())
        printed += ended.stdout + ended.stderr

    assert "shop.good" in printed
    assert SECRET not in printed
    files = [path for path in told.root.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
