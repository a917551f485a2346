"""The loaded policies: which revision is asked for, or in force on a day."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations, groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from cds_service.errors import NotFoundError, PolicyError
from cds_service.policies.load import load_revision
from cds_service.values import by_identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from cds_service.policies.revision import Revision
    from cds_service.terminology.drug import Drug

SHIPPED = Path(__file__).parent
_MISNAMED = re.compile(r"\.ya?ml(\.txt)?$", re.IGNORECASE)


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
            return max(in_force, key=lambda r: r.in_force.start), ()
        first = revisions[0]
        note = f"No revision of {policy} was in force on {on}; revision {first.revision} is used."
        return first, (note,)


@by_identity
def _newest(revisions: tuple[Revision, ...]) -> tuple[Revision, ...]:
    return tuple({revision.policy: revision for revision in revisions}.values())


def _together(revisions: list[Revision]) -> Iterator[str]:
    """What is wrong between files that are each right: every order is judged by one revision of one policy."""
    for one, other in combinations(sorted(revisions, key=lambda r: (r.policy, r.in_force.start, r.revision)), 2):
        if one.policy != other.policy:
            if _same_drug(one.drug, other.drug):
                yield (
                    f"{other.file}:1: {other.drug.name} is judged by {one.policy} too ({one.file}); one service has "
                    "one policy for a drug, and another payer's policy needs a service of its own"
                )
        elif _claims_the_first_day(one, other):
            yield (
                f"{other.file}:1: revisions {one.revision} ({one.file}) and {other.revision} are both in force on "
                f"{other.in_force.start}; correct the last day (until) of the earlier one, or the first of this one"
            )


def _claims_the_first_day(one: Revision, later: Revision) -> bool:
    """Whether a revision says that it holds when a later one begins; one without a last day holds until then."""
    if one.in_force.end is None:
        return one.in_force.start == later.in_force.start
    return one.in_force.holds(later.in_force.start)


def _same_drug(one: Drug, other: Drug) -> bool:
    if one.value_set is not None and one.value_set == other.value_set:
        return True
    return not set(one.names).isdisjoint(other.names) or not one.codes.isdisjoint(other.codes)


def load_library(folder: Path | None = None) -> Library:
    """Load every policy file below a folder (default: the shipped ones). PolicyError lists the problems of all."""
    top = folder or SHIPPED
    # A mounted ConfigMap holds every file twice: as a link, and in a folder of its own whose name begins with two dots.
    found = sorted(file for file in top.rglob("*") if not any(part[:2] == ".." for part in file.relative_to(top).parts))
    files = [file for file in found if file.suffix == ".yaml"]
    # Left out in silence, a revision under such a name would seem to be loaded.
    problems = [
        f"{file.parent.name}/{file.name}:1: is not read; the name of a policy file ends in .yaml"
        for file in found
        if _MISNAMED.search(file.name) and file.suffix != ".yaml"
    ]
    problems += [
        f"{linked.relative_to(top)}:1: is not read; it is a link to a folder: link the files, or put them in a folder"
        for linked in found
        if linked.is_symlink() and linked.is_dir()
    ]
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
    problems += _together(list(seen.values()))
    if not files and not problems:
        problems.append(f"{top}: holds no policy file")
    if problems:
        raise PolicyError(problems)
    return Library(tuple(sorted(_each_until_the_next(revisions), key=lambda r: (r.policy, r.revision))))


def _each_until_the_next(revisions: list[Revision]) -> Iterator[Revision]:
    """The revisions, of which one without a last day holds until the next one of its policy begins."""
    in_order = sorted(revisions, key=lambda r: (r.policy, r.in_force.start))
    for _, of_policy in groupby(in_order, key=attrgetter("policy")):
        one, *later = of_policy
        for following in later:
            end = one.in_force.end or following.in_force.start - timedelta(days=1)
            yield replace(one, in_force=replace(one.in_force, end=end))
            one = following
        yield one
