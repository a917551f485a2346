"""FHIR as EHRs really send it: tolerant readers, the chart, quantities and timing."""
