"""The SQL of the store's writes, and of the few reads beside them, made once for each store.

Those whose name ends in ``_sql`` run on the driver's own cursor, with their parameters in the order of the row they
write; the others run through SQLAlchemy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cds_service.record.decision import CardRow
from cds_service.record.evaluations import EvaluationRow
from cds_service.record.feedback import FeedbackRow
from cds_service.record.responses import MOST_OF_A_PATIENT, ResponseRow
from cds_service.record.schema import card, chain_head, decision, evaluation, feedback, response, tally, used_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Dialect

_NEWEST = (
    select(response.c.key)
    .where(response.c.patient == bindparam("of"))
    .order_by(response.c.at.desc(), response.c.key)
    .limit(MOST_OF_A_PATIENT)
)
RESPONSES_OF_PATIENT = (
    select(response.c.sealed).where(response.c.patient == bindparam("patient")).order_by(response.c.at, response.c.key)
)
"""The responses about ``patient``, oldest first."""
FORGET_OLDEST_RESPONSES = delete(response).where(
    response.c.patient == bindparam("patient"), response.c.key.not_in(_NEWEST)
)
"""What is beyond the most that are kept of a patient, who is both ``patient`` and ``of``."""


class Statements:
    """The statements that differ from one database to the other, or are compiled beforehand."""

    def __init__(self, dialect: Dialect) -> None:
        on_postgresql = dialect.name == "postgresql"
        upsert = postgresql.insert if on_postgresql else sqlite.insert

        head = select(chain_head.c.seq, chain_head.c.link)
        self.head = head.with_for_update() if on_postgresql else head
        """The end of the chain, held against other writers until the transaction ends."""
        self.head_sql = str(self.head.compile(dialect=dialect))
        self.move_head_sql = _compiled(update(chain_head), ["seq", "link"], dialect)

        self.decision_sql = _compiled(insert(decision), [column.name for column in decision.columns], dialect)
        self.card_sql = _compiled(insert(card), CardRow._fields, dialect)
        new_feedback = upsert(feedback).on_conflict_do_nothing()
        self.feedback_sql = _compiled(new_feedback, FeedbackRow._fields, dialect)

        put = upsert(evaluation)
        put_evaluation = put.on_conflict_do_update(
            index_elements=["key"],
            set_={"at": put.excluded.at, "sealed": put.excluded.sealed},
            where=put.excluded.at >= evaluation.c.at,  # one that waited in the spool may be older
        )
        self.evaluation_sql = _compiled(put_evaluation, EvaluationRow._fields, dialect)
        told = upsert(response)
        put_response = told.on_conflict_do_update(
            index_elements=["key"],
            set_={name: getattr(told.excluded, name) for name in ("patient", "at", "sealed")},
        )
        self.response_sql = _compiled(put_response, ResponseRow._fields, dialect)
        self.responses_of_patient_sql = str(RESPONSES_OF_PATIENT.compile(dialect=dialect))

        self.use_token = upsert(used_token).on_conflict_do_nothing().returning(used_token.c.token)
        """Gives the token back where it is new."""
        tallied = upsert(tally)
        self.add_tally = tallied.on_conflict_do_update(
            index_elements=list(tally.primary_key.columns), set_={"count": tally.c.count + tallied.excluded.count}
        )


def _compiled(statement: Any, columns: Sequence[str], dialect: Dialect) -> str:
    """The SQL of a statement whose parameters come in this order."""
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    assert compiled.positiontup == list(columns)  # noqa: S101  (or rows would land in the wrong columns)
    return str(compiled)
