"""A CDS Hooks service that checks durvalumab orders against a payer's policy."""

__version__ = "0.1.0"
