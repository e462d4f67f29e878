"""dbt's adapter for `type: lakefeed_bigquery`: dbt-bigquery's, with what Lakefeed's macros ask for.

dbt finds it under this name (https://docs.getdbt.com/guides/adapter-creation), beside the adapters
that are installed from packages of their own. Macros and materializations of dbt-bigquery hold
here.
"""

from dbt.adapters.base import AdapterPlugin

from dbt.adapters.lakefeed_bigquery.connections import LakefeedBigQueryCredentials
from dbt.adapters.lakefeed_bigquery.impl import LakefeedBigQueryAdapter
from dbt.include import lakefeed_bigquery

Plugin = AdapterPlugin(
    adapter=LakefeedBigQueryAdapter,
    credentials=LakefeedBigQueryCredentials,
    include_path=lakefeed_bigquery.PACKAGE_PATH,
    dependencies=["bigquery"],
)
