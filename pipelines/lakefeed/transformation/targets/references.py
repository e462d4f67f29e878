"""Paths that refer to variables, as dbt's profile has them: dbt reads the variables itself."""

from __future__ import annotations

from lakefeed.declaration.environment.references import Template, for_dbt
from lakefeed.declaration.project import Project


def for_profile(project: Project, written: str) -> Template:
    """A path or URL with references, seen from the dbt folder if what it stands for is relative.

    Args:
        written: the value of a setting as it is in sources.yaml.
    """
    path = for_dbt(written)
    return Template(
        f"{{% set path %}}{path}{{% endset %}}"
        "{% if not (path.startswith('/') or '://' in path) %}"
        f"{project.seen_from_dbt('.')}/"
        "{% endif %}{{ path }}"
    )
