"""What is known of a Thrift server before it is asked: its URL, and how values arrive exactly."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from lakefeed.errors import DeclarationError
from lakefeed.transformation.targets.spark import Spark, failed
from lakefeed.transformation.targets.spark_session import open_session
from lakefeed.transformation.targets.spark_thrift import place_of
from lakefeed.transformation.targets.spark_values import arrow_of, columns_of, exact_query

DESCRIBED = [
    ("at", "timestamp", None),
    ("day", "date", None),
    ("price", "decimal(4,2)", None),
    ("odd `name`", "array<string>", None),
]


def test_a_url_says_who_connects_and_how() -> None:
    place = place_of("thrift://ann:p%40ss@[::1]:10001?auth=kerberos&service=spark&ssl=true")

    assert (place.host, place.port, place.user, place.password) == ("::1", 10001, "ann", "p@ss")
    assert (place.auth, place.service, place.has_ssl, place.http_path) == (
        ("GSSAPI", "spark", True, None)
    )
    assert place_of("thrift://host").port == 10000
    assert place_of("thrift://host?http_path=cliservice").http_path == "cliservice"


def test_a_server_is_shown_without_user_and_parameters() -> None:
    spark = Spark("thrift://ann:s3cret@host:10001?auth=plain", "lake")

    assert (spark.shown, spark.host, spark.port) == ("thrift://host:10001", "host", 10001)
    connect = Spark("sc://host/;token=s3cret", "lake")
    assert (connect.shown, connect.host, connect.port) == ("sc://host", "host", 15002)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("jdbc:hive2://ann:s3cret@host:10000", "is a URL of jdbc:, and of neither a Spark Connect"),
        ("thrift://ann:s3cret@host?mechanism=plain", "has mechanism, as Lakefeed doesn't know it"),
        ("thrift://ann:s3cret@host?auth=ntlm", "has auth, as Lakefeed doesn't know it"),
        ("thrift://ann:s3cret@host/default", "has a path, as Lakefeed doesn't know it"),
        ("thrift://ann:s3cret@host:many", "has no port number"),
    ],
)
def test_a_url_that_is_of_no_server_is_refused_without_its_password(url: str, told: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        open_session(url, "lake")

    assert told in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_values_of_which_the_client_has_texts_are_asked_for_as_numbers() -> None:
    assert exact_query(columns_of(DESCRIBED), "select * from t") == (
        "select unix_micros(`c0`), unix_date(`c1`), cast(`c2` as string), to_json(`c3`) from (\n"
        "select * from t\n) as found (c0, c1, c2, c3)"
    )


def test_they_arrive_as_what_they_are() -> None:
    rows = [(-1, -719162, "1.50", '["a"]'), (None, None, None, None)]

    found = arrow_of(columns_of(DESCRIBED), rows)

    before_1970 = dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)
    assert found.to_pylist() == [
        {
            "at": before_1970,
            "day": dt.date(1, 1, 1),
            "price": Decimal("1.50"),
            "odd `name`": '["a"]',
        },
        dict.fromkeys(found.column_names),
    ]
    assert arrow_of(columns_of(DESCRIBED), []).num_rows == 0


def test_a_failure_is_told_without_the_stack_of_the_server() -> None:
    said = (
        "org.apache.hive.service.cli.HiveSQLException: Error running query: [NO_SUCH] "
        "org.apache.spark.sql.AnalysisException: [NO_SUCH] There is no t.\nSQLSTATE: 42P01\n"
        "\tat org.apache.spark.sql.hive.thriftserver.Errors$.of(Errors.scala:43)\n\tat more"
    )

    error = failed(RuntimeError(said), is_lost=False)

    assert error.told == "[NO_SUCH] There is no t.\nSQLSTATE: 42P01"
    assert error.what == "Spark refused a statement: [NO_SUCH] There is no t. SQLSTATE: 42P01"
