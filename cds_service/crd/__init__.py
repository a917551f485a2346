"""Da Vinci Coverage Requirements Discovery: an assessment as coverage-information, in STU 2.0.1 and STU 2.2.

One decision, two renderers. ``decision`` has types that cannot express an invalid answer, ``decide`` fills them from
an assessment (contract, section 8), ``render`` writes them in either version, ``actions`` puts them on orders.
"""
