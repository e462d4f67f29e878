"""The Airflow DAG of this project, generated from its sources.yaml."""

import os
from pathlib import Path

from lakefeed.dag import build_dag

dag = build_dag(Path(os.environ.get("LAKEFEED_PROJECT") or Path(__file__).resolve().parents[2]))
