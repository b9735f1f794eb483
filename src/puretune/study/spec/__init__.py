"""What a study says: the file's sections, their messages, and the schema."""
