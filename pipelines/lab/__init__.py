"""`lakefeed lab`: random writers and killed runs against the user's own declaration."""
