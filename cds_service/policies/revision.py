"""A loaded policy revision: what an order is judged by."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from cds_service.criteria.criterion import Criterion, DoseRow
    from cds_service.policies.model import ApprovalWord, PolicyWord
    from cds_service.terminology.drug import Drug


@dataclass(frozen=True, slots=True)
class InForce:
    """The days on which a revision is in force, both included; ``end`` None: until further notice."""

    start: date
    end: date | None

    def holds(self, day: date) -> bool:
        """Whether the revision is in force on the day."""
        return self.start <= day and (self.end is None or day <= self.end)


@dataclass(frozen=True, slots=True)
class Pathway:
    """The criteria of one section, with its dose tables by setting, and what is to be known beside a table."""

    section: str
    request: str
    disease: str | None
    label: str
    approval: tuple[ApprovalWord, ...]
    criteria: tuple[Criterion, ...]
    tables: Mapping[str | None, tuple[DoseRow, ...]]
    table_notes: Mapping[str | None, str]


@dataclass(frozen=True, slots=True)
class Revision:
    """One dated revision of one policy. ``document`` is the file as written, ``sha256`` the hash of its bytes.

    ``disease_titles`` are the policy's names of its diseases, in lower case, with their keys, and these keys with
    themselves.
    """

    policy: str
    title: str
    payer: str
    revision: date
    in_force: InForce
    sha256: str
    drug: Drug
    document: PolicyWord
    settings: Mapping[str, Criterion]
    pathways: tuple[Pathway, ...]
    file: str
    disease_titles: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        diseases = self.document.diseases
        titles = {key.lower(): key for key in diseases} | {word.title.lower(): key for key, word in diseases.items()}
        object.__setattr__(self, "disease_titles", titles)

    def pathway(self, request: str, disease: str) -> Pathway | None:
        """The pathway for a request type and a disease; one without a disease is for all the policy covers."""
        for pathway in self.pathways:
            if pathway.request == request and (pathway.disease is None or pathway.disease == disease):
                return pathway
        return None
