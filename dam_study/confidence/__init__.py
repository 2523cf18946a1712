"""The study of D against its rivals."""
