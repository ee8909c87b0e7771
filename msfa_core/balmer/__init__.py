"""SWS profile fitting of Hδ and Hγ, and the D0.2–fm plane."""
