"""`lakefeed docs`: a static site that shows a lake, from plain data."""
