"""The history of a ticket is append-only: the database refuses to change or remove an event, whoever asks."""

from __future__ import annotations

from alembic import op

revision = "002"
down_revision = "001"
branch_labels = None
depends_on = None

_WHY = "the history of a ticket is append-only"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER ticket_event_no_{act.lower()} BEFORE {act} ON ticket_event "
                f"BEGIN SELECT RAISE(ABORT, '{_WHY}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION service.refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_WHY}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER ticket_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON service.ticket_event "
        "FOR EACH STATEMENT EXECUTE FUNCTION service.refuse_change()"
    )
