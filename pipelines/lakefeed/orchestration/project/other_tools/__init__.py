"""What other tools' files say about loading tables: Sling, Meltano, Airbyte, dlt.

Imports: `declaration`.
Public: `carried`, `export_file`.
"""
