"""The versions of the record's schema."""
