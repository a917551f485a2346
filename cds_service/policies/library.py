"""The loaded policies: which revision is asked for, or in force on a day."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cds_service.errors import NotFoundError, PolicyError
from cds_service.policies.load import load_revision
from cds_service.values import by_identity

if TYPE_CHECKING:
    from datetime import date

    from cds_service.policies.revision import Revision

SHIPPED = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Library:
    """All loaded revisions, oldest first within a policy."""

    revisions: tuple[Revision, ...]

    @property
    def policy_ids(self) -> tuple[str, ...]:
        """The policies, each once."""
        return tuple(dict.fromkeys(r.policy for r in self.revisions))

    @property
    def newest(self) -> tuple[Revision, ...]:
        """The newest revision of each policy."""
        return _newest(self.revisions)

    def of(self, policy: str) -> tuple[Revision, ...]:
        """The revisions of a policy, oldest first. NotFoundError if it is unknown."""
        found = tuple(r for r in self.revisions if r.policy == policy)
        if not found:
            raise NotFoundError("no such policy is loaded")
        return found

    def revision(
        self, policy: str, on: date | None = None, named: str | None = None
    ) -> tuple[Revision, tuple[str, ...]]:
        """The revision named, else the one in force on a day; notes say when none was and the earliest is used."""
        revisions = self.of(policy)
        if named is not None:
            for candidate in revisions:
                if candidate.revision.isoformat() == named:
                    return candidate, ()
            raise NotFoundError("no such revision of the policy is loaded")
        if on is None:
            return revisions[-1], ()
        in_force = [r for r in revisions if r.in_force.holds(on)]
        if in_force:
            return in_force[-1], ()
        first = revisions[0]
        note = f"No revision of {policy} was in force on {on}; revision {first.revision} is used."
        return first, (note,)


@by_identity
def _newest(revisions: tuple[Revision, ...]) -> tuple[Revision, ...]:
    return tuple({revision.policy: revision for revision in revisions}.values())


def load_library(folder: Path | None = None) -> Library:
    """Load every policy file below a folder (default: the shipped ones). PolicyError lists the problems of all."""
    top = folder or SHIPPED
    # A mounted ConfigMap holds every file twice: as a link, and in a folder of its own whose name begins with two dots.
    files = sorted(
        file for file in top.rglob("*.yaml") if not any(part[:2] == ".." for part in file.relative_to(top).parts)
    )
    problems: list[str] = []
    revisions: list[Revision] = []
    for file in files:
        try:
            revisions.append(load_revision(file))
        except PolicyError as error:
            problems += error.problems
    seen: dict[tuple[str, str], Revision] = {}
    for revision in revisions:
        key = (revision.policy, revision.revision.isoformat())
        if key in seen:
            problems.append(f"{revision.file}:1: {key[0]} revision {key[1]} is also in {seen[key].file}")
        seen[key] = revision
    if not files:
        problems.append(f"{top}: holds no policy file")
    if problems:
        raise PolicyError(problems)
    return Library(tuple(sorted(revisions, key=lambda r: (r.policy, r.revision))))
