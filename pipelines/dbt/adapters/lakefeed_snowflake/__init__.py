"""dbt's adapter for `type: lakefeed_snowflake`: dbt-snowflake's, over raw files in a stage.

dbt finds it under this name (https://docs.getdbt.com/guides/adapter-creation), beside the adapters
that are installed from packages of their own. Macros and materializations of dbt-snowflake hold
here.
"""

from dbt.adapters.base import AdapterPlugin

from dbt.adapters.lakefeed_snowflake.connections import LakefeedSnowflakeCredentials
from dbt.adapters.lakefeed_snowflake.impl import LakefeedSnowflakeAdapter
from dbt.include import lakefeed_snowflake

Plugin = AdapterPlugin(
    adapter=LakefeedSnowflakeAdapter,
    credentials=LakefeedSnowflakeCredentials,
    include_path=lakefeed_snowflake.PACKAGE_PATH,
    dependencies=["snowflake"],
)
