"""Policies as dated, cited documents: model, loading, checking, rendering."""
