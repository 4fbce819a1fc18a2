"""Keep the facts: SQLAlchemy Core on SQLite, behind `control.protocols.Store`. Start at `sqlite.py`."""
