"""What warehouses share whose engine has no transaction over several tables.

One row, the register, says who builds, what is published and which versions are kept.

Imports: `declaration`, `transformation`, `transformation.warehouse.base`.
Public: `lock`, `register`, `side_by_side`, `stored_register`, `transitions`, `views`.
"""
