"""Criteria and how they are evaluated. Knows nothing of FHIR, HTTP or any drug."""
