"""One module per CDS Service; each exports one ``service``."""
