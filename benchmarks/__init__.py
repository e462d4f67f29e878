"""Lakefeed beside other ways of reading PostgreSQL: `make bench`. Never part of the tests."""
