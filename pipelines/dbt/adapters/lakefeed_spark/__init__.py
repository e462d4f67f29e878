"""dbt's adapter for `type: lakefeed_spark`: dbt-spark's, over Spark Connect, on an Iceberg catalog.

dbt finds it under this name (https://docs.getdbt.com/guides/adapter-creation), beside the adapters
that are installed from packages of their own. Macros and materializations of dbt-spark hold here.
"""

from dbt.adapters.base import AdapterPlugin

from dbt.adapters.lakefeed_spark.connections import LakefeedSparkCredentials
from dbt.adapters.lakefeed_spark.impl import LakefeedSparkAdapter
from dbt.include import lakefeed_spark

Plugin = AdapterPlugin(
    adapter=LakefeedSparkAdapter,
    credentials=LakefeedSparkCredentials,
    include_path=lakefeed_spark.PACKAGE_PATH,
    dependencies=["spark"],
)
