"""Order, selection and reporting: what the command line and the Airflow DAG both call."""
