"""Let Alembic work inside the transaction that the store has opened."""

from alembic import context

from landbridge.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    # SQLite cannot alter a column in place; Alembic copies the table then.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
