"""The decision record: what was judged and answered, kept so that nothing is lost and tampering shows."""
