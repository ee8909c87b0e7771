"""Tables: who is who, what is stored, what was decided, what goes out."""
