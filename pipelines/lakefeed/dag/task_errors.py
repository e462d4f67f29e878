"""Turns errors into Airflow exceptions: one message, without a traceback of Lakefeed's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from lakefeed.disk import storage_error
from lakefeed.errors import DeclarationError, ExtraMissing, LakefeedError


@contextmanager
def errors_for_airflow() -> Iterator[None]:
    """Converts Lakefeed's errors and file system errors that the block raises.

    A wrong declaration or a missing extra isn't retried, since neither goes away by itself.
    """
    try:
        yield
    except AirflowSkipException as skipped:
        from lakefeed.render.report import console

        # Airflow logs that the task is skipped, but not the reason.
        console().print(f"skipped: {skipped}", soft_wrap=True, markup=False)
        raise
    except (DeclarationError, ExtraMissing) as error:
        raise AirflowFailException(str(error)) from None
    except LakefeedError as error:
        raise AirflowException(str(error)) from None
    except Exception as error:
        refused = storage_error(error)
        if refused is None:
            raise
        raise AirflowException(str(refused)) from error
